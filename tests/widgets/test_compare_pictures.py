"""Checkerboard and difference of a field and its overview."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import similarity
from napari_microsr.widgets.compare_pictures import checkerboard, difference


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
    shown, _ = difference(field, ImageSource.from_array(np.full((9, 9), 3, np.uint16)), np.eye(3))
    assert np.isfinite(shown).all()


def test_where_field_and_overview_agree_there_is_no_difference_and_a_shift_shows(rng):
    overview = texture(rng, (90, 110))
    matrix = similarity(0.25, 0.0, centre=(-0.5, -0.5), onto=(19.5, 29.5))
    # Brighter, and darkness is no zero: gain and offset do not matter.
    field = 5 * overview[20:60, 30:80].repeat(4, 0).repeat(4, 1) + 1000
    sources = ImageSource.from_array(field), ImageSource.from_array(overview)
    right, to_field = difference(*sources, matrix)
    assert right.shape == (40, 50)
    assert right.max() < 1e-4
    np.testing.assert_allclose(to_field @ [0, 0, 1], [1.5, 1.5, 1])
    shifted = matrix.copy()
    shifted[0, 2] += 2
    assert difference(*sources, shifted)[0].mean() > 0.2


def test_a_field_half_outside_differs_only_inside(rng):
    overview = texture(rng, (60, 60))
    field = texture(rng, (80, 80))
    matrix = similarity(0.5, 0.0, centre=(0, 0), onto=(-20, 0))
    shown, _ = difference(ImageSource.from_array(field), ImageSource.from_array(overview), matrix)
    assert not shown[:19].any()
    assert shown[21:].mean() > 0.1
    outside = similarity(0.5, 0.0, centre=(0, 0), onto=(-200, 0))
    assert not difference(ImageSource.from_array(field), ImageSource.from_array(overview), outside)[0].any()


def test_colours_against_grey(rng):
    overview = texture(rng, (60, 60))
    field = np.stack([overview[10:40, 10:40]] * 3, -1).clip(0, 255).astype(np.uint8)
    matrix = np.array([[1.0, 0, 10], [0, 1, 10], [0, 0, 1]])
    shown, _ = difference(ImageSource.from_array(field), ImageSource.from_array(overview), matrix)
    assert shown.max() < 0.1
