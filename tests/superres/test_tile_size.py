"""The automatic tile follows from the network's largest tensor."""

import pytest
import torch

from napari_microsr.core.device import Device
from napari_microsr.core.weights import find
from napari_microsr.superres.registry import build_network
from napari_microsr.superres.tile_size import CPU_TENSOR_BYTES, automatic_tile_px, values_per_pixel

CPU = Device("cpu", torch.bfloat16, channels_last=True)


@pytest.mark.parametrize(
    ("architecture", "arguments", "channels", "expected"),
    [
        ("bicubic", {"factor": 4}, 1, 16),
        ("fast-residual", {"features": 8, "blocks": 1, "factor": 2}, 3, 12),
        ("fast-residual", {"features": 40, "blocks": 1, "factor": 2}, 3, 40),
        ("residual-unet", {}, 3, 32),  # the finest level joins 16 skipped and 16 enlarged channels
    ],
)
def test_the_largest_tensor_is_found(architecture, arguments, channels, expected):
    assert values_per_pixel(build_network(architecture, **arguments).eval(), channels) == expected


@pytest.mark.parametrize("model", ["bicubic", "histology-x2", "residual-unet-histology"])
@pytest.mark.parametrize(("reduced", "size"), [(False, 4), (True, 2)])
def test_the_tiles_largest_tensor_fits_into_recycled_memory(model, reduced, size):
    card, weights = find(model)
    tile = automatic_tile_px(card, weights, CPU, reduced)
    channels = 32 if card.architecture != "bicubic" else 12
    used = (tile + 2 * card.halo_px) ** 2 * channels * size
    assert CPU_TENSOR_BYTES / 3 < used <= CPU_TENSOR_BYTES
