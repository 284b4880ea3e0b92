"""Every shipped network through the whole pipeline: exact tiles, type kept, precision as its card says."""

import numpy as np
import pytest
import torch
import zarr
from torch.nn import functional

from napari_microsr.core.device import Device
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.samples import SLIDE
from napari_microsr.core.weights import SHIPPED, find, read_card
from napari_microsr.superres import run as run_module
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.networks.conditioned import conditioned
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.run import prepare

IMAGE_CARDS = [
    card
    for path in sorted(SHIPPED.glob("*.json"))
    if (card := read_card(path)).task in ("super-resolution", "restoration")
]
MODELS = [card.id for card in IMAGE_CARDS]
#: What a conditioned network is told: blur in pixels, noise as a share of the range.
TOLD = {"blur_px": 0.3, "noise": 0.01}
ODD = (slice(1600, 1701), slice(1000, 1087))


@pytest.fixture
def crop():
    return np.ascontiguousarray(open_image(SLIDE).read(0, *ODD).transpose(1, 2, 0))


def picture(crop, model):
    """What the model is for: the crop, or its inverted green channel."""
    return 255 - crop[..., 1] if find(model)[0].channels == 1 else crop


def source_of(image):
    rgb = image.ndim == 3
    return ImageSource.from_array(image, axes="yxc" if rgb else "yx", rgb=rgb, name="crop")


def run(image, model, tmp_path, name, **settings):
    settings = {"device": "cpu", "precision": "float32", **settings}
    if find(model)[0].conditioned:
        settings |= TOLD
    job = UpscaleJob(source="crop", output=tmp_path / f"{name}.ome.zarr", model=model, **settings)
    (path,) = upscale(job, source=source_of(image))
    return zarr.open_array(path / "0")[:]


def whole_image(image, model):
    """The network on the whole image at once, in intensities, edges replicated."""
    card, weights = find(model)
    network = load_network(card, weights).eval()
    if card.conditioned:
        network = conditioned(network, **TOLD)
    low, high = 0.0, 1.0
    if card.normalisation == "range" and image.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif card.normalisation != "identity":
        # Affine: put into the reference by hand.
        low, high = np.percentile(image, (0.1, 99.9))
    units = np.atleast_3d((image - low) / (high - low)).astype(np.float32)
    pixels = torch.from_numpy(units).permute(2, 0, 1)[None]
    # Twice the halo, should the card be wrong; a U-Net's grid of 16 px begins at the image's corner.
    margin = 16 * (card.halo_px // 8 + 1)
    extra = [-(side + 2 * margin) % 16 for side in pixels.shape[2:]]
    padded = functional.pad(pixels, (margin, margin + extra[1], margin, margin + extra[0]), mode="replicate")
    with torch.inference_mode():
        result = network(padded)[0].numpy()
    n = card.factor
    y, x = (slice(n * margin, n * (margin + side)) for side in pixels.shape[2:])
    inside = result[:, y, x] * (high - low) + low
    return inside[0] if image.ndim == 2 else inside


@pytest.mark.parametrize("model", MODELS)
def test_tiles_of_any_size_equal_the_whole_image(crop, tmp_path, model):
    image = picture(crop, model).astype(np.float32) / 255
    expected = whole_image(image, model)
    for tile_px in (48, 2000):
        result = run(image, model, tmp_path, f"float{tile_px}", tile_px=tile_px)
        assert result.dtype == np.float32
        assert np.abs(result - expected).max() <= 1e-6 * np.ptp(expected), tile_px


@pytest.mark.parametrize("model", MODELS)
def test_counts_equal_the_whole_image_but_for_ties(crop, tmp_path, model):
    image = picture(crop, model)
    exact = whole_image(image, model)
    result = run(image, model, tmp_path, "counts", tile_px=64)
    expected = np.clip(np.rint(exact), 0, 255)
    tie = np.abs(exact - np.floor(exact) - 0.5) < 1e-3
    assert (result == expected)[~tie].all()
    assert tie.mean() < 0.01


@pytest.mark.parametrize("model", MODELS)
def test_reduced_precision_is_tiled_to_one_count(crop, tmp_path, model, monkeypatch):
    monkeypatch.setattr(run_module, "resolve", lambda name: Device("cpu", torch.bfloat16, True))
    image = picture(crop, model)
    small, large = (
        run(image, model, tmp_path, f"reduced{tile}", tile_px=tile, precision="auto").astype(int)
        for tile in (48, 2000)
    )
    assert np.abs(small - large).max() <= 1


def test_only_networks_that_lose_nothing_run_in_reduced_precision(crop, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "resolve", lambda name: Device("cpu", torch.bfloat16, True))
    for card in IMAGE_CARDS:
        source = source_of(picture(crop, card.id))
        job = UpscaleJob(source="crop", output=tmp_path / "out", model=card.id)
        precision = prepare(job, source, SilentProgress()).precision
        cost = card.reduced_precision_cost_db
        assert precision == ("bfloat16" if card.reduced_precision else "float32")
        assert not card.reduced_precision or (cost is not None and cost <= 0.02)
        float32 = job.model_copy(update={"precision": "float32"})
        assert prepare(float32, source, SilentProgress()).precision == "float32"


def test_an_image_outside_the_card_is_told(crop):
    from napari_microsr.core.image import Placement
    from napari_microsr.superres.run import mismatches

    card, _ = find("histology-x2")
    fits = Placement(("y", "x"), ("um", "um"), (0.5, 0.5), (0.0, 0.0))
    far = Placement(("y", "x"), ("um", "um"), (50.0, 50.0), (0.0, 0.0))
    image = {"axes": "yxc", "rgb": True}
    assert mismatches(card, ImageSource.from_array(crop, placement=fits, **image)) == []
    (size,) = mismatches(card, ImageSource.from_array(crop, placement=far, **image))
    assert "50 µm" in size
    (kind,) = mismatches(card, ImageSource.from_array(crop.astype(np.uint16), placement=fits, **image))
    assert "uint16" in kind
