"""Many images from the command: where they go, what is said before and after."""

import json

import numpy as np
import pytest
import tifffile
import yaml
import yaozarrs

from napari_microsr.cli import DONE, FAILED, execute
from napari_microsr.core.image import open_image

BICUBIC = ["--model", "bicubic", "--device", "cpu"]


def test_a_plate_in_a_plate_out(plate, tmp_path, capsys):
    output = tmp_path / "fine.ome.zarr"
    assert execute(["upscale", str(plate[0]), str(output), *BICUBIC, "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert (result["items"], result["done"], result["failed"]) == (4, 4, 0)
    yaozarrs.validate_zarr_store(str(output))
    assert (tmp_path / "fine" / "report.html").is_file()
    assert execute(["run", str(tmp_path / "fine" / "batch.yaml")]) == DONE


def test_a_pattern_goes_into_a_folder_and_a_failure_is_exit_status_1(slides, tmp_path, capsys):
    (slides / "broken.tif").write_bytes(b"II*\0 nothing")
    arguments = ["upscale", str(slides / "b*.tif"), str(tmp_path / "run"), *BICUBIC]
    assert execute(arguments) == FAILED
    captured = capsys.readouterr()
    assert str(tmp_path / "run" / "summary.csv") in captured.out.splitlines()
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("microsr: 1 of 3 inputs failed.")
    assert {p.name for p in (tmp_path / "run").glob("*.zarr")} == {"b2.ome.zarr", "b10.ome.zarr"}
    (slides / "broken.tif").unlink()
    assert execute(arguments) == DONE


def test_names_in_a_folder_by_a_pattern(tmp_path, rng):
    for name in ("A1_f1_c1.tif", "A1_f1_c2.tif"):
        (tmp_path / "scan").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "scan" / name, rng.integers(0, 4000, (9, 9), np.uint16))
    pattern = ["--pattern", "{well}_f{field}_c{channel}.tif"]
    assert execute(["upscale", str(tmp_path / "scan"), str(tmp_path / "out"), *BICUBIC, *pattern]) == DONE
    assert open_image(tmp_path / "out.ome.zarr" / "A/1/1").array.shape == (2, 18, 18)
    assert (
        execute(["upscale", str(tmp_path / "scan/A1_f1_c{channel}.tif"), str(tmp_path / "one"), *BICUBIC])
        == DONE
    )
    assert open_image(tmp_path / "one.ome.zarr").array.shape == (2, 18, 18)


def test_a_dry_run_says_what_would_be_and_writes_nothing(slides, tmp_path, capsys):
    (slides / "broken.tif").write_bytes(b"II*\0 nothing")
    before = set(tmp_path.rglob("*"))
    arguments = ["upscale", str(slides), str(tmp_path / "run"), *BICUBIC, "--dry-run"]
    assert execute([*arguments, "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert set(tmp_path.rglob("*")) == before
    items = {item["key"]: item for item in found["items"]}
    assert items["broken"]["state"] == "unreadable"
    assert "broken.tif" in items["broken"]["error"]
    assert items["a"]["shape"] == [21, 19, 3]
    assert items["a"]["outputs"] == [str(tmp_path / "run" / "a.ome.zarr")]
    # A finest level of twice the size each way, and a third of that for the pyramid.
    assert items["a"]["size_bytes"] == pytest.approx(21 * 19 * 3 * 4 * 4 / 3, abs=1)
    assert found["seconds"] > 0
    assert found["memory_bytes"] is None or found["memory_bytes"] > 1e7
    (slides / "broken.tif").unlink()
    assert execute(arguments[:-1]) == DONE
    capsys.readouterr()
    assert execute(arguments) == DONE
    assert "0 of 3 to do" in capsys.readouterr().out


def test_stacks_become_tables(tmp_path, rng, capsys):
    folder = tmp_path / "stacks"
    folder.mkdir()
    y, x = np.mgrid[:24, :24]
    spot = 900 * np.exp(-((y - 11.3) ** 2 + (x - 9.8) ** 2) / 2 / 1.3**2)
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", rng.poisson(spot + 20, (6, 24, 24)).astype(np.uint16))
    settings = ["--pixel-nm", "100", "--model", "gaussian-mle", "--offset", "0", "--psf-sigma-px", "1.3"]
    arguments = ["localize", str(folder), str(tmp_path / "tables"), *settings]
    assert execute([*arguments, "--dry-run"]) == DONE
    assert "2 of 2 to do" in capsys.readouterr().out
    assert execute([*arguments, "--json"]) == DONE
    assert (tmp_path / "tables" / "a.csv").read_text().count("\n") > 4
    assert "localizations" in (tmp_path / "tables" / "summary.csv").read_text().splitlines()[0]


def test_slides_with_their_fields_are_registered_one_by_one(tmp_path, capsys):
    from napari_microsr.core.samples import SLIDE

    fine = tifffile.imread(SLIDE)[1500:2012, 800:1312]
    tags = {"photometric": "rgb", "resolutionunit": "CENTIMETER"}
    for slide, turn in (("s1", 0), ("s2", 1)):
        (tmp_path / slide).mkdir()
        image = np.ascontiguousarray(np.rot90(fine, turn))
        coarse = image.reshape(256, 2, 256, 2, 3).mean((1, 3)).round().astype(np.uint8)
        tifffile.imwrite(tmp_path / slide / "over.tif", coarse, resolution=(1e4, 1e4), **tags)
        tifffile.imwrite(
            tmp_path / slide / "field_1.tif", image[40:240, 60:300], resolution=(2e4, 2e4), **tags
        )
    places = [str(tmp_path / "{slide}/over.tif"), str(tmp_path / "{slide}/field_{field}.tif")]
    assert execute(["register", *places, "--out", str(tmp_path / "run"), "--json"]) == DONE, (
        capsys.readouterr()
    )
    for slide in ("s1", "s2"):
        document = json.loads((tmp_path / "run" / f"{slide}.json").read_text())
        [field] = document["fields"]
        assert field["status"] == "placed"
        # Field pixel (0, 0) covers a quarter of the overview's pixel (20, 30).
        assert np.array(field["matrix_yx"])[:2, 2] == pytest.approx((19.75, 29.75), abs=0.5)
        assert field["path"] == str(tmp_path / slide / "field_1.tif")


def test_a_saved_batch_is_safe_yaml(slides, tmp_path):
    assert execute(["upscale", str(slides), str(tmp_path / "run"), *BICUBIC]) == DONE
    saved = yaml.safe_load((tmp_path / "run" / "batch.yaml").read_text())
    assert saved["task"] == "batch"
    assert saved["settings"] == {"model": "bicubic", "device": "cpu"}
