"""The networks of the source systems: sizes as published, and what was wrong with them is right."""

import pytest
import torch
from torch import nn

from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.discriminators import DISCRIMINATORS
from napari_microsr.superres.networks.minivgg import CONTENT_LAYERS, MiniVGG
from napari_microsr.superres.networks.srresnet import SRResNet
from napari_microsr.superres.networks.swift_srgan import SwiftSRGAN
from napari_microsr.superres.networks.unet_generator import UNetGenerator
from napari_microsr.superres.receptive import Reach, probe
from napari_microsr.superres.registry import build_discriminator, build_feature_network, build_network


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def with_statistics(module, seed=0):
    """Give batch norms other running statistics than their start, as after a training."""
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return module


@pytest.mark.parametrize(
    ("module", "published"),
    [
        (SRResNet, 1_334_272),
        (UNetGenerator, 294_483),
        (SwiftSRGAN, 201_209),
        (DISCRIMINATORS["srgan"], 23_559_873),
        (DISCRIMINATORS["swift"], 19_413_279),
        # Not published: five blocks of a convolution and a batch norm, and 128 -> 64 -> 1.
        (DISCRIMINATORS["unet"], 240 + 1_200 + 4_704 + 18_624 + 74_112 + 64 * 129 + 65),
        (MiniVGG, 55_742_925),
    ],
)
def test_networks_have_the_published_size(module, published):
    with torch.device("meta"):
        assert parameters(module()) == published


def test_a_narrow_minivgg_can_be_shipped():
    assert parameters(build_feature_network("minivgg", width=10)) * 4 < 6e6


# Sums of half widths in pixels of the input; a convolution after a doubling counts a half, and so on.
@pytest.mark.parametrize(
    ("name", "arguments", "halo"),
    [
        # Head, two in each of 15 blocks, one behind them, one before each shuffle, tail.
        ("srresnet-x4", {"features": 4}, 34),
        # SRResNet as in the facts: 16 blocks between convolutions of 9x9.
        ("srresnet-x4", {"features": 4, "blocks": 16, "end_kernel": 9}, 40),
        ("swift-srgan", {"features": 4, "factor": 2}, 40),
        ("swift-srgan", {"features": 4, "factor": 4}, 40),
        ("swift-srgan", {"features": 2, "blocks": 2, "factor": 8}, 12),
    ],
)
def test_halo_is_the_sum_of_half_widths(name, arguments, halo):
    assert probe(build_network(name, **arguments), 3) == Reach(halo, 1)


def test_unet_generator_needs_its_pooling_grid():
    halo, multiple = probe(UNetGenerator(1), 1)
    assert multiple == 16
    assert 16 + 4 * (1 + 2 + 4 + 8) <= halo <= 96


@pytest.mark.parametrize("skip", ["none", "bicubic"])
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_swift_srgan_magnifies_by_its_factor(factor, size, channels, skip):
    network = build_network("swift-srgan", channels=channels, features=4, blocks=1, factor=factor, skip=skip)
    assert len(network.upsampler) == {2: 1, 4: 2, 8: 3}[factor]
    y = network.eval()(torch.rand(1, channels, *size))
    assert y.shape == (1, channels, factor * size[0], factor * size[1])


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_srresnet_magnifies_by_its_factor(factor, channels):
    network = build_network("srresnet-x4", channels=channels, blocks=1, factor=factor).eval()
    assert network(torch.rand(1, channels, 3, 1)).shape == (1, channels, 3 * factor, factor)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_unet_generator_keeps_size_and_range(channels):
    network = build_network("unet-generator", channels=channels).eval()
    y = network(3 * torch.rand(1, channels, 16, 48) - 1)
    assert y.shape == (1, channels, 16, 48)
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("name", ["srresnet-x4", "swift-srgan"])
def test_with_the_bicubic_skip_training_starts_at_bicubic(name):
    x = torch.rand(1, 3, 6, 5)
    network = build_network(name, blocks=1, skip="bicubic").eval()
    torch.testing.assert_close(network(x), Bicubic(factor=4)(x))


@pytest.mark.parametrize("name", ["srresnet-x4", "swift-srgan"])
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [({"factor": 3}, "3 times"), ({"factor": 1}, "1 times"), ({"skip": "input"}, "'input'")],
)
def test_other_factors_and_skips_are_refused(name, arguments, fault):
    with pytest.raises(ModelError, match=fault):
        build_network(name, **arguments)


def test_dropout_is_off_in_evaluation():
    network = SRResNet(blocks=1, dropout=0.9)
    x = torch.rand(1, 3, 8, 8)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    without = SRResNet(blocks=1, dropout=0.0).eval()
    without.load_state_dict(network.state_dict())
    assert torch.equal(network(x), without(x))


@pytest.mark.parametrize(
    ("name", "arguments", "tile"),
    [
        ("srresnet-x4", {"features": 8, "blocks": 3}, 7),
        ("srresnet-x4", {"features": 8, "blocks": 3, "skip": "bicubic"}, 7),
        ("swift-srgan", {"features": 8, "blocks": 3, "factor": 2}, 9),
        ("swift-srgan", {"features": 8, "blocks": 2, "factor": 4, "skip": "bicubic"}, 5),
        ("unet-generator", {}, 16),
        ("conditioned-residual", {"channels": 1, "features": 8, "blocks": 2}, 11),
    ],
)
def test_a_tile_with_its_halo_equals_the_whole_image(name, arguments, tile):
    network = with_statistics(build_network(name, **arguments)).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    halo, multiple = probe(network, 3)
    halo = -(-halo // multiple) * multiple
    y, x = halo + 2 * multiple, halo + multiple
    image = torch.rand(1, 3, y + tile + halo + 3 * multiple, x + tile + halo + multiple)
    with torch.inference_mode():
        whole = network(image)
        part = network(image[..., y - halo : y + tile + halo, x - halo : x + tile + halo])
    factor = whole.shape[-1] // image.shape[-1]
    rim = slice(factor * halo, factor * (halo + tile))
    expected = whole[..., factor * y : factor * (y + tile), factor * x : factor * (x + tile)]
    assert expected.std() > 0
    torch.testing.assert_close(part[..., rim, rim], expected, atol=2e-6 * float(whole.abs().max()), rtol=0)


@pytest.mark.parametrize("name", ["srresnet-x4", "swift-srgan", "unet-generator"])
def test_gradients_reach_every_trained_weight(name):
    arguments = {} if name == "unet-generator" else {"features": 8, "blocks": 2}
    network = build_network(name, **arguments).train()
    network(torch.rand(2, 3, 16, 16)).square().mean().backward()
    for key, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            # A bias before a batch norm has no effect on it, so its gradient is rounding.
            assert parameter.grad.abs().sum() > 0, key


def test_swift_srgan_freezes_what_it_never_uses():
    # The PReLUs of the 16 second convolutions and of the one behind them.
    frozen = sum(p.numel() for p in SwiftSRGAN().parameters() if not p.requires_grad)
    assert frozen == 17 * 64


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("channels", [1, 3])
def test_discriminators_score_patches_of_any_size_and_learn(name, channels):
    network = build_discriminator(name, channels=channels)
    for size in (16, 33):
        x = torch.rand(2, channels, size, size, requires_grad=True)
        score = network(x)
        assert score.shape == (2, 1)
        score.sum().backward()
        assert x.grad.abs().sum() > 0


def test_discriminators_keep_the_source_at_its_patch():
    # There the mean that makes other sizes fit changes nothing.
    for name in ("srgan", "swift"):
        network = build_discriminator(name, channels=1).eval()
        features = network.blocks(torch.rand(1, 1, 96, 96))
        assert torch.equal(network.pool(features), features)
    network = build_discriminator("unet", channels=1).eval()
    assert network.blocks(torch.rand(1, 1, 256, 256)).shape[2:] == (16, 16)


def test_unknown_discriminators_and_features_name_the_known_ones():
    with pytest.raises(ModelError, match="srgan, unet, swift"):
        build_discriminator("patchgan")
    with pytest.raises(ModelError, match="minivgg"):
        build_feature_network("vgg19")


def test_minivgg_features_are_those_after_activation_in_the_order_asked_for():
    network = with_statistics(MiniVGG(width=2)).eval()
    x = torch.rand(2, 3, 96, 96)
    found = network.features(x)
    assert [f.shape[1:] for f in found] == [(2, 96, 96), (4, 48, 48), (8, 24, 24), (16, 12, 12), (16, 6, 6)]
    # By hand: two layers, a pool, and the first layer of the next level.
    out = 2 * x - 1
    for name in ("1a", "1b"):
        out = network.layers[name](out)
    torch.testing.assert_close(found[0], out)
    expected = network.layers["2a"](nn.functional.max_pool2d(out, 2))
    third, second = network.features(x, ["3d", "2a"])
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(third, found[2])
    # Leaky: what is below zero is a fifth of what was there before the activation.
    before = nn.Sequential(*network.layers["2a"][:2])(nn.functional.max_pool2d(out, 2))
    torch.testing.assert_close(second, torch.where(before > 0, before, 0.2 * before))


@pytest.mark.parametrize("size", [(1, 1), (33, 17), (200, 40)])
def test_minivgg_takes_images_of_any_size(size):
    network = MiniVGG(channels=1, classes=5, width=2).eval()
    assert network(torch.rand(2, 1, *size)).shape == (2, 5)
    assert len(network.features(torch.rand(1, 1, *size))) == len(CONTENT_LAYERS)


def test_minivgg_classifies_at_96_px_without_averaging():
    network = MiniVGG(width=2).eval()
    x = torch.rand(1, 3, 96, 96)
    (last,) = network.features(x, ["5d"])
    by_hand = network.classify[1:](nn.functional.max_pool2d(last, 2))
    torch.testing.assert_close(network(x), by_hand)


def test_minivgg_features_have_gradients():
    network = MiniVGG(width=2).eval().requires_grad_(False)
    x = torch.rand(1, 3, 20, 20, requires_grad=True)
    sum(f.square().sum() for f in network.features(x)).backward()
    assert x.grad.abs().min() > 0


def test_an_unknown_layer_names_the_known_ones():
    with pytest.raises(KeyError, match=r"9z.*1a, 1b"):
        MiniVGG(width=2).features(torch.rand(1, 3, 8, 8), ["1a", "9z"])
