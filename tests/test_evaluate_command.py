"""`microsr evaluate` on images and on tables."""

import csv
import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from napari_microsr.cli import DONE, FAILED, WRONG_USAGE, execute
from napari_microsr.smlm.evaluate_job import EvaluateTableJob, evaluate_table
from napari_microsr.smlm.formats import write_table
from napari_microsr.smlm.localizations import Localizations


@pytest.fixture
def pictures(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    truth = np.clip(128 + 300 * gaussian_filter(rng.normal(size=(64, 48)), 1.5), 0, 255).astype(np.uint8)
    tifffile.imwrite("truth.tif", truth)
    tifffile.imwrite("result.tif", np.clip(truth + rng.normal(0, 5, truth.shape), 0, 255).astype(np.uint8))
    tifffile.imwrite("low.tif", truth.reshape(32, 2, 24, 2).mean((1, 3)).astype(np.uint8))


def molecules(x, y, frame=None, pixel_nm=100.0, shape=(64, 64)):
    return Localizations.from_columns(
        frame=np.zeros(len(x), int) if frame is None else frame,
        x=x,
        y=y,
        pixel_nm=pixel_nm,
        shape_yx=shape,
        n_frames=5,
    )


@pytest.fixture
def tables(tmp_path, monkeypatch, rng):
    """Ten molecules in the middle, of which eight are found 30 nm off, and two that are not there."""
    monkeypatch.chdir(tmp_path)
    x = np.arange(12) * 4.0 + 10
    y = np.full(12, 30.0)
    write_table(tmp_path / "truth.hdf5", molecules(x[:10], y[:10]))
    write_table(tmp_path / "found.hdf5", molecules(x[2:] + 0.3, y[2:]))
    write_table(tmp_path / "found.csv", molecules(x[2:] + 0.3, y[2:]))


def test_images(pictures, capsys, tmp_path):
    assert (
        execute(["evaluate", "result.tif", "truth.tif", "--input", "low.tif", "--csv", "figures.csv"]) == DONE
    )
    shown = capsys.readouterr().out.splitlines()
    assert "PSNR (dB)" in shown[0]
    baselines = ["input", "bicubic", "Lanczos", "sharpened", "sharpened twice", "unsharp mask"]
    assert [line.split("  ")[0] for line in shown[1:]] == ["result", *baselines, "figures.csv"]
    arguments = ["evaluate", "result.tif", "truth.tif", "--also", "truth.tif", "--no-align", "--json"]
    assert execute(arguments) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "evaluate"
    assert found["results"] == ["result", "truth"]
    assert found["figures"]["truth"]["psnr_db"] is None
    with (tmp_path / "figures.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["ssim"]) == pytest.approx(found["figures"]["result"]["ssim"])
    assert execute(["evaluate", "truth.tif", "truth.tif"]) == DONE
    assert "∞" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["found.hdf5", "found.csv"])
def test_tables(tables, capsys, tmp_path, name):
    assert execute(["evaluate", name, "truth.hdf5", "--json", "--csv", "scores.csv"]) == DONE
    found = json.loads(capsys.readouterr().out)["figures"]["found"]
    assert (found["tp"], found["fp"], found["fn"]) == (8, 2, 2)
    assert found["recall"] == found["precision"] == 0.8
    assert found["jaccard"] == pytest.approx(8 / 12)
    assert found["rmse_nm"] == pytest.approx(30, abs=0.01)
    assert found["efficiency"] == pytest.approx(100 - np.hypot(100 / 3, 30), abs=0.01)
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["table"] for row in rows] == ["found", "random"]
    assert float(rows[0]["rmse_nm"]) == pytest.approx(30, abs=0.01)
    assert execute(["evaluate", name, "truth.hdf5", "--radius-nm", "20"]) == DONE
    assert "recall" in capsys.readouterr().out
    strict = evaluate_table(EvaluateTableJob(result=name, reference="truth.hdf5", radius_nm=20))
    assert strict["figures"]["found"]["tp"] == 0
    assert strict["figures"]["found"]["rmse_nm"] is None


def test_tables_of_other_pixels_are_compared_in_nm(tables, tmp_path):
    x = np.array([10.0, 20.0, 30.0])
    # The same places in pixels of half the size: centres move by a quarter pixel.
    write_table(tmp_path / "fine.hdf5", molecules(2 * x + 0.5, 2 * x + 0.5, pixel_nm=50, shape=(128, 128)))
    write_table(tmp_path / "coarse.hdf5", molecules(x, x))
    for pair in (("fine", "coarse"), ("coarse", "fine")):
        result, reference = (tmp_path / f"{name}.hdf5" for name in pair)
        found = evaluate_table(EvaluateTableJob(result=result, reference=reference))["figures"]["found"]
        assert found["tp"] == 3
        assert found["rmse_nm"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["result.tif", "truth.csv"], "one is a table"),
        (["result.tif", "truth.tif", "--radius-nm", "100"], "--radius-nm is not for images"),
        (["a.csv", "b.csv", "--rim-px", "4"], "--rim-px is not for tables"),
        (["a.csv", "b.csv"], "does not exist"),
        (["a.tif", "truth.tif"], "does not exist"),
        (["low.tif", "truth.tif"], "32 x 24 pixels"),
    ],
)
def test_what_cannot_be_compared_is_one_line(pictures, capsys, arguments, words):
    assert execute(["evaluate", *arguments]) == FAILED
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1


def test_wrong_usage(pictures, capsys):
    assert execute(["evaluate", "result.tif"]) == WRONG_USAGE
    assert execute(["evaluate", "result.tif", "truth.tif", "--factor", "1"]) == WRONG_USAGE
    capsys.readouterr()


def test_jobs_run_both(pictures, tables, capsys, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "task: evaluate\nresult: result.tif\nreference: truth.tif\nchart: c.png\n"
    )
    (tmp_path / "b.yaml").write_text(
        "task: evaluate-localizations\nresult: found.csv\nreference: truth.hdf5\n"
    )
    assert execute(["run", "a.yaml"]) == DONE
    assert capsys.readouterr().out.strip() == "c.png"
    assert (tmp_path / "c.png").exists()
    assert execute(["run", "b.yaml", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["figures"]["found"]["tp"] == 8
