"""The table: types, half pixels, selection, and what it refuses."""

import numpy as np
import pytest

from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import COLUMNS, Localizations, concatenate

FIELD = {"pixel_nm": 100.0, "shape_yx": (7, 9), "n_frames": 5}


def table(**columns):
    return Localizations.from_columns(**FIELD, **columns)


def test_columns_have_fixed_types_and_what_is_not_known_is_nan():
    found = table(frame=[0, 4], x=np.array([1, 2], ">f4"), y=np.array([3, 0], np.uint16), photons=[5, 6])
    assert {name: column.dtype for name, column in found.columns().items()} == COLUMNS
    assert all(column.dtype.isnative for column in found.columns().values())
    np.testing.assert_array_equal(found.x, [1, 2])
    np.testing.assert_array_equal(found.photons, [5, 6])
    assert np.isnan(found.x_err).all()
    assert len(found) == 2


def test_nanometres_are_counted_from_the_corner_of_the_first_pixel():
    found = table(frame=[0], x=[0.0], y=[2.25], sigma_px=[1.5], x_err=[0.3], y_err=[0.4])
    assert found.x_nm[0] == 50
    assert found.y_nm[0] == 275
    assert found.sigma_nm[0] == 150
    assert found.uncertainty_nm[0] == pytest.approx(100 * np.sqrt((0.09 + 0.16) / 2))


def test_a_table_does_not_change_with_the_arrays_it_was_made_from():
    x = np.array([1.0, 2.0])
    found = table(frame=[0, 1], x=x, y=x)
    x[0] = 9
    assert found.x[0] == 1


def test_select_sort_and_join(rng):
    found = table(frame=[2, 0, 2, 0], x=[1, 5, 0, 4], y=[1, 3, 1, 3], photons=[1, 2, 3, 4])
    ordered = found.sorted()
    np.testing.assert_array_equal(ordered.photons, [4, 2, 3, 1])
    parts = [ordered.select(slice(0, 1)), ordered.select(np.array([1])), ordered.select(ordered.frame == 2)]
    np.testing.assert_array_equal(concatenate(parts).photons, ordered.photons)
    nothing = Localizations.empty(**FIELD)
    assert len(nothing) == 0
    assert len(concatenate([nothing, nothing.sorted()])) == 0
    moved = found.replace(x=found.x + 1)
    np.testing.assert_array_equal(moved.x, [2, 6, 1, 5])
    np.testing.assert_array_equal(moved.y, found.y)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"frame": [0], "x": [1.0]}, "lacks \\['y'\\]"),
        ({"frame": [0], "x": [1.0], "y": [1.0], "z": [0.0]}, "unknown columns \\['z'\\]"),
        ({"frame": [0], "x": [1.0, 2.0], "y": [1.0]}, "2 rows"),
        ({"frame": [0], "x": [np.nan], "y": [1.0]}, "1 of 1 positions"),
        ({"frame": [5], "x": [1.0], "y": [1.0]}, "stack of 5"),
        ({"frame": [-1], "x": [1.0], "y": [1.0]}, "Count frames from 0"),
    ],
)
def test_wrong_columns_are_refused(columns, words):
    with pytest.raises(InputError, match=words):
        table(**columns)


@pytest.mark.parametrize(
    ("pixel_nm", "words"), [(0, "impossible"), (-1, "impossible"), (np.nan, "impossible"), (0.1, "100 nm")]
)
def test_wrong_pixel_sizes_are_refused(pixel_nm, words):
    with pytest.raises(InputError, match=words):
        Localizations.empty(pixel_nm=pixel_nm, shape_yx=(1, 1), n_frames=1)


def test_tables_of_two_cameras_are_not_joined():
    other = Localizations.empty(pixel_nm=160, shape_yx=(7, 9), n_frames=5)
    with pytest.raises(InputError, match="160"):
        concatenate([Localizations.empty(**FIELD), other])
    with pytest.raises(InputError, match="no tables"):
        concatenate([])
