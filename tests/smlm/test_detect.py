"""Emitters out of planes that were written by hand."""

import numpy as np
import pytest
import torch

from napari_microsr.smlm.detect import find_emitters


def planes(*spots, shape=(9, 8)):
    """Planes of pixels (row, column, probability, dx, dy)."""
    result = torch.zeros(10, *shape)
    result[0] = -9.0
    for row, column, probability, dx, dy in spots:
        result[0, row, column] = float(np.log(probability / (1 - probability)))
        result[1, row, column], result[2, row, column] = dx, dy
    return result


def places(found):
    return sorted(
        zip(found.column + found.values[1].round(3), found.row + found.values[2].round(3), strict=True)
    )


def test_nothing_in_nothing():
    found = find_emitters(planes(), 0.5)
    assert found.values.shape == (10, 0)
    assert len(found.row) == len(found.column) == 0


def test_neighbours_give_their_probability_to_the_maximum():
    found = find_emitters(planes((4, 3, 0.4, 0.5, 0.0), (4, 4, 0.3, -0.5, 0.0)), 0.5)
    assert places(found) == [(3.5, 4.0)]
    assert found.values[0] == pytest.approx(0.7, abs=1e-3)
    assert len(find_emitters(planes((4, 3, 0.4, 0.5, 0.0), (4, 4, 0.3, -0.5, 0.0)), 0.75).row) == 0


def test_the_sum_is_no_more_than_certain():
    found = find_emitters(planes((4, 3, 0.9, 0.5, 0.0), (4, 4, 0.55, -0.5, 0.0)), 0.5)
    assert found.values[0] == 1


def test_a_sure_neighbour_that_points_elsewhere_stays():
    found = find_emitters(planes((4, 3, 0.95, -0.3, 0.0), (4, 4, 0.9, 0.4, 0.0)), 0.5)
    np.testing.assert_allclose(places(found), [(2.7, 4.0), (4.4, 4.0)], atol=1e-3)


def test_a_sure_neighbour_that_points_at_the_same_does_not():
    found = find_emitters(planes((4, 3, 0.95, 0.4, 0.0), (4, 4, 0.9, -0.5, 0.0)), 0.5)
    # The mean of 3.4 and 3.5 by their probabilities.
    np.testing.assert_allclose(places(found), [((0.95 * 3.4 + 0.9 * 3.5) / 1.85, 4.0)], atol=1e-3)


def test_opinions_on_one_emitter_become_mean_and_error_of_their_mixture(rng):
    opinions = planes((4, 3, 0.6, 0.4, 0.1), (4, 4, 0.3, -0.4, 0.2), (3, 3, 0.2, 0.3, 0.9))
    opinions[3:6] = torch.from_numpy(rng.normal(size=(3, 9, 8)))
    opinions[6:] = torch.from_numpy(rng.uniform(0.1, 0.3, (4, 9, 8)))
    found = find_emitters(opinions, 0.5)
    assert len(found.row) == 1
    weight = np.array([0.6, 0.3, 0.2])
    at = [4, 4, 3], [3, 4, 3]
    mean = opinions[1:5, at[0], at[1]].numpy() + np.array([[0, 1, 0], [0, 0, -1], [0, 0, 0], [0, 0, 0]])
    # The darkest pixels around weigh next to nothing.
    middle = (weight * mean).sum(1) / weight.sum()
    spread = opinions[6:, at[0], at[1]].numpy()
    error = np.sqrt((weight * (spread**2 + mean**2)).sum(1) / weight.sum() - middle**2)
    np.testing.assert_allclose(found.values[1:5, 0], middle, atol=5e-3)
    np.testing.assert_allclose(found.values[6:, 0], error, atol=5e-3)


@pytest.mark.parametrize("corner", [(0, 0), (0, 7), (8, 0), (8, 7)])
def test_corners_are_seen(corner):
    found = find_emitters(planes((*corner, 0.9, 0.0, 0.0)), 0.5)
    assert (found.row[0], found.column[0]) == corner
