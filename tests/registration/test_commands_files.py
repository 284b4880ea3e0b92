"""The commands that turn placements into files: export, merge, pairs."""

import json

import numpy as np
import pytest
import tifffile

from napari_microsr.cli import DONE, FAILED, execute
from napari_microsr.core.image import open_image
from napari_microsr.registration.formats import read_placements, write_placements
from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


@pytest.fixture
def lab(tmp_path, monkeypatch, rng):
    """A folder with an overview, a field that is a crop of it, and their placements."""
    monkeypatch.chdir(tmp_path)
    slide = rng.integers(0, 255, (60, 70, 3), np.uint8)
    tifffile.imwrite("slide.tif", slide, photometric="rgb")
    tifffile.imwrite("field.tif", slide[10:50, 20:60], photometric="rgb")
    field = FieldPlacement(
        "field", "field.tif", "slide", (40, 40), "placed",
        matrix_yx=similarity(1, 0, centre=(0, 0), onto=(10, 20)), field_um=0.5,
    )  # fmt: skip
    overview = OverviewInfo("slide", "slide.tif", (60, 70), 0.5)
    write_placements(Placements([overview], [field]), tmp_path / "placements.json")
    return slide


def result_of(capsys, *arguments):
    assert execute([*arguments, "--json"]) == DONE
    return json.loads(capsys.readouterr().out)


def test_merge(lab, capsys):
    result = result_of(capsys, "merge", "placements.json", "merged")
    assert result == {"task": "merge", "outputs": ["merged.ome.zarr"]}
    merged = open_image("merged.ome.zarr").read(0, slice(0, 60), slice(0, 70))
    assert np.abs(merged.transpose(1, 2, 0).astype(int) - lab).max() <= 1


def test_pairs_and_a_job_file(lab, capsys, tmp_path):
    (tmp_path / "pairs.yaml").write_text(
        "task: pairs\nplacements: placements.json\noutput: pairs\npatch_px: 20\n"
    )
    result = result_of(capsys, "run", "pairs.yaml")
    document = json.loads((tmp_path / result["outputs"][0]).read_text())
    assert len(document["fields"][0]["patches"]) == 4


@pytest.mark.parametrize(
    "name", ["table.csv", "transforms.itk", "a.qupath.json", "a.ome.zarr", "a.scene.zarr"]
)
def test_export_and_back(lab, capsys, tmp_path, name):
    result_of(capsys, "export", "placements.json", name)
    result_of(capsys, "export", name, "back.json", "--onto", "placements.json")
    before, after = (read_placements(tmp_path / f) for f in ("placements.json", "back.json"))
    assert np.array_equal(before.fields[0].matrix_yx, after.fields[0].matrix_yx)


@pytest.mark.parametrize(
    "arguments",
    [("merge", "none.json", "out"), ("pairs", "none.json", "out"), ("export", "none.json", "out.csv"),
     ("export", "placements.json", "out.txt")],
)  # fmt: skip
def test_a_fault_is_one_line(lab, capsys, arguments):
    assert execute(list(arguments)) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("microsr: ")
