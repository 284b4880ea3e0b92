"""Which files stand for which images, how large their pixels are and what they are called."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.registration.inputs import Input, find_files, from_files, from_sources


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


def test_files_are_opened_when_asked(folder):
    (folder / "f2.tif").write_bytes(b"II*\0 no image")
    bad, missing, good = from_files([folder / "f2.tif", folder / "missing.tif", folder / "f10.tif"], None)
    with pytest.raises(InputError, match=r"f2\.tif"):
        bad.open()
    with pytest.raises(InputError, match="does not exist"):
        missing.open()
    assert (good.open().height, good.open().width) == (3, 4)


def test_pixel_sizes_are_given_or_the_files(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, np.zeros((3, 4), np.uint8), metadata={"axes": "YX", **sizes})
    for um, expected in ((None, 0.5), (0.25, 0.25)):
        (item,) = from_files([path], um)
        assert item.size_um(item.open()) == pytest.approx(expected)
    (unknown,) = from_sources([ImageSource.from_array(np.zeros((3, 4)))], None)
    assert unknown.size_um(unknown.open()) is None


def test_names_are_different(tmp_path):
    paths = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        paths.append(tmp_path / place / "1.tif")
        tifffile.imwrite(paths[-1], np.zeros((3, 4), np.uint8))
    assert [item.name for item in from_files([tmp_path / "x.ome.tif"], None)] == ["x"]
    assert [item.name for item in from_files(paths, None)] == ["a/1", "b/1"]
    arrays = [ImageSource.from_array(np.zeros((3, 4)), name="image")] * 3
    assert [item.name for item in from_sources(arrays, None)] == ["image", "image (2)", "image (3)"]


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
    assert Input(place.stem, place).magnification == magnification
