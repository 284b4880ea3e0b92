"""Placing a field: against simulated truth, and honest where there is none."""

import numpy as np
import pytest
from scipy import ndimage

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Cancelled
from napari_microsr.registration import features
from napari_microsr.registration.geometry import apply, corners, parts, similarity
from napari_microsr.registration.microscope import FOUR, Objective, mild, strong
from napari_microsr.registration.place import Field, Overview, Prior, Search, place, refine_from, score_at
from napari_microsr.registration.simulate import Conditions, shipped_specimen, take_field, take_overview

SIXTEEN = Objective(0.15, 0.4)
SHAPE = (600, 760)
# Tissue of the shipped slide, in specimen pixels.
TISSUE = (500.0, 850.0, 1700.0, 1350.0)


class Slide:
    """One overview for all tests, and fields with their truth."""

    def __init__(self):
        self.specimen, self.strip = shipped_specimen(mirror_images=False)
        self.view = take_overview(self.specimen, np.random.default_rng(7), (1650, 1400), FOUR)
        self.overview = Overview.prepare(source(self.view.image), 0.6)

    def field(self, seed, *, within=TISSUE, specimen=None, **conditions):
        wanted = Conditions(SIXTEEN, shape_yx=SHAPE, **{"light": mild, **conditions})
        view = take_field(specimen or self.specimen, wanted, np.random.default_rng(seed), within)
        return view.image, view.on(self.view)


def source(image, **kwargs):
    return ImageSource.from_array(image, name="picture", **kwargs)


def error_px(placement, truth):
    grid = np.stack(np.meshgrid(*(np.linspace(0, n - 1, 5) for n in placement.shape_yx), indexing="ij"), -1)
    return float(np.linalg.norm(placement.to_overview(grid) - apply(truth, grid), axis=-1).mean())


@pytest.fixture(scope="module")
def slide():
    return Slide()


@pytest.fixture
def no_opencv(monkeypatch):
    monkeypatch.setattr(features, "available", lambda: False)


@pytest.mark.parametrize("seed", range(3))
def test_a_field_at_any_angle_is_placed_to_a_tenth_of_a_pixel(slide, seed):
    image, truth = slide.field(seed, light=strong)
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert found.status == "placed"
    assert found.reason == ""
    assert error_px(found, truth) < 0.1
    assert found.expected_error_um < 0.2
    assert found.field_um == pytest.approx(parts(truth).scale * 0.6, rel=1e-3)
    assert (found.overview, found.shape_yx) == ("picture", SHAPE)


@pytest.mark.parametrize("error", [-0.14, 0.14])
def test_a_wrong_pixel_size_is_corrected(slide, error):
    image, truth = slide.field(11, scale_error=(0.0, 0.0))
    found = place(Field.prepare(source(image), 0.15 * (1 + error)), slide.overview)
    assert found.status == "placed"
    assert error_px(found, truth) < 0.1


def test_works_without_opencv(slide, no_opencv):
    image, truth = slide.field(3)
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert (found.status, found.inliers) == ("placed", 0)
    assert error_px(found, truth) < 0.1


def test_a_field_out_of_focus_is_placed(slide):
    image, truth = slide.field(4, defocus_um=(3.0, 3.0), light=strong)
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert found.status == "placed"
    assert error_px(found, truth) < 0.3


def test_a_mirrored_camera_is_found_and_said(slide):
    image, truth = slide.field(5, mirrored=True)
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert found.status == "placed"
    assert parts(found.matrix_yx).mirrored
    assert "mirror" in found.reason
    assert error_px(found, truth) < 0.1
    known = place(Field.prepare(source(image), 0.15), slide.overview, prior=Prior(mirrored=False))
    assert known.status != "placed"


def test_a_mirrored_match_that_no_feature_supports_is_left_to_a_person(slide):
    image, truth = slide.field(5, mirrored=True, defocus_um=(4.0, 4.0))
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert found.inliers < 12
    assert error_px(found, truth) < 0.5
    assert found.status == "uncertain"
    assert "mirror" in found.reason
    known = place(Field.prepare(source(image), 0.15), slide.overview, prior=Prior(mirrored=True))
    assert known.status == "placed"


def test_a_field_that_fits_mirrored_and_almost_as_it_is_is_left_to_a_person(slide):
    region = slide.view.image[700:900, 780:1020].astype(float)
    other = slide.view.image[1000:1200, 780:1020].astype(float)
    picture = np.full((460, 760, 3), 235, np.uint8)
    picture[130:330, 60:300] = region[:, ::-1]
    field = source(
        ndimage.zoom(region, (4, 4, 1), order=3, mode="nearest", grid_mode=True).clip(0, 255).astype(np.uint8)
    )
    alone = place(Field.prepare(field, 0.15), Overview.prepare(source(picture), 0.6))
    assert (alone.status, parts(alone.matrix_yx).mirrored) == ("placed", True)
    picture[130:330, 440:680] = 0.45 * region + 0.55 * other
    both = place(Field.prepare(field, 0.15), Overview.prepare(source(picture), 0.6))
    assert both.status == "uncertain"
    assert "mirrored" in both.reason
    assert parts(both.matrix_yx).mirrored  # the better of the two


def test_a_field_that_reaches_over_the_edge_is_placed_by_the_part_that_lies_on_it(slide):
    cut = 700
    part = slide.view.columns(cut, slide.view.image.shape[1])
    overview = Overview.prepare(source(part.image), 0.6)
    wanted = Conditions(SIXTEEN, shape_yx=SHAPE, light=mild)
    centre = cut * 0.6 / 0.5 + 20
    view = take_field(slide.specimen, wanted, np.random.default_rng(6), (600, centre - 30, 1700, centre + 30))
    found = place(Field.prepare(source(view.image), 0.15), overview)
    truth = view.on(part)
    assert apply(truth, corners(SHAPE))[:, 1].min() < -50
    assert found.status == "placed"
    assert error_px(found, truth) < 0.4


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_a_third_of_a_field_on_the_overview_is_enough_without_opencv(slide, no_opencv, seed):
    cut = 700
    part = slide.view.columns(cut, slide.view.image.shape[1])
    wanted = Conditions(SIXTEEN, shape_yx=SHAPE, light=mild, max_rotation_deg=5, min_tissue=0.2)
    centre = cut * 0.6 / 0.5 - 25  # 50 of 228 specimen pixels of its width lie off its middle
    view = take_field(slide.specimen, wanted, np.random.default_rng(seed), (600, centre, 1700, centre))
    found = place(Field.prepare(source(view.image), 0.15), Overview.prepare(source(part.image), 0.6))
    truth = view.on(part)
    assert apply(truth, (np.array(SHAPE) - 1.0) / 2)[1] < 0
    assert found.status == "placed"
    assert error_px(found, truth) < 0.4


@pytest.mark.parametrize("seed", range(4))
def test_tissue_of_the_same_slide_that_is_not_on_the_overview_is_not_placed(slide, seed):
    image, _ = slide.field(seed, within=(150.0, 500.0, 450.0, 1500.0), specimen=slide.strip)
    found = place(Field.prepare(source(image), 0.15), slide.overview)
    assert found.status == "not_found"
    assert found.matrix_yx is None
    assert found.reason


def test_without_pixel_sizes_the_usual_magnifications_are_tried(slide):
    image, truth = slide.field(8, scale_error=(0.0, 0.0))
    overview = Overview.prepare(source(slide.view.image))
    found = place(Field.prepare(source(image)), overview)
    assert found.status == "placed"
    assert found.field_um is None
    assert found.expected_error_um is None
    assert error_px(found, truth) < 0.1


def test_a_prior_narrows_the_search(slide):
    image, truth = slide.field(9)
    known = parts(truth)
    narrow = Search(max_rotation_deg=3.0, max_scale_error=0.01)
    right = Prior(known.scale, known.rotation_deg, False)
    wrong = Prior(known.scale, known.rotation_deg + 90, False)
    assert place(Field.prepare(source(image)), slide.overview, narrow, right).status == "placed"
    assert place(Field.prepare(source(image)), slide.overview, narrow, wrong).status == "not_found"


def resampled(image, shift):
    """The image that shows at each pixel x what lies at x + shift(x)."""
    grid = np.stack(np.mgrid[: image.shape[0], : image.shape[1]], -1).astype(float)
    places = np.moveaxis(grid + shift(grid), -1, 0)
    layers = [
        ndimage.map_coordinates(c, places, output=float, order=1, mode="nearest")
        for c in np.moveaxis(image, -1, 0)
    ]
    return np.stack(layers, -1).round().astype(np.uint8)


@pytest.mark.parametrize("transform", ["affine", "quadratic"])
def test_a_camera_that_shears_or_bends_is_followed_by_the_transform_that_allows_it(slide, transform):
    centre, half = (np.array(SHAPE) - 1) / 2, max(SHAPE) / 2

    def shift(points):
        v, u = np.moveaxis((points - centre) / half, -1, 0)
        if transform == "affine":
            return np.stack([6 * v + 3 * u, 3 * v - 6 * u], -1)
        return np.stack([5 * u * u, 6 * v * u], -1)

    image, truth = slide.field(12)
    field = Field.prepare(source(resampled(image, shift)), 0.15)
    grid = np.stack(np.meshgrid(*(np.linspace(0, n - 1, 5) for n in SHAPE), indexing="ij"), -1)
    where = apply(truth, grid + shift(grid))
    off = {}
    for tried in ("similarity", transform):
        found = place(field, slide.overview, Search(transform=tried))
        assert found.status == "placed"
        assert (found.quadratic_yx is not None) == (tried == "quadratic")
        off[tried] = np.linalg.norm(found.to_overview(grid) - where, axis=-1).mean()
    assert off["similarity"] > 0.3
    assert off[transform] < 0.1


def test_refines_and_scores_what_a_hand_has_placed(slide):
    image, truth = slide.field(10)
    field = Field.prepare(source(image), 0.15)
    centre = ((SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2)
    onto = apply(truth, np.array(centre)) + np.array([5.0, -4.0])
    known = parts(truth)
    dragged = similarity(known.scale * 1.02, known.rotation_deg + 2, centre=centre, onto=tuple(onto))
    as_dragged = score_at(field, slide.overview, dragged)
    assert as_dragged.manual
    assert np.array_equal(as_dragged.matrix_yx, dragged)
    refined = refine_from(field, slide.overview, dragged)
    assert (refined.status, refined.manual) == ("placed", True)
    assert refined.score > as_dragged.score + 0.3
    assert error_px(refined, truth) < 0.1
    assert score_at(field, slide.overview, truth).status == "placed"


def test_a_stop_is_heard(slide, no_opencv):
    def stop():
        raise Cancelled

    image, _ = slide.field(3)
    with pytest.raises(Cancelled):
        place(Field.prepare(source(image), 0.15), slide.overview, check=stop)
