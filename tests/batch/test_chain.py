"""Tasks in a row: what one writes the next reads, and a second start goes on where the first stopped."""

import json

import numpy as np
import pytest
import tifffile

from napari_microsr.batch.chain import ChainJob, run_chain
from napari_microsr.cli import DONE, FAILED, execute
from napari_microsr.core.image import open_image
from napari_microsr.errors import BatchError, JobError

BICUBIC = {"model": "bicubic", "device": "cpu"}


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rng.integers(0, 255, (20, 30), np.uint8))
    return path


def twice(picture, output):
    """Magnify a picture, and then what came of it, and compare the two."""
    return {
        "output": output,
        "steps": [
            {"task": "upscale", "name": "first", "source": str(picture), "output": "x2", **BICUBIC},
            {"task": "upscale", "source": "{first}", "output": "x4.ome.zarr", **BICUBIC},
            {"task": "batch", "do": "upscale", "inputs": ["{first}", "{upscale}"], "output": "all"}
            | {"settings": BICUBIC},
        ],
    }


def test_each_step_gets_what_the_one_before_wrote(picture, tmp_path, noted):
    chain = ChainJob(**twice(picture, tmp_path / "run"))
    ends = run_chain(chain)
    assert [(state.key, state.state) for state in ends] == [
        (n, "done") for n in ("first", "upscale", "batch")
    ]
    assert open_image(tmp_path / "run" / "x2.ome.zarr").array.shape == (40, 60)
    assert open_image(tmp_path / "run" / "x4.ome.zarr").array.shape == (80, 120)
    assert open_image(tmp_path / "run" / "all" / "x4.ome.zarr").array.shape == (160, 240)
    lines = len(noted(tmp_path / "run"))
    run_chain(chain)
    assert {line["key"] for line in noted(tmp_path / "run")[lines:]} == {"batch"}  # which looks at its own
    assert len(noted(tmp_path / "run" / "all")) == 4
    # A new input, and all that follows from it is done again.
    tifffile.imwrite(picture, np.zeros((10, 30), np.uint8))
    run_chain(chain)
    assert open_image(tmp_path / "run" / "all" / "x4.ome.zarr").array.shape == (80, 240)


def test_a_failure_stops_the_chain_and_says_where(picture, tmp_path, noted):
    settings = twice(picture, tmp_path / "run")
    settings["steps"][1]["model"] = "no-such-model"
    with pytest.raises(BatchError, match=r"upscale failed.*no-such-model"):
        run_chain(ChainJob(**settings))
    assert [line["state"] for line in noted(tmp_path / "run")] == ["running", "done", "running", "failed"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "nonsense"}, "nonsense"),
        ({"name": "first"}, "first"),
        ({"name": "../x"}, "name"),
        ({"source": "{batch}"}, "before"),
        ({"tile_px": 1}, "tile_px"),
    ],
)
def test_a_wrong_step_is_found_before_the_first_begins(picture, tmp_path, change, words):
    settings = twice(picture, tmp_path / "run")
    settings["steps"][1] |= change
    with pytest.raises(JobError, match=words):
        run_chain(ChainJob(**settings))
    assert not (tmp_path / "run").exists()


def test_register_pairs_train_and_upscale_from_one_file(tmp_path, capsys):
    """The whole way, from fields on an overview to the overview magnified by the lab's own network."""
    from napari_microsr.core.samples import SLIDE

    fine = tifffile.imread(SLIDE)[1500:2012, 800:1312]
    coarse = fine.reshape(256, 2, 256, 2, 3).mean((1, 3)).round().astype(np.uint8)
    tags = {"photometric": "rgb", "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "overview.tif", coarse, resolution=(1e4, 1e4), **tags)
    for name, corner in (("one", (40, 60)), ("two", (200, 180))):
        y, x = corner
        tifffile.imwrite(
            tmp_path / f"{name}.tif", fine[y : y + 200, x : x + 240], resolution=(2e4, 2e4), **tags
        )
    card = {"summary": "A test.", "domain": "histology", "licence": "CC0-1.0", "limits": "Of no use."}
    training = {"architecture": "fast-residual", "arguments": {"channels": 3, "features": 8, "blocks": 1}}
    training |= {"steps": 2, "check_every": 2, "batch": 2, "patch_px": 24, "device": "cpu", "card": card}
    training |= {"name": "own", "precision": "32-true", "data": "{pairs}", "hold_out": ["two"]}
    steps = [
        {"task": "register", "overviews": [str(tmp_path / "overview.tif")], "output": "placements.json"}
        | {"fields": [str(tmp_path / "one.tif"), str(tmp_path / "two.tif")]},
        {"task": "pairs", "placements": "{register}", "output": "pairs", "patch_px": 24},
        {"task": "train", **training},
        {"task": "upscale", "source": str(tmp_path / "overview.tif"), "output": "fine", "model": "{own}"}
        | {"device": "cpu"},
    ]
    path = tmp_path / "chain.yaml"
    path.write_text(json.dumps({"task": "chain", "output": str(tmp_path / "run"), "steps": steps}))
    ahead = forecast(path, capsys)
    assert [item["state"] for item in ahead["items"]] == ["todo", "later", "later", "later"]
    assert ahead["items"][0]["seconds"] > 0
    assert ahead["seconds"] is None
    assert not (tmp_path / "run").exists()
    assert execute(["run", str(path), "--json"]) == DONE, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    assert (found["items"], found["done"], found["failed"]) == (4, 4, 0)
    result = open_image(tmp_path / "run" / "fine.ome.zarr")
    assert (result.height, result.width) == (512, 512)
    assert {item["state"] for item in forecast(path, capsys)["items"]} == {"done"}
    # Each step alone, now that there is what it reads: foretold, and nothing written.
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    run = tmp_path / "run"
    for task in (
        {"task": "pairs", "placements": str(run / "placements.json"), "output": str(run / "more")},
        {"task": "train", **training, "data": str(run / "pairs"), "out": str(run / "again")},
    ):
        alone = tmp_path.parent / "alone.yaml"
        alone.write_text(json.dumps(task))
        [item] = forecast(alone, capsys)["items"]
        assert (item["state"], item["error"]) == ("todo", "")
        assert item["seconds"] > 0
        assert item["size_bytes"] > 1000
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    assert execute(["run", str(tmp_path / "missing.yaml")]) == FAILED


def forecast(path, capsys):
    assert execute(["run", str(path), "--dry-run", "--json"]) == DONE, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)
