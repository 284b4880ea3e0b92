import pytest
import torch

from napari_microsr.core.weights import find
from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.conditioned import ConditionedResidual, conditioned, with_planes
from napari_microsr.superres.networks.fast import FastResidual
from napari_microsr.superres.receptive import Reach, probe
from napari_microsr.superres.registry import build_network, load_network
from napari_microsr.superres.training import TrainJob, load_start


def network(channels=3, factor=2, features=8, blocks=2, seed=0):
    torch.manual_seed(seed)
    module = build_network(
        "conditioned-residual", channels=channels, factor=factor, features=features, blocks=blocks
    )
    torch.nn.init.kaiming_normal_(module.tail.weight)
    return module.eval()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (17, 12)])
def test_it_magnifies_the_image_planes_only(channels, factor, size):
    x = torch.rand(2, channels + 2, *size)
    y = network(channels, factor)(x)
    assert y.shape == (2, channels, factor * size[0], factor * size[1])
    assert y.dtype == torch.float32


def test_untrained_it_is_bicubic_whatever_it_is_told():
    x = torch.rand(1, 3, 9, 11)
    for blur_px, noise in ((0.0, 0.0), (1.5, 0.1)):
        y = ConditionedResidual(3, 8, 2, 2)(with_planes(x, blur_px, noise))
        torch.testing.assert_close(y, Bicubic(factor=2)(x))


def test_it_has_the_fast_networks_parameters_and_two_planes_of_a_convolution():
    count = sum(p.numel() for p in ConditionedResidual(3, 32, 4, 2).parameters())
    assert count == sum(p.numel() for p in FastResidual(3, 32, 4, 2).parameters()) + 2 * 9 * 32


def test_planes_hold_the_values_behind_the_image():
    x = torch.rand(2, 1, 4, 5)
    y = with_planes(x, 0.75, 0.02)
    assert torch.equal(y[:, :1], x)
    assert (y[:, 1] == 0.75).all()
    assert (y[:, 2] == 0.02).all()
    assert torch.equal(with_planes(x[0], 0.75, 0.02), y[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_told_network_equals_the_planes_inside(channels):
    module = network(channels, factor=2)
    x = torch.rand(1, channels, 33, 31)
    halo = probe(conditioned(module, 0, 0), channels).halo_px
    inside = (..., slice(2 * halo, -2 * halo), slice(2 * halo, -2 * halo))
    with torch.inference_mode():
        for blur_px, noise in ((0.0, 0.0), (1.2, 0.05)):
            expected = module(with_planes(x, blur_px, noise))[inside]
            told = conditioned(module, blur_px, noise)
            torch.testing.assert_close(told(x)[inside], expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(told.without_padding()(x), expected, atol=1e-5, rtol=1e-5)


def test_what_it_is_told_makes_a_difference():
    x = torch.rand(1, 3, 16, 16)
    module = network()
    clean, blurred, noisy = (conditioned(module, *told)(x) for told in ((0, 0), (1, 0), (0, 0.1)))
    assert not torch.allclose(clean, blurred, atol=1e-3)
    assert not torch.allclose(clean, noisy, atol=1e-3)
    assert not torch.allclose(blurred, noisy, atol=1e-3)


def test_reach_is_that_of_the_fast_network():
    told = conditioned(network(blocks=4), 1.0, 0.1)
    assert probe(told, 3) == Reach(10, 1)
    assert probe(network(blocks=4), 5) == Reach(10, 1)


def test_its_planes_without_padding_give_the_inside():
    module, x = network(), with_planes(torch.rand(1, 3, 30, 30), 1.0, 0.02)
    torch.testing.assert_close(module.without_padding()(x), module(x)[..., 12:-12, 12:-12], atol=1e-5, rtol=0)


def test_the_network_is_left_as_it_was_and_learns():
    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    conditioned(module, 1.0, 0.1)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    module(with_planes(torch.rand(1, 3, 8, 8), 1.0, 0.1)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_a_network_without_planes_cannot_be_told():
    with pytest.raises(ModelError, match=r"FastResidual cannot be told.*conditioned"):
        conditioned(FastResidual(), 1.0, 0.1)


def test_started_from_a_plain_network_it_gives_what_that_gives_whatever_it_is_told():
    torch.manual_seed(3)
    plain = FastResidual(3, 8, 2, 2).eval()
    torch.nn.init.normal_(plain.tail.weight, std=0.05)
    started = network()
    started.start_from(plain)
    x = torch.rand(1, 3, 17, 12)
    assert torch.allclose(conditioned(started, 0.7, 0.03)(x), plain(x), atol=1e-6)
    with pytest.raises(ModelError, match="other channels, features, blocks or factor"):
        started.start_from(FastResidual(3, 8, 1, 2))


def test_a_job_may_start_a_conditioned_network_from_a_plain_one(tmp_path):
    arguments = {"channels": 3, "features": 32, "blocks": 6, "factor": 2}
    card = {"summary": "x", "domain": "histology", "licence": "BSD-3-Clause"}
    options = {"name": "c", "data": tmp_path, "architecture": "conditioned-residual", "arguments": arguments}
    job = TrainJob.parse({**options, "start": "histology-x2", "steps": 500, "card": card})
    fresh = network(features=32, blocks=6)
    load_start(fresh, job)
    x = torch.rand(1, 3, 16, 16)
    expected = load_network(*find("histology-x2"))(x)
    assert torch.allclose(conditioned(fresh, 0.0, 0.0).eval()(x), expected, atol=1e-6)
