"""Scores by hand, matching against the assignment of whole frames, random points against the facts."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.metrics import calibration, match, random_reference, score
from napari_microsr.smlm.simulate import Scene, draw_emitters

FIELD = {"pixel_nm": 100.0, "shape_yx": (40, 50), "n_frames": 6}


def table(frame, x, y, **columns):
    return Localizations.from_columns(frame=frame, x=x, y=y, **columns, **FIELD)


def test_a_score_by_hand():
    truth = table([0, 0, 1, 2], [10, 20, 20, 30], [10, 20, 20, 30])
    found = table([0, 0, 1, 3], [10.3, 21, 23, 30], [10.4, 20, 20, 30])
    result = score(truth, found)  # distances 50, 100, 300 nm, another frame
    assert (result.tp, result.fp, result.fn) == (2, 2, 2)
    assert result.recall == result.precision == 0.5
    assert result.jaccard == pytest.approx(1 / 3)
    assert result.rmse_nm == pytest.approx(np.sqrt((50**2 + 100**2) / 2))
    assert result.median_nm == pytest.approx(75)
    assert result.efficiency == pytest.approx(100 - np.hypot(200 / 3, result.rmse_nm))


def test_pairs_are_as_many_as_possible_and_then_short():
    # The nearest pair (b, c) would leave a and d alone.
    truth = table([0, 0], [10.0, 11.0], [10, 10])
    found = table([0, 0], [11.2, 13.1], [10, 10])
    pairs = match(truth, found)
    np.testing.assert_array_equal(pairs.truth, [0, 1])
    np.testing.assert_array_equal(pairs.found, [0, 1])
    np.testing.assert_allclose(pairs.distance_nm, [120, 210])


@pytest.mark.parametrize("count", [30, 300])
def test_matching_equals_the_assignment_of_whole_frames(rng, count):
    truth, found = (
        table(rng.integers(0, 6, n), rng.uniform(-0.5, 49.5, n), rng.uniform(-0.5, 39.5, n))
        for n in (count, count + 11)
    )
    pairs = match(truth, found)
    number, total = 0, 0.0
    for t in range(6):
        a, b = (np.column_stack([s.x, s.y])[s.frame == t] * 100 for s in (truth, found))
        distance = cdist(a, b)
        cost = np.where(distance <= 250, distance, 1e6)
        chosen = cost[linear_sum_assignment(cost)]
        number += np.count_nonzero(chosen < 1e6)
        total += chosen[chosen < 1e6].sum()
    assert len(pairs.truth) == number
    assert pairs.distance_nm.sum() == pytest.approx(total)
    assert np.unique(pairs.truth).size == np.unique(pairs.found).size == number
    np.testing.assert_array_equal(truth.frame[pairs.truth], found.frame[pairs.found])


def test_the_border_is_left_out():
    truth = table([0, 0, 0], [3.9, 4.0, 45.1], [20, 20, 20])  # 440, 450 and 4560 nm of 5000
    assert score(truth, truth).tp == 1
    assert score(truth, truth, border_nm=0).tp == 3


def test_perfect_empty_and_one_sided():
    truth, nothing = table([0], [20], [20]), table([], [], [])
    assert score(truth, truth).efficiency == 100
    missed = score(truth, nothing)
    assert (missed.tp, missed.fn, missed.jaccard) == (0, 1, 0)
    assert missed.efficiency == 0
    assert np.isnan(missed.precision)
    assert score(nothing, truth).fp == 1
    assert np.isnan(score(nothing, nothing).jaccard)


def test_random_points_score_what_the_density_gives(rng):
    # Measured with another implementation at 5 per um^2: J .340, J at 100 nm .074, RMSE 160 nm, E -73.
    truth = draw_emitters(rng, 4, (256, 256), Scene(density_um2=(5, 5)))
    random = score(truth, random_reference(rng, truth))
    assert random.jaccard == pytest.approx(0.34, abs=0.02)
    assert random.jaccard_strict == pytest.approx(0.074, abs=0.01)
    assert random.rmse_nm == pytest.approx(160, abs=4)
    assert random.efficiency == pytest.approx(-73, abs=4)


def test_honest_errors_have_a_calibration_of_1(rng):
    n = 4000
    x, y = rng.uniform(5, 44, n), rng.uniform(5, 34, n)
    truth = table(rng.integers(0, 6, n), x, y)
    found = truth.replace(x=x + rng.normal(0, 0.02, n), y=y + rng.normal(0, 0.02, n))
    rows = np.arange(n)
    pairs = match(truth, found, 20)
    for claimed, pull in ((0.02, 1.0), (0.01, 2.0)):
        claim = found.replace(x_err=np.full(n, claimed), y_err=np.full(n, claimed))
        assert calibration(truth, claim, pairs) == pytest.approx(pull, rel=0.05)
    assert np.isnan(calibration(truth, found, match(truth, found.select(rows < 0))))
