"""Registered pairs: both images show the same places on matching grids, and what does not fit is dropped."""

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.core.lock import Lock, beside
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.pairs import PairsJob, export_pairs
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.residuals import correlate, residual_shift

OVERVIEW, FIELD = (120, 110), (205, 167)
MATRIX = similarity(0.26, 40, centre=(102, 83), onto=(60, 55))


def specimen(points):
    """A smooth picture without a period, known everywhere."""
    y, x = np.moveaxis(points, -1, 0)
    return np.sin(0.3 * y + 0.004 * x * x) + np.cos(0.25 * x - 0.003 * y * y)


def pixels(shape):
    return np.moveaxis(np.indices(shape, float), 0, -1)


def image(array, name, um=None, **options):
    sizes = {} if um is None else dict.fromkeys("yx", (um, "um"))
    return ImageSource.from_array(
        array, axes="yx", name=name, placement=Placement.of_sizes("yx", sizes), **options
    )


@pytest.fixture
def scene():
    field = FieldPlacement("field", None, "slide", FIELD, "placed", matrix_yx=MATRIX)
    images = {
        "slide": image(specimen(pixels(OVERVIEW)), "slide", 2.0),
        "field": image(specimen(field.to_overview(pixels(FIELD))), "field"),
    }
    return Placements([OverviewInfo("slide", None, OVERVIEW, 2.0)], [field]), images


def export(folder, scene, progress=None, **settings):
    placements, images = scene
    job = PairsJob(
        placements="none.json",
        output=folder / "pairs",
        **({"patch_px": 10, "match_colours": False} | settings),
    )
    path = export_pairs(job, placements=placements, images=images, progress=progress)
    assert [p.name for p in folder.iterdir()] == ["pairs"], "no temporary folder is left"
    return json.loads(path.read_text(encoding="utf-8")), path.parent


@pytest.mark.parametrize(("factor", "shrink"), [(None, 1), (4, 1), (2, 2), (1, 4), (5, 1)])
def test_both_images_show_the_same_places(tmp_path, scene, factor, shrink):
    document, folder = export(tmp_path, scene, factor=factor)
    (entry,) = document["fields"]
    n = factor or 4
    assert entry["factor"] == n
    low, high = (zarr.open_array(folder / entry[kind] / "0")[:] for kind in ("low", "high"))
    assert high.shape == (n * low.shape[0], n * low.shape[1])
    assert low.shape == (205 // shrink // n, 167 // shrink // n)
    field = scene[0].fields[0]
    # The centre of pixel t of an image shrunk by f lies at (t + 1/2) f - 1/2.
    coarse = field.to_overview((pixels(low.shape) + 0.5) * n * shrink - 0.5)
    fine = field.to_overview((pixels(high.shape) + 0.5) * shrink - 0.5)
    assert np.abs(low - specimen(coarse)).max() < 0.005
    assert np.abs(high - specimen(fine)).max() < (1e-6 if shrink == 1 else 0.12)
    assert max(np.hypot(*patch["shift_px"]) for patch in entry["patches"]) <= 0.1
    assert sum(entry["dropped"].values()) == 0
    assert len(entry["patches"]) == (low.shape[0] // 10) * (low.shape[1] // 10)


def test_the_pixel_sizes_are_kept(tmp_path, scene):
    document, folder = export(tmp_path, scene)
    entry = document["fields"][0]
    assert entry["low_um"] == pytest.approx(2.0 * 0.26 * 4)
    assert open_image(folder / entry["high"]).placement.pixel_size_um == pytest.approx((0.52, 0.52))


def test_a_wrong_placement_is_dropped(tmp_path, scene):
    placements, images = scene
    moved = MATRIX.copy()
    moved[:2, 2] += 1.2
    wrong = replace(placements, fields=[replace(placements.fields[0], matrix_yx=moved)])
    document, _ = export(tmp_path, (wrong, images))
    entry = document["fields"][0]
    assert entry["patches"] == []
    assert entry["dropped"]["shifted"] + entry["dropped"]["different"] == 5 * 4
    assert entry["dropped"]["shifted"] > 0


def test_patches_beyond_the_overview_and_other_ones_are_dropped(tmp_path, scene, rng):
    placements, images = scene
    matrix = similarity(0.25, 0, centre=(0, 0), onto=(-0.25, 70))
    field = replace(placements.fields[0], matrix_yx=matrix)
    array = specimen(field.to_overview(pixels(FIELD)))
    array[:82] = rng.random(array[:82].shape)
    scene = replace(placements, fields=[field]), images | {"field": image(array, "field")}
    document, _ = export(tmp_path, scene)
    entry = document["fields"][0]
    # 5 x 4 patches of 10 overview pixels; the first row lies half a pixel above, the last column beyond 110.
    assert {patch["x"] for patch in entry["patches"]} <= {0, 10, 20}
    assert {patch["y"] for patch in entry["patches"]} <= {20, 30, 40}
    assert entry["dropped"]["different"] >= 3
    assert entry["dropped"]["outside"] == 5
    assert len(entry["patches"]) >= 6


def test_colours_are_matched_and_told(tmp_path, scene):
    placements, images = scene
    images = images | {"field": image(3 * np.asarray(images["field"].array) - 2, "field")}
    document, folder = export(tmp_path, (placements, images), match_colours=True)
    entry = document["fields"][0]
    assert entry["gain"][0][0] == pytest.approx(1 / 3, rel=0.03)
    high = zarr.open_array(folder / entry["high"] / "0")[:]
    low = zarr.open_array(folder / entry["low"] / "0")[:]
    assert high.mean() == pytest.approx(low.mean(), abs=0.02)


@pytest.mark.parametrize("blur", [0.0, 1.9, 3.0])
def test_an_overview_out_of_focus_is_not_taken_for_one_of_little_contrast(tmp_path, rng, blur):
    """As in tissue, there is contrast at all sizes."""
    tissue = sum(w * ndimage.gaussian_filter(rng.normal(size=(400, 400)), w) for w in (1.5, 3, 6, 12, 24))
    overview = ndimage.gaussian_filter(tissue, blur)
    field = FieldPlacement("field", None, "slide", (820, 700), "placed", matrix_yx=MATRIX)
    field = replace(field, matrix_yx=similarity(0.26, 40, centre=(410, 350), onto=(200, 200)))
    places = np.moveaxis(field.to_overview(pixels(field.shape_yx)), -1, 0)
    images = {
        "slide": image(overview, "slide", 2.0),
        "field": image(2 * ndimage.map_coordinates(tissue, places, order=3) + 40, "field"),
    }
    scene = Placements([OverviewInfo("slide", None, overview.shape, 2.0)], [field]), images
    document, _ = export(tmp_path, scene, match_colours=True)
    assert document["fields"][0]["gain"][0][0] == pytest.approx(1 / 2, rel=0.04)


def test_a_field_that_cannot_be_used_does_not_stop_the_others(tmp_path, scene):
    placements, images = scene
    small = FieldPlacement("small", None, "slide", (3, 200), "placed", matrix_yx=MATRIX)
    gone = FieldPlacement("gone", "/nowhere/gone.tif", "slide", (3, 200), "placed", matrix_yx=MATRIX)
    scene = (
        replace(placements, fields=[small, *placements.fields, gone]),
        images | {"small": image(np.zeros((3, 200)), "small")},
    )
    progress = SilentProgress()
    document, _ = export(tmp_path, scene, progress)
    assert [entry["name"] for entry in document["fields"]] == ["field"]
    assert len(progress.warnings) == 2
    assert "less than one patch" in progress.warnings[0]
    assert "does not exist" in progress.warnings[1]
    with pytest.raises(InputError, match="None of the 1 fields gives a pair"):
        export(tmp_path / "none", (replace(placements, fields=[small]), scene[1]))


def test_a_cancel_leaves_nothing(tmp_path, scene, cancel_after):
    with pytest.raises(Cancelled):
        export(tmp_path, scene, cancel_after(1))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_leaves_is_removed_by_the_next(tmp_path, scene):
    left = tmp_path / ".pairs.partial" / "old.low.ome.zarr"
    left.mkdir(parents=True)
    document, folder = export(tmp_path, scene)
    names = {document["fields"][0][kind] for kind in ("low", "high")}
    assert {path.name for path in folder.iterdir()} == names | {"pairs.json"}


def test_two_exports_do_not_write_into_one_folder(tmp_path, scene):
    with Lock(tmp_path, tmp_path / "pairs", beside(tmp_path / "pairs")):
        with pytest.raises(OutputError, match="another run"):
            export(tmp_path, scene)
        assert not (tmp_path / ".pairs.partial").exists()
    export(tmp_path, scene)


def test_an_existing_folder_is_not_replaced(tmp_path, scene):
    (tmp_path / "pairs").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(tmp_path, scene)


class TestResiduals:
    def test_a_known_shift_is_found(self, rng):
        texture = ndimage.gaussian_filter(rng.random((80, 80)), 2)
        moved = ndimage.shift(texture, (0.6, -1.3), order=5)
        found = residual_shift(moved[20:60, 20:60], texture[20:60, 20:60])
        assert found == pytest.approx((0.6, -1.3), abs=0.06)

    def test_correlation(self, rng):
        texture = rng.random((9, 9))
        assert correlate(texture, 3 * texture - 5) == pytest.approx(1)
        assert correlate(texture, -texture) == pytest.approx(-1)
        assert np.isnan(correlate(texture, np.ones((9, 9))))
