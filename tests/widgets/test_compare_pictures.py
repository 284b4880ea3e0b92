"""Checkerboard and difference of a field and its overview."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.compare_pictures import bent, checkerboard, difference


def lay(matrix, shape, quadratic=None):
    return FieldPlacement("field", None, "slide", shape, "placed", matrix_yx=matrix, quadratic_yx=quadratic)


def texture(rng, shape, sigma=3):
    noise = gaussian_filter(rng.normal(size=shape), sigma)
    return (noise / noise.std() * 30 + 128).astype(np.float32)


def test_every_other_square_is_cut_out_and_the_rest_is_the_field(rng):
    array = rng.integers(0, 255, (2050, 1030, 3), np.uint8)
    picture, matrix = checkerboard(ImageSource.from_array(array))
    assert picture.shape == (683, 343, 4)
    side = 86
    assert not picture[:side, :side, 3].any()
    assert (picture[:side, side : 2 * side, 3] == 255).all()
    assert (picture[side : 2 * side, :side, 3] == 255).all()
    np.testing.assert_allclose(picture[5, 7, :3], array[15:18, 21:24].mean((0, 1)), atol=0.51)
    np.testing.assert_allclose(matrix @ [5, 7, 1], [16, 22, 1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 1)])
def test_thin_fields_have_a_checkerboard_and_a_difference(shape):
    field = ImageSource.from_array(np.full(shape, 7, np.uint16))
    picture, _ = checkerboard(field)
    assert picture.size
    shown, _ = difference(field, ImageSource.from_array(np.full((9, 9), 3, np.uint16)), lay(np.eye(3), shape))
    assert np.isfinite(shown).all()


def test_where_field_and_overview_agree_there_is_no_difference_and_a_shift_shows(rng):
    overview = texture(rng, (90, 110))
    matrix = similarity(0.25, 0.0, centre=(-0.5, -0.5), onto=(19.5, 29.5))
    # Brighter, and darkness is no zero: gain and offset do not matter.
    field = 5 * overview[20:60, 30:80].repeat(4, 0).repeat(4, 1) + 1000
    sources = ImageSource.from_array(field), ImageSource.from_array(overview)
    right, to_field = difference(*sources, lay(matrix, field.shape))
    assert right.shape == (40, 50)
    assert right.max() < 1e-4
    np.testing.assert_allclose(to_field @ [0, 0, 1], [1.5, 1.5, 1])
    shifted = matrix.copy()
    shifted[0, 2] += 2
    assert difference(*sources, lay(shifted, field.shape))[0].mean() > 0.2


def test_a_field_half_outside_differs_only_inside(rng):
    overview = texture(rng, (60, 60))
    field = texture(rng, (80, 80))
    matrix = similarity(0.5, 0.0, centre=(0, 0), onto=(-20, 0))
    shown, _ = difference(
        ImageSource.from_array(field), ImageSource.from_array(overview), lay(matrix, field.shape[:2])
    )
    assert not shown[:19].any()
    assert shown[21:].mean() > 0.1
    outside = similarity(0.5, 0.0, centre=(0, 0), onto=(-200, 0))
    assert not difference(
        ImageSource.from_array(field), ImageSource.from_array(overview), lay(outside, field.shape)
    )[0].any()


def test_colours_against_grey(rng):
    overview = texture(rng, (60, 60))
    field = np.stack([overview[10:40, 10:40]] * 3, -1).clip(0, 255).astype(np.uint8)
    matrix = np.array([[1.0, 0, 10], [0, 1, 10], [0, 0, 1]])
    shown, _ = difference(
        ImageSource.from_array(field), ImageSource.from_array(overview), lay(matrix, field.shape[:2])
    )
    assert shown.max() < 0.1


BOW = np.array([[3.0, -1.0, 2.0], [1.0, 2.0, -3.0]])


def wavy(points):
    y, x = np.moveaxis(points, -1, 0)
    return (np.sin(0.31 * y + 0.2 * np.sin(0.1 * x)) + np.cos(0.27 * x - 0.05 * y)) / 2


def test_a_bent_field_differs_from_its_overview_only_where_the_bend_is_left_out():
    placement = lay(similarity(0.5, 20, centre=(60, 70), onto=(60, 60)), (120, 140), BOW)
    places = placement.to_overview(np.moveaxis(np.indices((120, 140), float), 0, -1))
    field = ImageSource.from_array(wavy(places))
    overview = ImageSource.from_array(wavy(np.moveaxis(np.indices((130, 130), float), 0, -1)))
    right = difference(field, overview, placement)[0].mean()
    straight = difference(field, overview, lay(placement.matrix_yx, (120, 140)))[0].mean()
    assert right < 0.05
    assert straight > 4 * right


@pytest.mark.parametrize("colours", [False, True])
def test_the_bent_picture_shows_each_spot_of_the_overview_where_it_is(colours):
    placement = lay(similarity(0.5, 20, centre=(60, 70), onto=(200, 300)), (120, 140), BOW)
    places = placement.to_overview(np.moveaxis(np.indices((120, 140), float), 0, -1))
    seen = np.rint((wavy(places) + 1) * 127).astype(np.uint8)
    field = np.stack([seen, 255 - seen, seen], -1) if colours else seen
    picture, matrix = bent(ImageSource.from_array(field), placement)
    there = np.moveaxis(np.indices(picture.shape[:2], float), 0, -1) @ matrix[:2, :2].T + matrix[:2, 2]
    shown = picture[..., 3] == 255
    assert abs(shown.sum() - 120 * 140) < 400, "a pixel of the picture is one of the field"
    error = np.abs(picture[..., 0] - (wavy(there) + 1) * 127)[shown]
    assert np.percentile(error, 99) < 3
    if colours:
        assert np.abs(picture[shown].astype(int)[:, 0] + picture[shown][:, 1] - 255).max() < 3


def test_the_bent_picture_of_a_large_field_is_no_larger_than_a_screen():
    placement = lay(similarity(2.0, 0, centre=(0, 0), onto=(0, 0)), (3000, 1), BOW)
    picture, _ = bent(ImageSource.from_array(np.zeros((3000, 1), np.uint16)), placement)
    assert max(picture.shape) <= 1540
