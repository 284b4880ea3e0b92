"""DSIR's image of a stack: exact tiles, any pixel size, resumed, and clear about bad input."""

import json

import numpy as np
import pytest
import torch
import zarr

from napari_microsr.cli import execute
from napari_microsr.core.device import resolve
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.weights import ModelCard, export
from napari_microsr.errors import JobError, ModelError, OutputError
from napari_microsr.smlm import draw_job
from napari_microsr.smlm.draw_job import draw_image, draws_image
from napari_microsr.smlm.dsir_image import DsirStack, moments, shares
from napari_microsr.smlm.job import LocalizeJob, localize
from napari_microsr.smlm.networks.dsir import DsirAutoencoder, calibrate, enlarge, magnify
from napari_microsr.smlm.simulate import Scene, simulate_frames

SHAPE = (21, 34)


@pytest.fixture(scope="module")
def frames():
    scene = Scene(density_um2=(1.0, 1.0))
    return simulate_frames(np.random.default_rng(5), 3, SHAPE, scene).photons.astype(np.uint16)


@pytest.fixture(scope="module")
def network(frames):
    torch.manual_seed(0)
    net = DsirAutoencoder()
    calibrate(net, [enlarge(torch.from_numpy(frames[:, None].astype(np.float32)))])
    return net


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    card = {
        "id": "drawer", "summary": "A test.", "domain": "smlm",
        "licence": "BSD-3-Clause", "task": "localization", "architecture": "dsir-autoencoder",
        "arguments": {}, "factor": 8, "channels": 1,
        "parameters": 3339, "halo_px": 4, "multiple_of": 1, "normalisation": "identity",
        "reduced_precision": False, "trained_on": [],
    }  # fmt: skip
    return str(export(network, ModelCard.model_validate(card), tmp_path_factory.mktemp("weights")))


@pytest.fixture
def whole(network, frames):
    """The sum of the network's answers to whole frames."""
    with torch.no_grad():
        seen = [network(enlarge(torch.from_numpy(f[None, None].astype(np.float32))))[0, 0] for f in frames]
    return sum(seen).numpy()


@pytest.fixture
def draw(weights, frames, tmp_path):
    def draw_(name="image.ome.zarr", progress=None, **settings):
        job = LocalizeJob(
            source="stack", output=tmp_path / name, pixel_nm=100, model=weights, device="cpu", **settings
        )
        source = ImageSource.from_array(frames, axes="tyx", name="stack")
        path = draw_image(job, source=source, progress=progress)
        return path, zarr.open_array(path / "0", mode="r")[:]

    return draw_


def test_an_image_is_the_sum_of_whole_frames(draw, whole):
    path, image = draw()
    assert image.shape == (8 * SHAPE[0], 8 * SHAPE[1])
    np.testing.assert_allclose(image, whole, atol=1e-4)
    assert whole.max() > 0.1
    placed = open_image(path).placement
    np.testing.assert_allclose(placed.pixel_size_um, (0.0125, 0.0125))
    # The corner of the image is that of the first camera pixel, whose centre is at 0.
    np.testing.assert_allclose(placed.translate, (-43.75, -43.75))


def test_tiles_leave_no_trace(draw, whole, monkeypatch):
    monkeypatch.setattr(draw_job, "TILE_FINE_PX", 64)
    _, image = draw()
    np.testing.assert_allclose(image, whole, atol=1e-4)


@pytest.mark.parametrize("image_nm", [7.0, 12.5, 30.0, 100.0, 130.0])
def test_no_light_is_lost_at_any_pixel_size(draw, whole, image_nm):
    path, image = draw(image_nm=image_nm)
    assert image.shape == tuple(int(np.ceil(side * 100 / image_nm)) for side in SHAPE)
    assert image.sum() == pytest.approx(whole.sum(), rel=1e-4)
    assert open_image(path).placement.pixel_size_um[0] == pytest.approx(image_nm / 1000)
    if image_nm == 100:
        np.testing.assert_allclose(image, whole.reshape(21, 8, 34, 8).sum((1, 3)), rtol=1e-3, atol=1e-3)


def test_only_the_frames_that_are_wanted(network, draw, frames):
    _, image = draw(first_frame=1, last_frame=1)
    with torch.no_grad():
        seen = network(enlarge(torch.from_numpy(frames[1][None, None].astype(np.float32))))[0, 0]
    np.testing.assert_allclose(image, seen.numpy(), atol=1e-4)


def test_a_cancelled_image_goes_on(draw, whole, monkeypatch):
    monkeypatch.setattr(draw_job, "TILE_FINE_PX", 128)

    class CancelAt(SilentProgress):
        def __init__(self, last):
            super().__init__()
            self.last, self.seen = last, []

        def advance(self, label, done, total):
            self.seen.append(done)
            if done == self.last:
                raise Cancelled

    with pytest.raises(Cancelled):
        draw(progress=CancelAt(7))
    rest = CancelAt(-1)
    _, image = draw(progress=rest)
    assert rest.seen[0] == 7, "two tiles of three frames were kept"
    np.testing.assert_allclose(image, whole, atol=1e-4)


def test_moments_are_those_of_the_whole_frame(rng):
    for shape in ((1, 1), (3, 200), (131, 5)):
        frame = rng.normal(1000, 30, shape).astype(np.float32)
        fine = magnify(torch.from_numpy(frame[None, None])).double()
        mean, deviation = moments(frame)
        assert mean == pytest.approx(float(fine.mean()), rel=1e-6)
        assert deviation == pytest.approx(max(float(fine.std(correction=0)), 1e-6), rel=1e-3, abs=1e-3)


def test_a_frame_without_contrast_is_no_error(network):
    source = ImageSource.from_array(np.full((1, 5, 6), 7, np.uint16), axes="tyx")
    stack = DsirStack(network, resolve("cpu"), source, range(1))
    assert np.isfinite(stack.draw(slice(0, 5), slice(0, 6), lambda: None)).all()


def test_shares_add_up(rng):
    for size in (0.3, 1.0, 1.6, 8.0):
        first, count = (int(n) for n in rng.integers(1, 20, 2))
        wanted, overlap = shares(first, count, size)
        np.testing.assert_allclose(overlap.sum(1), min(size, count * size), rtol=1e-5)
        assert overlap.shape == (count, wanted.stop - wanted.start)
    np.testing.assert_array_equal(shares(3, 4, 1.0)[1], np.eye(4))


def test_who_draws(weights):
    assert draws_image(weights)
    assert not draws_image("emitters-2d")
    assert not draws_image("gaussian-mle")
    with pytest.raises(ModelError):
        draws_image("nobody")


def test_what_does_not_go_together_is_said(draw, weights, tmp_path):
    with pytest.raises(JobError, match="do not suit"):
        draw(image_nm=5000)
    with pytest.raises(OutputError, match="OME-Zarr name"):
        draw("image.csv")
    job = LocalizeJob(
        source="a", output=tmp_path / "a.csv", pixel_nm=100, model=weights, offset=0, psf_sigma_px=1
    )
    source = ImageSource.from_array(np.zeros((1, 8, 8), np.uint16), axes="tyx")
    with pytest.raises(ModelError, match="draws an image"):
        localize(job, source=source)
    other = job.model_copy(update={"model": "emitters-2d", "output": tmp_path / "a.ome.zarr"})
    with pytest.raises(ModelError, match="draws no image"):
        draw_image(other, source=source)


def test_the_command_draws(frames, weights, tmp_path, capsys):
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    out = str(tmp_path / "drawn.ome.zarr")
    told = ["localize", str(tmp_path / "stack.tif"), out, "--model", weights, "--pixel-nm", "100", "--json"]
    assert execute(told) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == [out]
    assert open_image(out).height == 8 * SHAPE[0]
