"""Filters against the same expression in numpy; nothing but arithmetic gets through."""

import numpy as np
import pytest

from napari_microsr.errors import JobError
from napari_microsr.smlm.filters import by_expression, by_ranges
from napari_microsr.smlm.localizations import Localizations


@pytest.fixture
def table(rng):
    n = 200
    return Localizations.from_columns(
        frame=rng.integers(0, 50, n), x=rng.uniform(0, 40, n), y=rng.uniform(0, 40, n),
        photons=rng.uniform(50, 2000, n), x_err=rng.uniform(0.01, 0.5, n), y_err=rng.uniform(0.01, 0.5, n),
        probability=np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
        pixel_nm=100, shape_yx=(40, 40), n_frames=50,
    )  # fmt: skip


def test_expressions_mean_what_numpy_means(table):
    t = table
    cases = {
        "photons > 300": t.photons > 300,
        "photons > 300 and uncertainty_nm < 25": (t.photons > 300) & (t.uncertainty_nm < 25),
        "(photons > 300) & (frame == 3) | ~(x_nm < 2000)": (t.photons > 300) & (t.frame == 3)
        | ~(t.x_nm < 2000),
        "10 <= frame < 20 or not y >= 5": ((t.frame >= 10) & (t.frame < 20)) | ~(t.y >= 5),
        "(x - 20)**2 + (y - 20)**2 < 10**2": (t.x - 20) ** 2 + (t.y - 20) ** 2 < 100,
        "x_err / y_err != 1": t.x_err / t.y_err != 1,
        "-x > -2.5": t.x < 2.5,
        "probability >= 0": ~np.isnan(t.probability),
        "True": np.ones(200, bool),
        "1 > 2": np.zeros(200, bool),
    }
    for expression, truth in cases.items():
        np.testing.assert_array_equal(by_expression(table, expression), truth, err_msg=expression)


def test_a_decimal_number_is_compared_as_it_is_written(table):
    equal = table.replace(x_err=np.full(200, 0.25))
    assert by_expression(equal, "x_err == 0.25").all()
    assert not by_expression(equal, "x_err < 0.25").any()


@pytest.mark.parametrize(
    "expression",
    [
        "", "photons >", "photons", "photons + 1", "5", "__import__('os')", "photons.dtype > 1",
        "[x for x in y]",
        "photons > 'a'", "photons and x", "not photons", "x if y else x", "lambda: 1", "x @ y > 1", "x in y",
        "photons > 10**10**10", "1 / 0 > x", "f'{x}' > 1", "(a := 1) > 0", "x[0] > 1", "photons is 3", "a\nb",
    ],
)  # fmt: skip
def test_what_is_no_comparison_is_refused(table, expression):
    with pytest.raises(JobError):
        by_expression(table, expression)


def test_unknown_columns_are_named(table):
    with pytest.raises(JobError, match=r"colour.*photons"):
        by_expression(table, "colour > 3")
    with pytest.raises(JobError, match="does not know sigma_px"):
        by_expression(table, "sigma_px > 1")


def test_ranges_include_their_ends_and_leave_nan_out(table):
    frame = by_ranges(table, {"frame": (10, 20)})
    np.testing.assert_array_equal(frame, (table.frame >= 10) & (table.frame <= 20))
    both = by_ranges(table, {"frame": (10, 20), "probability": (0, 1)})
    np.testing.assert_array_equal(both, frame & ~np.isnan(table.probability))
    assert by_ranges(table, {}).all()
    with pytest.raises(JobError, match="sigma_nm"):
        by_ranges(table, {"sigma_nm": (0, 1)})


def test_an_empty_table_is_filtered_to_nothing():
    empty = Localizations.empty(pixel_nm=100, shape_yx=(4, 4), n_frames=0)
    assert by_expression(empty, "photons > 3").shape == (0,)
    assert by_ranges(empty, {"photons": (0, 3)}).shape == (0,)
