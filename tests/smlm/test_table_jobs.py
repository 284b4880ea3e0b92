"""Render, drift and frc as jobs and as commands."""

import json

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_microsr.cli import DONE, FAILED, WRONG_USAGE, execute
from napari_microsr.core.image import open_image
from napari_microsr.errors import InputError, JobError, OutputError
from napari_microsr.smlm.drift_job import DriftJob, correct_drift
from napari_microsr.smlm.formats import read_table, write_table
from napari_microsr.smlm.frc_job import FrcJob, measure_resolution
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render import RENDERERS, Canvas
from napari_microsr.smlm.render_job import RenderJob, render


@pytest.fixture
def table(rng):
    """Make 400 molecules that shine for 10 frames each, on a drifting stage."""
    count, length, n_frames = 400, 10, 500
    start = rng.integers(0, n_frames - length, count)
    frame = (start[:, None] + np.arange(length)).ravel()
    # Places repeat: 80 sites with five molecules each.
    site = rng.uniform(2, 60, (80, 2))[np.repeat(np.arange(count) % 80, length)]
    drift = np.linspace(0, 1.5, n_frames)
    n = len(frame)
    return Localizations.from_columns(
        frame=frame,
        x=site[:, 0] + drift[frame] + rng.normal(0, 0.1, n),
        y=site[:, 1] + rng.normal(0, 0.1, n),
        photons=rng.uniform(200, 2000, n),
        background=np.full(n, 20.0),
        sigma_px=np.full(n, 1.1),
        x_err=np.full(n, 0.1),
        y_err=np.full(n, 0.1),
        pixel_nm=107.0,
        shape_yx=(64, 66),
        n_frames=n_frames,
    )


@pytest.fixture
def path(table, tmp_path):
    return write_table(tmp_path / "locs.hdf5", table)


@pytest.mark.parametrize("renderer", list(RENDERERS))
def test_a_store_of_many_tiles_is_the_whole_image(table, path, tmp_path, monkeypatch, renderer):
    monkeypatch.setattr("napari_microsr.smlm.render_job.TILE_PX", 160)
    job = RenderJob(table=path, output=tmp_path / "image", pixel_nm=9.0, renderer=renderer)
    assert render(job) == tmp_path / "image.ome.zarr"
    yaozarrs.validate_zarr_store(str(job.output))
    whole = RENDERERS[renderer](read_table(path), Canvas.over(table, 9.0))
    np.testing.assert_allclose(zarr.open_array(job.output / "0")[:], whole, atol=1e-5)
    assert (job.output / "1").exists()
    image = open_image(job.output)
    assert image.placement.units == ("nm", "nm")
    assert image.placement.scale == pytest.approx((9, 9))
    assert image.placement.translate == pytest.approx((4.5 - 53.5, 4.5 - 53.5))


def test_a_store_is_resumed_after_a_cancel(table, path, tmp_path, monkeypatch, cancel_after):
    from napari_microsr.core.progress import Cancelled

    monkeypatch.setattr("napari_microsr.smlm.render_job.TILE_PX", 160)
    job = RenderJob(table=path, output=tmp_path / "image.ome.zarr", pixel_nm=9.0)
    with pytest.raises(Cancelled):
        render(job, progress=cancel_after(3))
    assert not job.output.exists()
    render(job)
    whole = RENDERERS["histogram"](read_table(path), Canvas.over(table, 9.0))
    np.testing.assert_array_equal(zarr.open_array(job.output / "0")[:], whole)
    with pytest.raises(OutputError, match="exists already"):
        render(job)


def test_a_tiff_knows_its_pixel_size_and_what_was_kept(table, path, tmp_path):
    job = RenderJob(table=path, output=tmp_path / "image.tif", pixel_nm=20.0, keep="photons > 1000")
    render(job)
    image = tifffile.imread(job.output)
    assert image.sum() == (table.photons > 1000).sum()
    assert open_image(job.output).placement.pixel_size_um == pytest.approx((0.02, 0.02))
    with pytest.raises(OutputError, match="exists already"):
        render(job)
    job.restart = True
    render(job)


def test_drift_is_taken_out_and_written(table, path, tmp_path):
    job = DriftJob(table=path, output=tmp_path / "still.csv", segment_frames=50)
    corrected, drift = correct_drift(job)
    slope = np.polyfit(np.arange(50, 450), drift.x[50:450], 1)[0] * 500
    assert slope == pytest.approx(1.5, rel=0.1)
    back = read_table(job.output)
    np.testing.assert_allclose(back.x_nm, corrected.x_nm, atol=0.01)
    curve = np.loadtxt(tmp_path / "still.drift.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(curve[:, 0], np.arange(1, 501))
    np.testing.assert_allclose(curve[:, 1:], np.column_stack([drift.x, drift.y]) * 107, atol=1e-3)
    assert np.ptp(corrected.x - table.sorted().x) > 0 or len(corrected) == len(table)
    with pytest.raises(OutputError, match="exists already"):
        correct_drift(job)


def test_resolution_and_precision(table, path, tmp_path):
    still = write_table(tmp_path / "still.parquet", table.replace(x=table.x - table.frame / 500 * 1.5))
    figures = measure_resolution(FrcJob(table=still, output=tmp_path / "curve.csv", pixel_nm=3, repeats=1))
    # In two frames that follow each other the same molecule is found twice, with 10.7 nm each time.
    assert figures["precision_nm"] == pytest.approx(10.7, rel=0.15)
    curve = np.loadtxt(tmp_path / "curve.csv", delimiter=",", skiprows=1)
    assert curve[-1, 0] == pytest.approx(1 / 6, rel=0.02)
    blurred = measure_resolution(FrcJob(table=path, pixel_nm=3, repeats=1))
    assert blurred["resolution_nm"] > 1.3 * figures["resolution_nm"]


def test_the_commands(path, tmp_path, capsys):
    image = tmp_path / "image.ome.zarr"
    assert execute(["render", str(path), str(image), "--pixel-nm", "50", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out) == {"task": "render", "outputs": [str(image)]}
    still = tmp_path / "still.hdf5"
    assert execute(["drift", str(path), str(still), "--segment-frames", "50"]) == DONE
    assert capsys.readouterr().out.split() == [str(still), str(tmp_path / "still.drift.csv")]
    assert execute(["frc", str(still), "--pixel-nm", "3", "--repeats", "1", "--json"]) == DONE
    figures = json.loads(capsys.readouterr().out)
    assert 8 < figures["resolution_nm"] < 100
    assert execute(["frc", str(still), "--pixel-nm", "3", "--repeats", "1"]) == DONE
    assert f"{figures['resolution_nm']:.1f}" in capsys.readouterr().out
    job = tmp_path / "job.yaml"
    job.write_text("task: simulate\noutput: unused.tif\nframes: 3\n")
    assert execute(["simulate", str(job), str(tmp_path / "stack.tif")]) == DONE
    assert capsys.readouterr().out.split() == [str(tmp_path / "stack.tif"), str(tmp_path / "stack.csv")]
    job.write_text(f"task: render\ntable: {path}\noutput: {tmp_path / 'again.tif'}\n")
    assert execute(["run", str(job)]) == DONE
    capsys.readouterr()
    assert execute(["simulate", str(job)]) == FAILED
    assert "microsr run" in capsys.readouterr().err
    assert execute(["render", str(path)]) == WRONG_USAGE
    assert execute(["render", str(tmp_path / "no.csv"), str(tmp_path / "x.tif")]) == FAILED
    assert "no.csv" in capsys.readouterr().err


def test_what_cannot_be_done_is_said(path, tmp_path):
    with pytest.raises(InputError, match="None of the 4000"):
        render(RenderJob(table=path, output=tmp_path / "x.tif", keep="photons > 1e9"))
    with pytest.raises(JobError, match="colour"):
        render(RenderJob(table=path, output=tmp_path / "x.tif", keep="colour > 1"))
    with pytest.raises(OutputError, match="ending"):
        correct_drift(DriftJob(table=path, output=tmp_path / "x.xlsx"))
    with pytest.raises(OutputError, match="cannot be written"):
        render(RenderJob(table=path, output=tmp_path / "no" / "x.tif"))
    with pytest.raises(JobError, match="pixel_nm"):
        RenderJob.parse({"table": path, "output": tmp_path / "x.tif", "pixel_nm": 0})
