"""The command: forms, exit statuses, one line per failure, JSON, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from napari_microsr.cli import CANCELLED, DONE, FAILED, WRONG_USAGE, execute
from napari_microsr.cli.console import do
from napari_microsr.core.progress import Cancelled
from napari_microsr.smlm.drift_job import DriftJob
from napari_microsr.superres.training import TrainJob
from napari_microsr.tasks import TASKS


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, rng.integers(0, 255, (90, 70, 3), np.uint8), photometric="rgb")
    return path


def test_models_lists_what_is_installed_with_the_agreed_keys(capsys):
    assert execute(["models", "--json"]) == DONE
    listed = {card["id"]: card for card in json.loads(capsys.readouterr().out)}
    keys = {"id", "task", "factor", "domain", "pixel_size_um", "dtype", "parameters", "licence", "sha256"}
    for card in listed.values():
        assert keys | {"metrics"} <= set(card)
    assert {"bicubic", "histology-x2", "residual-unet-histology"} <= set(listed)
    assert listed["histology-x2"]["factor"] == 2
    assert listed["residual-unet-histology"]["task"] == "restoration"
    assert execute(["models"]) == DONE
    assert "histology-x2" in capsys.readouterr().out


def test_upscale_and_run_do_the_same(picture, tmp_path, capsys):
    a, b = tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr"
    assert execute(["upscale", str(picture), str(a), "--model", "bicubic", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["outputs"] == [str(a)]
    (tmp_path / "job.yaml").write_text(f"task: upscale\nsource: {picture}\noutput: {b}\nmodel: bicubic\n")
    assert execute(["run", str(tmp_path / "job.yaml")]) == DONE
    assert capsys.readouterr().out.strip() == str(b)
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (a, b)]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "arguments",
    [["upscale"], ["upscale", "a", "b", "--tile-px", "1"], ["nonsense"], ["upscale", "a", "b", "--nope"]],
)
def test_wrong_usage_is_2(arguments, capsys):
    assert execute(arguments) == WRONG_USAGE
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["upscale", "missing.tif", "out.zarr"], "missing.tif"),
        (["upscale", "{picture}", "out.zarr", "--model", "nonsense"], "nonsense"),
        (["upscale", "{picture}", "out.zarr", "--device", "tpu"], "tpu"),
        (["upscale", "{picture}", "{picture}/out.zarr", "--model", "bicubic"], "cannot be written"),
        (["run", "missing.yaml"], "missing.yaml"),
        (["run", "{picture}"], "YAML"),
    ],
)
def test_a_failure_is_1_with_one_line(picture, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert execute([a.format(picture=picture) for a in arguments]) == FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("microsr: ")
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["slide.tif"]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C otherwise")
def test_ctrl_c_is_a_cancel_and_the_same_command_resumes(tmp_path, rng):
    source, output = tmp_path / "slide.tif", tmp_path / "out.ome.zarr"
    tifffile.imwrite(source, rng.integers(0, 255, (900, 900), np.uint8))
    arguments = ["upscale", str(source), str(output), "--model", "bicubic-x4", "--tile-px", "32"]
    run = subprocess.Popen(
        [sys.executable, "-m", "napari_microsr.cli", *arguments], stderr=subprocess.PIPE, text=True
    )
    journal = tmp_path / "out.ome.zarr.partial" / "microsr-journal.txt"
    while run.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 5):
        time.sleep(0.005)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate()
    assert run.returncode == CANCELLED
    assert "cancelling after this step (tiles, " in errors
    assert "cancelled; what is done is kept, and the same command resumes." in errors
    assert "Traceback" not in errors
    assert not output.exists()
    kept = journal.read_bytes().count(b"\n")
    assert execute(arguments) == DONE
    assert kept > 4
    assert output.exists()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (DriftJob, "cancelled; nothing is kept."),
        (TrainJob, "cancelled; the last checkpoint is kept, and a run that resumes continues from it."),
    ],
)
def test_a_cancel_says_what_is_left(task, said, tmp_path, monkeypatch, capsys):
    def interrupted(job, progress, **_):
        signal.raise_signal(signal.SIGINT)
        progress.advance("steps", 3, 9)

    monkeypatch.setitem(TASKS, task.task, (task, interrupted))
    with pytest.raises(Cancelled) as stop:
        do(task.model_construct())
    assert str(stop.value) == said
    assert "cancelling after this step" in capsys.readouterr().err
