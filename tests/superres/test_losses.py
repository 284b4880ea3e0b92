"""Losses do what their formulas say, and their gradients are those of finite differences."""

import sys
from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from napari_microsr.errors import JobError, ModelError
from napari_microsr.superres.adversarial import GAMES, gradient_penalty
from napari_microsr.superres.content import Content, Features, load_features
from napari_microsr.superres.loss_options import LossOptions
from napari_microsr.superres.losses import (
    LOSSES,
    charbonnier,
    describe,
    make_loss,
    ssim_loss,
    total_variation,
)
from napari_microsr.superres.networks.minivgg import MiniVGG


class Options(LossOptions):
    task = "test"


A, B = torch.rand(2, 2, 3, 24, 20, generator=torch.Generator().manual_seed(0))


def test_pixel_losses_are_their_formulas():
    d = (A - B).double().numpy()
    assert float(LOSSES["mse"](A, B)) == pytest.approx((d**2).mean(), rel=1e-5)
    assert float(LOSSES["l1"](A, B)) == pytest.approx(np.abs(d).mean(), rel=1e-5)
    assert float(charbonnier(A, B)) == pytest.approx(np.sqrt(d**2 + 1e-6).mean(), rel=1e-5)


def ssim_map(x, y):
    """SSIM by its formula, with scipy's Gaussian filter."""
    mean = partial(gaussian_filter, sigma=1.5, radius=5, mode="mirror", axes=(1, 2))
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def test_ssim_is_its_formula():
    image, truth = A[:1], (A[:1] + 0.3 * B[:1]) / 1.3
    expected = ssim_map(image[0].double().numpy(), truth[0].double().numpy()).mean()
    assert float(ssim_loss(image, truth)) == pytest.approx(1 - expected, abs=1e-5)
    assert float(ssim_loss(A, A)) == pytest.approx(0, abs=1e-6)


def test_ssim_survives_16_bit_arithmetic():
    flat = 0.9 + 0.01 * A
    with torch.autocast("cpu", torch.bfloat16):
        assert float(ssim_loss(flat, flat + 0.001)) == pytest.approx(
            float(ssim_loss(flat, flat + 0.001)), abs=1e-6
        )
        assert float(ssim_loss(flat, flat)) == pytest.approx(0, abs=1e-5)


def test_total_variation_as_swift_srgan_has_it():
    down, across = (np.diff(A.double().numpy(), axis=axis) for axis in (2, 3))
    sums = [(d**2).sum() / d[0].size / len(d) for d in (down, across)]
    assert float(total_variation(A, B)) == pytest.approx(2 * sum(sums), rel=1e-5)


def test_least_squares_targets_are_plus_and_minus_one():
    true, fake = torch.tensor([[3.0], [1.0]]), torch.tensor([[0.0], [-1.0]])
    game = GAMES["least-squares"]
    assert float(game.generator(fake)) == pytest.approx((1 + 4) / 4)
    assert float(game.discriminator(true, fake)) == pytest.approx((4 + 0) / 4 + (1 + 0) / 4)


def test_cross_entropy_is_torchs():
    true, fake = torch.randn(2, 5, 1)
    ones, zeros = torch.ones(5, 1), torch.zeros(5, 1)
    bce = nn.functional.binary_cross_entropy_with_logits
    game = GAMES["bce"]
    assert float(game.generator(fake)) == pytest.approx(float(bce(fake, ones)), rel=1e-5)
    expected = (bce(true, ones) + bce(fake, zeros)) / 2
    assert float(game.discriminator(true, fake)) == pytest.approx(float(expected), rel=1e-5)


def test_the_penalty_is_zero_where_the_slope_is_one():
    slope = torch.randn(3 * 24 * 20, generator=torch.Generator().manual_seed(1))
    linear = nn.Sequential(nn.Flatten(), nn.Linear(slope.numel(), 1))
    linear[1].weight.data[0] = slope / slope.norm()
    assert gradient_penalty(linear, A, B).item() == pytest.approx(0, abs=1e-6)
    linear[1].weight.data[0] *= 3
    penalty = gradient_penalty(linear, A, B)
    assert penalty.item() == pytest.approx(4, rel=1e-4)
    penalty.backward()
    assert float(linear[1].weight.grad.norm()) == pytest.approx(4, rel=1e-3), "d (|w| - 1)^2 / dw"


@pytest.fixture
def vgg():
    torch.manual_seed(0)
    network = MiniVGG(channels=1, classes=2, width=2)
    for name, value in network.named_buffers():
        if name.endswith("running_var"):
            value.fill_(0.5)
    return network


def test_content_is_the_difference_of_features_in_use(vgg):
    layers = ("1b", "3d")
    content = Content(Features(vgg, 1, layers))
    grey = [x.mean(1, keepdim=True) for x in (A, B)]
    with torch.no_grad():
        one, two = (vgg.eval().features(x, layers) for x in grey)
        errors = [float((a - b).square().mean()) for a, b in zip(one, two, strict=True)]
        assert float(content(A, B)) == pytest.approx(np.mean(errors), rel=1e-5)
        total = sum(float((a - b).square().sum()) for a, b in zip(one, two, strict=True))
        summed = Content(Features(vgg, 1, layers), per_pixel=True)
        assert float(summed(A, B)) == pytest.approx(total / A.numel(), rel=1e-5)
        assert float(content(A, A)) == 0


def test_the_feature_network_is_never_trained(vgg):
    content = Content(Features(vgg, 1, ("1b",)))
    before = {name: value.clone() for name, value in content.state_dict().items()}
    content.train()
    x = A.clone().requires_grad_()
    content(x, B).backward()
    assert float(x.grad.abs().max()) > 0
    assert all(p.grad is None and not p.requires_grad for p in content.parameters())
    assert all(torch.equal(before[name], value) for name, value in content.state_dict().items())


def test_terms_are_weighted_and_named():
    options = Options.parse({"loss": "mse", "pixel_weight": 0.4, "tv_weight": 0.5, "ssim_weight": 2.0})
    terms = make_loss(options)(A, B)
    assert list(terms) == ["pixel", "ssim", "tv"]
    assert float(terms["pixel"]) == pytest.approx(0.4 * float(LOSSES["mse"](A, B)))
    assert float(terms["tv"]) == pytest.approx(0.5 * float(total_variation(A, B)))
    assert describe(options) == "0.4 mse + 2 SSIM + 0.5 total variation"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": "hinge"}, JobError, "no loss named 'hinge'"),
        ({"content_weight": 1, "content_network": "nobody"}, ModelError, "no model 'nobody'"),
        ({"content_weight": 1, "content_network": "bicubic"}, ModelError, "gives no features"),
        ({"pixel_weight": 0}, JobError, "must be > 0"),
        ({"adversarial": "hinge"}, JobError, "adversarial"),
        ({"tv_weight": -1}, JobError, "tv_weight"),
    ],
    ids=str,
)
def test_wrong_losses_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        make_loss(Options.parse(settings))


def test_mobilenet_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ModelError, match="needs torchvision"):
        load_features("mobilenet-v2")
