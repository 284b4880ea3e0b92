import pytest
import torch
from torch import nn

from napari_microsr.errors import ModelError
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import build_network


def conv(kernel=3, **options):
    return nn.Conv2d(3, 3, kernel, padding=kernel // 2, **options)


class Zoom(nn.Module):
    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=3, mode="nearest")


class AddMean(nn.Module):
    def forward(self, x):
        return x + x.mean(dim=(2, 3), keepdim=True)


class AddPosition(nn.Module):
    def forward(self, x):
        return x + torch.linspace(0, 1, x.shape[3])


# The reach of a stack of convolutions is the sum of their half widths.
@pytest.mark.parametrize(
    ("module", "reach"),
    [
        (conv(1), (0, 1)),
        (nn.Sequential(*[conv() for _ in range(5)]), (5, 1)),
        (nn.Sequential(conv(7), conv(5)), (5, 1)),
        # A circular pad links the two ends of a window, which its halo covers as any other pad.
        (nn.Sequential(conv(5, padding_mode="circular"), conv()), (3, 1)),
        (nn.Conv2d(3, 3, 3, padding=4, dilation=4), (4, 1)),
        (nn.Sequential(Zoom(), conv()), (1, 1)),
        (nn.Conv2d(3, 3, (1, 9), padding=(0, 4)), (4, 1)),
        # Halved and doubled: a fine pixel sees its own cell of two.
        (nn.Sequential(nn.AvgPool2d(2), nn.ConvTranspose2d(3, 3, 2, 2)), (0, 2)),
        (nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), nn.ConvTranspose2d(3, 3, 2, 2)), (1, 2)),
        (nn.Sequential(nn.MaxPool2d(8), conv(), nn.Upsample(scale_factor=8)), (8, 8)),
        (nn.Sequential(*[conv() for _ in range(20)]), (20, 1)),
    ],
)
def test_known_networks(module, reach):
    assert probe(module, 3) == reach


@pytest.mark.parametrize(
    ("name", "arguments", "reach"),
    [
        ("bicubic", {"factor": 2}, (2, 1)),
        ("bicubic", {"factor": 4}, (2, 1)),
        # Head, two convolutions per block, tail.
        ("fast-residual", {"blocks": 4}, (10, 1)),
        ("fast-residual", {"blocks": 8, "features": 48}, (18, 1)),
    ],
)
def test_networks_of_the_package(name, arguments, reach):
    assert probe(build_network(name, **arguments), 3) == reach


def test_residual_unet_needs_its_pooling_grid():
    halo, multiple = probe(build_network("residual-unet"), 3)
    assert multiple == 16
    # Two convolutions per level and one below, each counted in its level's pixels, on the way down
    # and up; a cell's place within the grid adds less than one coarse pixel.
    assert 2 * (2 + 4 + 8 + 16) + 16 <= halo <= 96


def test_trained_weights_of_zero_do_not_hide_a_dependence():
    module = nn.Sequential(conv(), conv())
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    assert probe(module, 3) == (2, 1)
    assert all((p == 0).all() for p in module.parameters())


@pytest.mark.parametrize("module", [AddMean(), nn.InstanceNorm2d(3)])
def test_a_network_that_looks_everywhere_is_refused(module):
    with pytest.raises(ModelError, match="cannot be tiled"):
        probe(module, 3)


def test_a_network_that_knows_its_position_is_refused():
    with pytest.raises(ModelError, match="does not move with its input"):
        probe(AddPosition(), 3)


def test_the_network_is_left_as_it_was():
    module = conv().train()
    before = module.weight.clone()
    probe(module, 3)
    assert module.training
    assert module.weight.requires_grad
    assert torch.equal(module.weight, before)
    assert torch.backends.mkldnn.enabled
