"""Tiled equals whole, for every network, size, type and device memory; holes and constants stay sane."""

from functools import cache

import numpy as np
import pytest
import torch

from napari_microsr.core.device import Device, resolve
from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.runner import run_tiles
from napari_microsr.core.sink import MemorySink
from napari_microsr.core.tiles import TilePlan
from napari_microsr.errors import DeviceError
from napari_microsr.superres.normalise import measure
from napari_microsr.superres.process import NetworkProcess, residual_dtype
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import build_network

CPU = Device("cpu", torch.bfloat16, channels_last=True)
NETWORKS = {
    "bicubic": ("bicubic", {"factor": 2}),
    "bicubic-x4": ("bicubic", {"factor": 4}),
    "fast": ("fast-residual", {"channels": 3, "features": 8, "blocks": 2, "factor": 2}),
    "fast-grey": ("fast-residual", {"channels": 1, "features": 8, "blocks": 1, "factor": 4}),
    "unet": ("residual-unet", {}),
}


def network_of(name):
    torch.manual_seed(3)
    architecture, arguments = NETWORKS[name]
    network = build_network(architecture, **arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            # Fresh residual branches are near zero: a seam would hide there.
            if parameter.dim() == 4:
                torch.nn.init.kaiming_uniform_(parameter, a=1.0)
    return network, arguments.get("factor", 1), arguments.get("channels", 3)


@cache
def reach_of(name, channels):
    return probe(network_of(name)[0], channels)


def enlarge(
    image, name, tile_px, *, rgb, method="identity", reduced=False, residual=False, device=CPU, **options
):
    """Run the tiled pipeline in memory; returns the sinks' arrays, shape (planes, C, Y, X)."""
    network, factor, _ = network_of(name)
    halo_px, multiple_of = reach_of(name, 3 if rgb else 1)
    source = ImageSource.from_array(image, axes="yxc" if rgb else "zyx"[-image.ndim :], rgb=rgb)
    plan = TilePlan.cover(source, tile_px, halo_px=halo_px, multiple_of=multiple_of, factor=factor)
    types = [source.dtype, residual_dtype(source.dtype)][: 1 + residual]
    sinks = [MemorySink(source, plan, dtype) for dtype in types]
    process = NetworkProcess(
        options.pop("network", network),
        device,
        measure(source, method),
        source.dtype,
        factor=factor,
        halo_px=plan.halo_px,
        multiple_of=multiple_of,
        reduced=reduced,
        tile_typed=options.pop("tile_typed", False),
        residual=residual,
        progress=options.pop("progress", SilentProgress()),
    )
    run_tiles(source, plan, process, sinks, SilentProgress(), plan.batches(1))
    return [sink.array for sink in sinks]


def whole(image, name, *, rgb):
    """The network on the whole image, its edges replicated: no tile, no pipeline of ours."""
    network, factor, _ = network_of(name)
    pixels = torch.from_numpy(image.astype(np.float32))
    pixels = pixels.permute(2, 0, 1)[None] if rgb else pixels.reshape(-1, 1, *image.shape[-2:])
    margin = 224 if name == "unet" else 32
    height, width = pixels.shape[2:]
    extra = [-(height + 2 * margin) % 16, -(width + 2 * margin) % 16]
    padded = torch.nn.functional.pad(
        pixels, (margin, margin + extra[1], margin, margin + extra[0]), mode="replicate"
    )
    with torch.inference_mode():
        result = network(padded)
    y, x = factor * margin, factor * margin
    return result[:, :, y : y + factor * height, x : x + factor * width].numpy()


def test_leaving_the_padding_out_changes_nothing_inside(rng):
    network, *_ = network_of("fast")
    window = torch.from_numpy(rng.uniform(0, 1, (1, 3, 40, 31)).astype(np.float32))
    reach = reach_of("fast", 3).halo_px
    with torch.inference_mode():
        padded, trimmed = network(window), network.without_padding()(window)
    rim = 2 * reach
    assert trimmed.shape[2:] == (80 - 2 * rim, 62 - 2 * rim)
    torch.testing.assert_close(trimmed, padded[:, :, rim:-rim, rim:-rim], rtol=0, atol=2e-6)


SIZES = [(1, 1), (37, 53), (16, 131), (100, 64)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_tiled_equals_whole_in_float32(rng, name, size):
    rgb = name in ("fast", "unet", "bicubic")
    image = rng.uniform(0, 1, (*size, 3) if rgb else size).astype(np.float32)
    expected = whole(image, name, rgb=rgb)
    for tile_px in (32, 64, 1000):
        (result,) = enlarge(image, name, tile_px, rgb=rgb)
        span = np.ptp(expected) + 1
        assert np.abs(result - expected).max() <= 1e-6 * span, tile_px


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2"])
def test_counts_are_the_same_but_for_ties(rng, dtype):
    image = rng.integers(0, 255, (70, 45, 3)).astype(dtype)
    (tiled,) = enlarge(image, "fast", 24, rgb=True)
    exact = whole(image, "fast", rgb=True)
    limits = np.iinfo(image.dtype)
    expected = np.clip(np.rint(exact), limits.min, limits.max)
    tie = np.abs(exact - np.floor(exact) - 0.5) < 1e-4 * 255
    assert tiled.dtype == image.dtype.newbyteorder("=")
    assert (np.abs(tiled.astype(float) - expected)[~tie] == 0).all()
    assert tie.mean() < 0.2


@pytest.mark.parametrize("name", ["fast", "unet"])
def test_reduced_precision_moves_a_tile_by_at_most_one_count(rng, name):
    image = rng.integers(0, 255, (90, 75, 3), np.uint8)
    whole_image, tiled = (
        enlarge(image, name, tile_px, rgb=True, method="range", reduced=True)[0].astype(int)
        for tile_px in (1000, 32)
    )
    assert np.abs(whole_image - tiled).max() <= 1


def test_bicubic_is_pillows(rng):
    from PIL import Image

    # Pillow clips between its two passes: grey levels whose overshoot stays inside show the kernel itself.
    image = rng.integers(90, 160, (40, 33), np.uint8)
    (result,) = enlarge(image, "bicubic", 16, rgb=False)
    reference = np.asarray(Image.fromarray(image).resize((66, 80), Image.Resampling.BICUBIC))
    inside = (slice(4, -4), slice(4, -4))
    assert np.abs(result[0, 0][inside].astype(int) - reference[inside]).max() <= 1


def test_an_affine_change_of_intensities_passes_through(rng):
    image = rng.uniform(0, 1, (40, 40)).astype(np.float32)
    (plain,) = enlarge(image, "fast-grey", 32, rgb=False, method="percentile")
    (changed,) = enlarge(500 * image + 90, "fast-grey", 32, rgb=False, method="percentile")
    np.testing.assert_allclose(changed, 500 * plain + 90, atol=500 * 2e-5 * np.ptp(plain))


def test_channels_are_normalised_each_and_planes_of_a_channel_together(rng):
    image = rng.uniform(0, 1, (2, 3, 20, 20)).astype(np.float32)
    image[:, 1] *= 1000
    source = ImageSource.from_array(image, axes="tcyx", rgb=False)
    found = measure(source, "percentile")
    for channel in range(3):
        low, high = np.percentile(image[:, channel], (0.1, 99.9))
        assert (found.low[channel], found.high[channel]) == pytest.approx((low, high))


@pytest.mark.parametrize("method", ["identity", "range", "percentile"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_constant_image_stays_constant(method, dtype):
    image = np.full((30, 30, 3), 77, dtype)
    (result,) = enlarge(image, "bicubic", 16, rgb=True, method=method)
    assert (np.abs(result.astype(float) - 77) < 1e-3).all()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_holes_stay_holes_and_spread_nothing(rng, hole):
    image = rng.uniform(0, 1, (40, 40)).astype(np.float32)
    image[17, 20] = hole
    (result,) = enlarge(image, "bicubic", 16, rgb=False, method="percentile")
    expected = np.zeros((80, 80), bool)
    expected[34:36, 40:42] = True
    np.testing.assert_array_equal(np.isnan(result[0, 0]), expected)
    (empty,) = enlarge(np.full((9, 9), np.nan, np.float32), "bicubic", 16, rgb=False, method="percentile")
    assert np.isnan(empty).all()


def test_the_residual_is_the_result_minus_its_baseline(rng):
    image = rng.integers(0, 255, (50, 60, 3), np.uint8)
    result, residual = enlarge(image, "fast", 32, rgb=True, method="range", residual=True)
    (bicubic,) = enlarge(image.astype(np.float32), "bicubic", 32, rgb=True)
    assert residual.dtype == np.int16
    inside = (result > 0) & (result < 255)
    assert np.abs(bicubic + residual - result)[inside].max() <= 1.0 + 1e-3
    restored, change = enlarge(image, "unet", 32, rgb=True, method="range", residual=True)
    inside = (restored > 0) & (restored < 255)
    difference = restored.astype(int) - image.transpose(2, 0, 1)[None]
    assert np.abs(change - difference)[inside].max() <= 1


class SmallMemory(torch.nn.Module):
    """A network on a device that cannot hold more than some pixels, as CUDA reports it."""

    def __init__(self, network, limit_px):
        super().__init__()
        self.network, self.limit_px, self.seen = network, limit_px, []

    def forward(self, x):
        if x.shape[2] * x.shape[3] > self.limit_px:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(tuple(x.shape[2:]))
        return self.network(x)


@pytest.mark.parametrize(("name", "fitting"), [("fast", 64), ("fast", 32), ("unet", 64)])
def test_a_tile_too_large_for_the_memory_is_halved_and_says_so(rng, name, fitting):
    image = rng.uniform(0, 1, (130, 150, 3)).astype(np.float32)
    network, *_ = network_of(name)
    halo_px, multiple_of = reach_of(name, 3)
    halo_px = -(-halo_px // multiple_of) * multiple_of
    progress = SilentProgress()
    small = SmallMemory(network, (fitting + 2 * halo_px) ** 2)
    (result,) = enlarge(image, name, 128, rgb=True, network=small, progress=progress)
    (expected,) = enlarge(image, name, 128, rgb=True)
    np.testing.assert_allclose(result, expected, atol=2e-6 * (np.ptp(expected) + 1))
    assert "128 px does not fit" in progress.warnings[0]
    assert f"using {fitting} px" in progress.warnings[-1]
    assert len(progress.warnings) == {64: 1, 32: 2}[fitting], "it tells once, not for every tile"
    assert set(small.seen) == {(fitting + 2 * halo_px, fitting + 2 * halo_px)}


def test_a_typed_tile_too_large_fails_with_both_numbers(rng):
    image = rng.uniform(0, 1, (130, 150, 3)).astype(np.float32)
    small = SmallMemory(network_of("fast")[0], 90 * 90)
    with pytest.raises(DeviceError, match=r"tile of 128 px does not fit.* Set the tile to 64 px or less"):
        enlarge(image, "fast", 128, rgb=True, network=small, tile_typed=True)


def test_a_device_that_holds_nothing_is_an_error_not_an_endless_loop(rng):
    image = rng.uniform(0, 1, (130, 150, 3)).astype(np.float32)
    with pytest.raises(DeviceError, match="Even a tile of"):
        enlarge(image, "fast", 128, rgb=True, network=SmallMemory(network_of("fast")[0], 10))


def test_devices_resolve_or_say_what_there_is():
    assert resolve("cpu").kind == "cpu"
    assert resolve("auto").kind in ("cpu", "cuda", "mps")
    for wrong in ("gpu", "cuda:99", "cuda:x", ""):
        with pytest.raises(DeviceError, match=r"Choose one of: .*cpu"):
            resolve(wrong)
