"""Stores with the images and their placements: valid, exact where the format allows it, whole or absent."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import Cancelled
from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats import FORMATS, read_placements, write_placements
from napari_microsr.registration.geometry import corners, parts, similarity
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements

STORES = ["ome-zarr-0.5", "ome-zarr-0.6"]


def path_of(folder, name):
    return folder / f"result{FORMATS[name].suffix}"


def field(name, path, overview, shape, matrix, um):
    field_um = um and um * parts(matrix).scale
    return FieldPlacement(name, path, overview, shape, "placed", matrix_yx=matrix, field_um=field_um)


@pytest.fixture(params=[0.6, None], ids=["um", "pixels"])
def placements(request, tmp_path, rng):
    """Files and images in memory: RGB, grey, a z stack; upright, turned, stretched and bent."""
    um = request.param
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "slide.tif", rng.integers(0, 255, (41, 70, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(folder / "grey.tif", rng.integers(0, 60000, (33, 5), np.uint16))
    stretched = np.array([[0.5, 0, 3], [0, 0.25, 1], [0, 0, 1.0]])
    turned = similarity(0.31, 155, centre=(3, 2), onto=(20, 30), mirrored=True)
    bent = field("bent", None, "slide", (9, 8), turned, um)
    fields = [
        field("stretched", str(folder / "grey.tif"), "slide", (33, 5), stretched, um),
        field("turned", str(folder / "grey.tif"), "stack", (33, 5), turned, um),
        replace(bent, quadratic_yx=np.array([[0.1, 0, 0.2], [0, 0.3, 0]])),
        FieldPlacement("lost", None, None, (3, 3), "not_found", "Blank."),
    ]
    overviews = [
        OverviewInfo("slide", str(folder / "slide.tif"), (41, 70), um),
        OverviewInfo("stack", None, (20, 30), um),
    ]
    return Placements(overviews, fields)


@pytest.fixture
def images(rng):
    stack = ImageSource.from_array(rng.random((2, 20, 30)).astype(np.float32), axes="zyx", name="stack")
    bent = ImageSource.from_array(rng.integers(0, 255, (9, 8, 3), np.uint8), name="bent")
    return {"stack": stack, "bent": bent}


def kept(before, after):
    assert (before.name, before.overview, before.status, before.manual) == (
        after.name, after.overview, after.status, after.manual)  # fmt: skip
    if before.matrix_yx is not None:
        points = corners(before.shape_yx)
        assert np.abs(before.to_overview(points) - after.to_overview(points)).max() < 1e-6


@pytest.mark.parametrize("name", STORES)
def test_images_and_placements_come_back(tmp_path, placements, images, name):
    path = path_of(tmp_path, name)
    notes = write_placements(placements, path, images=images)
    assert "quadratic part of 1" in notes[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", path.name], "no temporary folder is left"
    for before, after in zip(placements.fields, read_placements(path).fields, strict=True):
        kept(before, after)
    stored = [zarr.open_array(path / str(i) / "0")[:] for i in range(5)]
    slide = tifffile.imread(placements.overviews[0].path)
    assert np.array_equal(stored[0], slide.transpose(2, 0, 1))
    assert np.array_equal(stored[1], images["stack"].array)
    assert np.array_equal(stored[2], tifffile.imread(placements.fields[0].path))
    assert np.array_equal(stored[4], np.asarray(images["bent"].array).transpose(2, 0, 1))


@pytest.mark.parametrize("name", STORES)
def test_this_package_opens_each_image_where_it_lies(tmp_path, placements, images, name):
    path = path_of(tmp_path, name)
    write_placements(placements, path, images=images)
    overview = open_image(path)
    assert (overview.axes, overview.rgb) == ("cyx", True)
    assert overview.placement.pixel_size_um == ((0.6, 0.6) if placements.overviews[0].um else None)
    turned, um = placements.fields[1], placements.overviews[1].um or 1.0
    placement = open_image(path / "3").placement
    for point in corners(turned.shape_yx):
        world = placement.affine @ [*(np.array(placement.scale) * point + placement.translate), 1]
        assert np.allclose(world[:2], turned.to_overview(point) * um)


class Test05:
    def test_it_is_valid(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.5")
        write_placements(placements, path, images=images)
        assert yaozarrs.validate_zarr_store(str(path)).ome_version() == "0.5"
        images_of = [yaozarrs.validate_zarr_store(str(path / str(group))) for group in range(5)]
        axes = ["".join(axis.name for axis in it.ome_metadata().multiscales[0].axes) for it in images_of]
        assert axes == ["cyx", "zyx", "yx", "yx", "cyx"]

    def test_what_it_cannot_hold_is_flagged_and_the_rest_is_exact(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.5")
        notes = write_placements(placements, path, images=images)
        assert "2 of 3 fields are turned" in notes[0]
        flags = [open_attributes(path / str(i))["microsr"]["provenance"] for i in (2, 3, 4)]
        assert [flag["approximate"] for flag in flags] == [False, True, True]
        assert flags[1]["corner_error_px"] > 1
        um = placements.overviews[0].um or 1.0
        scale, shift = stated(path / "2")
        assert np.allclose(scale, np.array([0.5, 0.25]) * um)
        assert np.allclose(shift, np.array([3, 1]) * um)

    def test_a_turned_field_has_its_centre_in_place(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.5")
        write_placements(placements, path, images=images)
        scale, shift = stated(path / "3")
        um, centre = placements.overviews[1].um or 1.0, np.array([16.0, 2.0])
        assert np.allclose(scale * centre + shift, placements.fields[1].to_overview(centre) * um)
        assert np.allclose(scale, 0.31 * um)

    def test_a_shift_by_another_program_is_taken_over(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.5")
        write_placements(placements, path, images=images)
        node = json.loads((path / "3" / "zarr.json").read_text())
        steps = node["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        steps[1]["translation"] = [7.5, 8.5]
        (path / "3" / "zarr.json").write_text(json.dumps(node))
        first, second, *_ = read_placements(path).fields
        assert not first.manual
        assert second.manual
        um = placements.overviews[1].um or 1.0
        assert np.allclose(second.to_overview(np.zeros(2)), np.array([7.5, 8.5]) / um)


class Test06:
    def test_the_chain_of_transformations_carries_pixels_to_the_overview(self, tmp_path, placements, images):
        """Evaluated here by the rules of the specification, without the code under test."""
        path = path_of(tmp_path, "ome-zarr-0.6")
        write_placements(placements, path, images=images)
        ome = open_attributes(path)["ome"]
        assert ome["version"] == "0.6"
        links = ome["scene"]["coordinateTransformations"]
        assert [(link["input"]["path"], link["output"]["path"]) for link in links] == [
            ("2", "0"), ("3", "1"), ("4", "0")]  # fmt: skip
        for link, placed in zip(links[:2], placements.fields[:2], strict=True):
            affine = np.array(link["affine"])
            start, end = (multiscale(path / link[key]["path"]) for key in ("input", "output"))
            assert affine.shape == (len(end["axes"]), len(start["axes"]) + 1)
            for point in corners(placed.shape_yx):
                physical = affine @ [*(start["scale"] * point + start["shift"]), 1]
                there = (physical - end["shift"])[-2:] / end["scale"][-2:]
                assert np.allclose(there, placed.to_overview(point), atol=1e-6)
                assert np.allclose(physical[:-2], 0)

    def test_its_metadata_have_the_form_of_the_specification(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.6")
        write_placements(placements, path, images=images)
        image = open_attributes(path / "0")["ome"]
        assert set(image) == {"version", "multiscales"}
        (entry,) = image["multiscales"]
        assert set(entry) == {"name", "coordinateSystems", "datasets"}
        assert [axis["name"] for axis in entry["coordinateSystems"][0]["axes"]] == ["c", "y", "x"]
        for dataset in entry["datasets"]:
            (transformation,) = dataset["coordinateTransformations"]
            assert transformation["type"] == "sequence"
            assert transformation["input"] == {"path": dataset["path"]}
            assert transformation["output"] == {"name": "physical"}
            assert [step["type"] for step in transformation["transformations"]] == ["scale", "translation"]

    def test_a_shift_by_another_program_is_taken_over(self, tmp_path, placements, images):
        path = path_of(tmp_path, "ome-zarr-0.6")
        write_placements(placements, path, images=images)
        node = json.loads((path / "zarr.json").read_text())
        node["attributes"]["ome"]["scene"]["coordinateTransformations"][0]["affine"][1][-1] += 6.0
        (path / "zarr.json").write_text(json.dumps(node))
        before, after = placements.fields[0], read_placements(path).fields[0]
        um = placements.overviews[0].um or 1.0
        assert after.manual
        assert np.allclose(after.matrix_yx - before.matrix_yx, [[0, 0, 6 / um], [0, 0, 0], [0, 0, 0]])

    @pytest.mark.parametrize(
        "damage", [("scene", {}), ("scene", {"coordinateTransformations": [{"type": "affine"}]})]
    )
    def test_a_damaged_scene(self, tmp_path, placements, images, damage):
        path = path_of(tmp_path, "ome-zarr-0.6")
        write_placements(placements, path, images=images)
        node = json.loads((path / "zarr.json").read_text())
        node["attributes"]["ome"].update([damage])
        (path / "zarr.json").write_text(json.dumps(node))
        with pytest.raises(InputError, match="scene"):
            read_placements(path)


@pytest.mark.parametrize("name", STORES)
class TestFaults:
    def test_an_existing_store_is_not_replaced(self, tmp_path, placements, images, name):
        path = path_of(tmp_path, name)
        path.mkdir()
        with pytest.raises(OutputError, match="exists already"):
            write_placements(placements, path, images=images)

    def test_an_image_that_is_not_here(self, tmp_path, placements, name):
        with pytest.raises(InputError, match="registered from memory"):
            write_placements(placements, path_of(tmp_path, name))
        assert [p.name for p in tmp_path.iterdir()] == ["images"]

    def test_an_image_of_another_size(self, tmp_path, placements, images, name):
        with pytest.raises(InputError, match="was 9 × 8 when"):
            write_placements(placements, path_of(tmp_path, name), images=images | {"bent": images["stack"]})

    def test_a_cancel_leaves_nothing(self, tmp_path, placements, images, name, cancel_after):
        with pytest.raises(Cancelled):
            write_placements(placements, path_of(tmp_path, name), images=images, progress=cancel_after(1))
        assert [p.name for p in tmp_path.iterdir()] == ["images"]

    def test_nothing_is_placed(self, tmp_path, placements, images, name):
        with pytest.raises(InputError, match="None of the 1 fields"):
            write_placements(replace(placements, fields=placements.fields[-1:]), path_of(tmp_path, name))

    def test_no_folder(self, tmp_path, placements, images, name):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            write_placements(placements, path_of(tmp_path / "file", name), images=images)

    def test_a_store_of_another_kind(self, tmp_path, placements, images, name):
        path = path_of(tmp_path, name)
        with pytest.raises(InputError, match="does not exist"):
            read_placements(path)
        other = path_of(tmp_path / "other", STORES[1 - STORES.index(name)])
        write_placements(placements, other, images=images)
        other.rename(path)
        with pytest.raises(InputError, match=r"is no OME-Zarr 0\.\d store"):
            read_placements(path)

    def test_a_store_without_placements_or_with_an_image_gone(self, tmp_path, placements, images, name):
        path = path_of(tmp_path, name)
        write_placements(placements, path, images=images)
        (path / "3" / "zarr.json").unlink()
        with pytest.raises(InputError, match="does not exist"):
            read_placements(path)
        node = json.loads((path / "zarr.json").read_text())
        del node["attributes"]["microsr"]
        (path / "zarr.json").write_text(json.dumps(node))
        with pytest.raises(InputError, match="no placements"):
            read_placements(path)


def open_attributes(path):
    return zarr.open_group(path, mode="r").attrs.asdict()


def stated(path):
    """Scale and translation along y and x of the finest level, as any reader of 0.5 takes them."""
    steps = open_attributes(path)["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    return np.array(steps[0]["scale"][-2:]), np.array(steps[1]["translation"][-2:])


def multiscale(path):
    entry = open_attributes(path)["ome"]["multiscales"][0]
    scale, shift = entry["datasets"][0]["coordinateTransformations"][0]["transformations"]
    axes = [axis["name"] for axis in entry["coordinateSystems"][0]["axes"]]
    return {"axes": axes, "scale": np.array(scale["scale"]), "shift": np.array(shift["translation"])}
