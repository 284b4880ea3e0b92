"""Localise a stack from file to table: the same whatever the blocks, resumed, and clear about bad input."""

import json
import re

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, JobError, ModelError, OutputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.formats import Field, read_table
from napari_microsr.smlm.job import LocalizeJob, localize, provenance_path
from napari_microsr.smlm.metrics import score
from napari_microsr.smlm.simulate import Scene, simulate_frames

CAMERA = Camera(offset=100.0)


@pytest.fixture(scope="module")
def simulation():
    scene = Scene(density_um2=(0.3, 0.3), photons=(600.0, 2000.0), sigma_spread=0.0)
    return simulate_frames(np.random.default_rng(1), 12, (40, 51), scene)


@pytest.fixture
def counts(simulation):
    return (simulation.photons + 100).astype(np.uint16)


def job(tmp_path, name="out.csv", **settings):
    settings = {"pixel_nm": 100, "model": "gaussian-mle", "offset": 100, "psf_sigma_px": 1.06} | settings
    return LocalizeJob(source="stack", output=tmp_path / name, **settings)


def run(counts, tmp_path, name="out.csv", progress=None, found=None, **settings):
    source = ImageSource.from_array(counts, axes="tyx", name="stack")
    return localize(job(tmp_path, name, **settings), source=source, progress=progress, found=found)


class CancelAt(SilentProgress):
    def __init__(self, frame):
        super().__init__()
        self.frame = frame

    def advance(self, label, done, total):
        if label == "frames" and done >= self.frame:
            raise Cancelled


def test_a_tiff_becomes_a_thunderstorm_table(counts, simulation, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, counts.astype(">u2"), imagej=False, metadata={"axes": "TYX"})
    settings = job(tmp_path, "out.csv").model_copy(update={"source": str(path)})
    table = localize(settings)
    outcome = score(simulation.truth, table)
    assert outcome.jaccard > 0.9
    assert outcome.median_nm < 10
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header.startswith('"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]"')
    again = read_table(tmp_path / "out.csv", Field(pixel_nm=100))
    np.testing.assert_allclose(again.x, table.x, atol=1e-3)
    assert not (tmp_path / "out.csv.partial").exists()


@pytest.mark.parametrize("block", [1, 5, 12, 400])
def test_blocks_of_any_size_give_the_same_table(counts, tmp_path, block):
    whole = run(counts, tmp_path, "whole.csv")
    parts = run(counts, tmp_path, "parts.csv", block_frames=block)
    for name, column in whole.columns().items():
        np.testing.assert_array_equal(parts.columns()[name], column)
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()


def test_a_cancelled_run_goes_on_where_it_stopped(counts, tmp_path):
    run(counts, tmp_path, "whole.csv")
    with pytest.raises(Cancelled):
        run(counts, tmp_path, "cut.csv", CancelAt(8), block_frames=3)
    assert not (tmp_path / "cut.csv").exists()
    seen = []
    run(counts, tmp_path, "cut.csv", found=lambda a, b, t: seen.append((a, b)), block_frames=5)
    assert seen == [(0, 6), (6, 11), (11, 12)]
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "cut.csv").read_bytes()


def test_an_unfinished_run_with_other_settings_is_not_mixed_in(counts, tmp_path):
    with pytest.raises(Cancelled):
        run(counts, tmp_path, "cut.csv", CancelAt(8), block_frames=3)
    with pytest.raises(OutputError, match="other settings"):
        run(counts, tmp_path, "cut.csv", threshold=8)
    assert len(run(counts, tmp_path, "cut.csv", threshold=8, restart=True))


def test_frames_can_be_chosen(counts, tmp_path):
    whole = run(counts, tmp_path, "whole.csv")
    some = run(counts, tmp_path, "some.csv", first_frame=3, last_frame=6)
    chosen = whole.select((whole.frame >= 3) & (whole.frame <= 6))
    np.testing.assert_array_equal(some.x, chosen.x)
    np.testing.assert_array_equal(some.frame, chosen.frame)
    assert some.n_frames == 12


def test_what_is_not_given_is_measured_and_said(counts, simulation, tmp_path):
    progress = SilentProgress()
    table = run(counts, tmp_path, progress=progress, offset=None, psf_sigma_px=None)
    said = " ".join(progress.warnings)
    assert "psf" in said.lower()
    offset = float(re.search(r"estimated as ([\d.]+) counts", said)[1])
    assert offset == pytest.approx(100, abs=4)
    assert "sigma of 1.0" in said
    assert score(simulation.truth, table).jaccard > 0.9


def test_columns_agree_with_the_truth(counts, simulation, tmp_path):
    table = run(counts, tmp_path)
    assert np.median(table.background) == pytest.approx(20, rel=0.15)
    assert np.median(table.photons) == pytest.approx(np.median(simulation.truth.photons), rel=0.1)
    assert (table.uncertainty_nm > 0).all()


def test_one_frame_and_a_single_picture(counts, tmp_path):
    assert run(counts[:1], tmp_path, "one.csv").n_frames == 1
    source = ImageSource.from_array(counts[0], axes="yx", name="picture")
    assert len(localize(job(tmp_path, "two.csv"), source=source))


def test_constant_frames_hold_nothing_and_that_is_said(tmp_path):
    progress = SilentProgress()
    table = run(np.full((3, 20, 20), 100, np.uint16), tmp_path, progress=progress)
    assert len(table) == 0
    assert "nothing to localise" in " ".join(progress.warnings)


def test_saturation_and_a_wrong_offset_are_said(counts, tmp_path):
    progress = SilentProgress()
    bright = counts.copy()
    bright[:, 5, 5] = 65535
    run(bright, tmp_path, "a.csv", progress=progress)
    assert "saturated" in progress.warnings[0]
    run(counts, tmp_path, "b.csv", progress=progress, offset=118)
    assert "offset seems too large" in " ".join(progress.warnings)
    with pytest.raises(JobError, match="less than no light"):
        run(counts, tmp_path, "c.csv", offset=300)
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: np.where(np.arange(12)[:, None, None] == 7, np.nan, c).astype(np.float32), "Frame 7"),
        (lambda c: np.repeat(c[..., None], 3, -1).astype(np.uint8), "RGB"),
        (lambda c: c.reshape(3, 4, 40, 51), "several axes"),
    ],
    ids=["nan", "rgb", "two axes"],
)
def test_stacks_that_will_not_do(counts, tmp_path, change, message):
    array = change(counts)
    axes = {3: "tyx", 4: "tcyx"}[array.ndim] if array.shape[-1] != 3 else "tyxc"
    source = ImageSource.from_array(array, axes=axes, rgb=axes == "tyxc", name="stack")
    with pytest.raises(InputError, match=message):
        localize(job(tmp_path), source=source)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pixel_nm": 0}, InputError, "impossible"),
        ({"pixel_nm": -100}, InputError, "impossible"),
        ({"pixel_nm": 0.1}, InputError, "100 nm"),
        ({"first_frame": 12}, JobError, "frames 0 to 11"),
        ({"last_frame": 12}, JobError, "frames 0 to 11"),
        ({"model": "histology-x2"}, ModelError, "localises"),
        ({"model": "none-such"}, ModelError, "no model"),
    ],
    ids=str,
)
def test_settings_that_will_not_do(counts, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        run(counts, tmp_path, **settings)


def test_outputs_that_will_not_do(counts, tmp_path):
    with pytest.raises(OutputError, match="endings"):
        run(counts, tmp_path, "out.txt")
    run(counts, tmp_path)
    with pytest.raises(OutputError, match="exists"):
        run(counts, tmp_path)
    assert len(run(counts, tmp_path, restart=True))


def test_maps_of_a_camera_are_used(simulation, tmp_path):
    offset = np.random.default_rng(0).uniform(80, 200, (40, 51))
    counts = np.rint(simulation.photons + offset).astype(np.uint16)
    source = ImageSource.from_array(counts, axes="tyx", name="stack")
    table = localize(job(tmp_path), source=source, camera=Camera(offset=offset))
    assert score(simulation.truth, table).jaccard > 0.9


@pytest.fixture(scope="module")
def dense():
    scene = Scene(density_um2=(3.0, 3.0))
    return simulate_frames(np.random.default_rng(2), 12, (64, 64), scene)


def test_an_unknown_camera_is_estimated_where_that_is_asked_for(dense, tmp_path):
    counts = np.rint(dense.photons / 0.25 + 200).astype(np.uint16)
    progress = SilentProgress()
    run(counts, tmp_path, progress=progress, offset=None, gain=None, estimate_camera=True)
    (said,) = [warning for warning in progress.warnings if "estimated" in warning]
    offset, gain = re.search(r"offset of ([\d.]+) counts, ([\d.]+) ±", said).groups()
    assert float(gain) == pytest.approx(0.25, rel=0.15)
    assert float(offset) == pytest.approx(200, abs=20)
    made = json.loads(provenance_path(tmp_path / "out.csv").read_text())
    assert made["camera"]["e_per_adu"] == pytest.approx(float(gain), rel=0.01)
    assert made["camera"]["offset"] == pytest.approx(float(offset), abs=0.1)


def test_a_gain_that_is_only_assumed_is_doubted(dense, tmp_path):
    counts = np.rint(dense.photons / 0.25 + 200).astype(np.uint16)
    progress = SilentProgress()
    run(counts, tmp_path, "a.csv", progress=progress, offset=200)
    assert any("taken as 1 electron per count" in warning for warning in progress.warnings)
    for name, settings in (("b.csv", {"gain": 0.25}), ("c.csv", {"gain": 1.0})):
        progress = SilentProgress()
        run(counts, tmp_path, name, progress=progress, offset=200, **settings)
        assert not any("electron per count" in warning for warning in progress.warnings)


def test_the_metadata_of_a_file_are_taken_unless_the_job_says_otherwise(dense, tmp_path):
    counts = np.rint(dense.photons / 0.5 + 300).astype(np.uint16)
    path = tmp_path / "stack.tif"
    note = "[Conversion Factor Coeff] = 0.5\n[Conversion Factor Offset] = 300\n"
    tifffile.imwrite(path, counts, description=note, metadata=None)
    progress = SilentProgress()
    settings = job(tmp_path, offset=None).model_copy(update={"source": str(path)})
    localize(settings, progress=progress)
    assert any("offset 300, gain 0.5" in warning for warning in progress.warnings)
    made = json.loads(provenance_path(tmp_path / "out.csv").read_text())
    assert (made["camera"]["offset"], made["camera"]["e_per_adu"]) == (300, 0.5)
    localize(settings.model_copy(update={"gain": 2.0, "offset": 310.0, "output": tmp_path / "own.csv"}))
    made = json.loads(provenance_path(tmp_path / "own.csv").read_text())
    assert (made["camera"]["offset"], made["camera"]["e_per_adu"]) == (310, 2.0)
