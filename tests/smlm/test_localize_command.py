"""`microsr localize` and the trainings as a shell sees them."""

import json

import numpy as np
import tifffile

from napari_microsr import cli
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.tasks import TASKS


def stack(tmp_path):
    scene = Scene(density_um2=(0.5, 0.5), photons=(1500.0, 2000.0))
    frames = simulate_frames(np.random.default_rng(0), 4, (32, 32), scene).photons
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, (frames + 100).astype(np.uint16), photometric="minisblack")
    return str(path)


def test_a_stack_becomes_a_table(tmp_path, capsys):
    out = str(tmp_path / "out.csv")
    given = ["localize", stack(tmp_path), out, "--pixel-nm", "100", "--offset", "100", "--gain", "1"]
    assert cli.execute([*given, "--model", "gaussian-mle", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["outputs"] == [out]
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) - 1 == result["localizations"] > 5
    assert cli.execute([*given, "--model", "gaussian-mle"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_wrong_use_and_wrong_numbers(tmp_path, capsys):
    assert cli.execute(["localize", "a.tif", "b.csv"]) == 2
    assert cli.execute(["localize", "a.tif", "b.csv", "--pixel-nm", "0"]) == 1
    assert (
        cli.execute(["localize", str(tmp_path / "none.tif"), str(tmp_path / "b.csv"), "--pixel-nm", "100"])
        == 1
    )
    assert "does not exist" in capsys.readouterr().err


def test_trainings_of_all_kinds_are_known():
    assert {"train", "train-localizer", "train-dsir"} <= TASKS.keys()
    assert "localize" in TASKS
