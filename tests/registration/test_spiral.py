"""The source's two searches: they find what they can find, and show why more is needed."""

import numpy as np
import pytest
from scipy import ndimage

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import apply
from napari_microsr.registration.spiral import locate, spiral


@pytest.fixture
def overview(rng):
    """Smooth colours without repetition, 240 x 320."""
    noise = ndimage.gaussian_filter(rng.standard_normal((240, 320, 3)), (9, 9, 0))
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def test_the_spiral_visits_every_place_once_from_the_centre_on():
    places = spiral(5, 8)
    assert sorted(map(tuple, places)) == [(y, x) for y in range(5) for x in range(8)]
    assert tuple(places[0]) == (2, 3)
    rings = np.abs(places - [2, 3]).max(1)
    assert (np.diff(rings) >= 0).all()


def test_a_spiral_walks_to_neighbours():
    steps = np.abs(np.diff(spiral(7, 7), axis=0)).max(1)
    assert steps.max() == 1, "on a whole square each step leads to a neighbour"


@pytest.mark.parametrize("levels", [1, 3])
def test_a_piece_of_the_overview_is_found_where_it_was_cut(overview, levels):
    found = locate(overview[64:128, 200:280], overview, 1.0, levels=levels, threshold=0.995)
    assert found.accepted
    assert found.overlap == 1
    assert np.allclose(found.matrix_yx, [[1, 0, 64], [0, 1, 200], [0, 0, 1]])
    assert (found.difference == 0).all()
    assert found.difference.shape == (64, 80, 3)


def test_the_pyramid_tries_far_fewer_places(overview):
    field = overview[64:128, 200:280]
    brute = locate(field, overview, 1.0, stop=False)
    coarse = locate(field, overview, 1.0, stop=False, levels=3)
    assert brute.tried == (240 - 64 + 1) * (320 - 80 + 1)
    assert coarse.tried == (60 - 16 + 1) * (80 - 20 + 1) + 8


def test_a_field_at_higher_magnification_is_found_to_a_pixel_of_the_search(overview):
    field = ndimage.zoom(overview[48:112, 96:192], (5, 5, 1), order=1, grid_mode=True, mode="nearest")
    found = locate(field, overview, 0.2, side_px=160, stop=False)
    centre = np.array([(field.shape[0] - 1) / 2, (field.shape[1] - 1) / 2])
    assert np.abs(apply(found.matrix_yx, centre) - [79.5, 143.5]).max() <= 2
    # Edges of the field are edges on the overview: (64, 96) overview pixels in (320, 480).
    assert np.allclose(np.diag(found.matrix_yx), [0.2, 0.2, 1])


def test_the_first_place_above_the_threshold_ends_the_search(overview):
    # On glass every place is right, and the spiral never leaves the centre.
    glass = np.full((100, 100, 3), 240, np.uint8)
    found = locate(glass[:20, :20], glass, 1.0)
    assert found.accepted
    assert found.tried <= 256
    assert tuple(found.matrix_yx[:2, 2]) == (40, 40)


def test_tissue_that_is_not_there_is_accepted_all_the_same(rng):
    """The source's rule judges mean colour: another place of like colour passes its 90 %."""
    pink = np.clip(rng.normal((220, 150, 190), 12, (120, 160, 3)), 0, 255).astype(np.uint8)
    elsewhere = np.clip(rng.normal((220, 150, 190), 12, (30, 40, 3)), 0, 255).astype(np.uint8)
    assert locate(elsewhere, pink, 1.0).accepted


@pytest.mark.parametrize(
    ("shape", "ratio", "levels"), [((60, 400, 3), 1.0, 1), ((4, 4, 3), 1.0, 4), ((241, 10, 3), 1.0, 1)]
)
def test_what_cannot_be_searched_is_said(overview, shape, ratio, levels):
    with pytest.raises(InputError, match="cannot be searched"):
        locate(np.zeros(shape, np.uint8), overview, ratio, levels=levels)


def test_odd_sizes_and_single_pixels(overview):
    found = locate(overview[101:102, 33:34], overview, 1.0, stop=False)
    assert found.overlap == 1
    odd = locate(overview[10:75, 11:90], overview[:239, :317], 1.0, levels=2, stop=False)
    assert np.abs(odd.matrix_yx[:2, 2] - [10, 11]).max() <= 1
