"""Which files stand for which images, and that a bad one stops no other."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.registration.inputs import Input, find_files, open_all, take_all


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "fields"
    place.mkdir()
    for name in ("f10.tif", "f2.tif", "F1.TIF"):
        tifffile.imwrite(place / name, np.zeros((3, 4), np.uint8))
    (place / "notes.txt").write_text("hello")
    (place / ".hidden.tif").write_bytes(b"II*\0")
    (place / "store.ome.zarr").mkdir()
    return place


def names(paths):
    return [path.name for path in paths]


def test_a_folder_stands_for_its_images_in_the_order_of_their_numbers(folder):
    assert names(find_files([str(folder)])) == ["F1.TIF", "f2.tif", "f10.tif", "store.ome.zarr"]


def test_patterns_and_names_come_in_the_order_given_and_once(folder):
    found = find_files([str(folder / "f10.tif"), str(folder / "f*.tif"), str(folder / "missing.tif")])
    assert names(found) == ["f10.tif", "f2.tif", "missing.tif"]
    assert all(path.is_absolute() for path in found)


@pytest.mark.parametrize("place", ["{}/empty", "{}/*.png"])
def test_a_place_without_images_is_an_error(folder, place):
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no image"):
        find_files([place.format(folder)])


def test_a_bad_file_is_a_fault_of_its_own(folder):
    (folder / "f2.tif").write_bytes(b"II*\0 no image")
    found = open_all([folder / "f2.tif", folder / "missing.tif", folder / "f10.tif"], None)
    assert [item.source is None for item in found] == [True, True, False]
    assert "f2.tif" in found[0].fault
    assert "does not exist" in found[1].fault
    assert found[2].fault == ""


def test_pixel_sizes_are_given_or_the_files(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, np.zeros((3, 4), np.uint8), metadata={"axes": "YX", **sizes})
    assert open_all([path], None)[0].um == pytest.approx(0.5)
    assert open_all([path], 0.25)[0].um == 0.25
    assert take_all([ImageSource.from_array(np.zeros((3, 4)))], None)[0].um is None


def test_names_are_different(tmp_path):
    paths = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        paths.append(tmp_path / place / "1.tif")
        tifffile.imwrite(paths[-1], np.zeros((3, 4), np.uint8))
    assert [item.name for item in open_all(paths, None)] == ["a/1", "b/1"]
    arrays = [ImageSource.from_array(np.zeros((3, 4)), name="image")] * 3
    assert [item.name for item in take_all(arrays, None)] == ["image", "image (2)", "image (3)"]


@pytest.mark.parametrize(
    ("path", "magnification"),
    [
        ("slide3_40x_02.tif", 40),
        ("4X.tif", 4),
        ("10x/field7.tif", 10),
        ("2.5 x overview.png", 2.5),
        ("histology-x2.tif", None),
        ("0x5f.tif", None),
        ("size 1792x1280.tif", None),
        ("40x/10x_1.tif", 10),
    ],
)
def test_the_magnification_is_read_off_names(path, magnification):
    place = Path("/data") / path
    assert Input(place.stem, place, None).magnification == magnification
