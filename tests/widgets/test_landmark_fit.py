"""The transform through landmarks, against transforms that are known and the optimum of scipy."""

import numpy as np
import pytest
from scipy.optimize import minimize

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import apply, parts, similarity
from napari_microsr.widgets.landmark_fit import fit_points


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("count", [3, 7])
def test_a_similarity_is_found_again(mirrored, count, rng):
    truth = similarity(0.1, 123.0, centre=(5e5, -2e5), onto=(300, 400), mirrored=mirrored)
    points = rng.uniform((5e5, -2e5), (5.03e5, -1.97e5), (count, 2))
    matrix, residuals = fit_points(points, apply(truth, points))
    np.testing.assert_allclose(apply(matrix, points), apply(truth, points), atol=1e-7)
    assert residuals.max() < 1e-7
    assert parts(matrix).mirrored == mirrored


def test_two_points_give_no_mirror_image():
    matrix, residuals = fit_points(np.array([[0.0, 0], [0, 10]]), np.array([[5.0, 5], [6, 5]]))
    assert not parts(matrix).mirrored
    np.testing.assert_allclose(parts(matrix).scale, 0.1)
    np.testing.assert_allclose(residuals, 0, atol=1e-12)


def test_an_affine_is_found_again_and_only_on_request(rng):
    truth = np.array([[0.1, 0.02, 5], [-0.03, 0.14, 9], [0, 0, 1]])
    points = rng.uniform(0, 3000, (5, 2))
    matrix, _ = fit_points(points, apply(truth, points), affine=True)
    np.testing.assert_allclose(matrix, truth, atol=1e-8)
    plain, residuals = fit_points(points, apply(truth, points))
    assert parts(plain).anisotropy < 1 + 1e-9
    assert residuals.max() > 1


def test_of_noisy_points_the_squares_are_least(rng):
    truth = similarity(0.2, 30.0, centre=(0, 0), onto=(50, 60))
    points = rng.uniform(0, 500, (8, 2))
    noisy = apply(truth, points) + rng.normal(0, 2, (8, 2))
    _, residuals = fit_points(points, noisy)

    def squares(p):
        return np.square(
            apply(similarity(p[0], p[1], centre=(0, 0), onto=(p[2], p[3])), points) - noisy
        ).sum()

    best = minimize(
        squares,
        [0.2, 30, 50, 60],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000, "maxfev": 5000},
    )
    np.testing.assert_allclose(np.square(residuals).sum(), best.fun, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "overview", "affine", "says"),
    [
        ([[0, 0]], [[1, 1]], False, "There are 1 pairs"),
        ([], [], False, "There are 0 pairs"),
        ([[0, 0], [1, 1]], [[1, 1]], False, "2 landmarks and the overview 1"),
        ([[0, 0], [1, 1]], [[1, 1], [2, 2]], True, "at least 3"),
        ([[3, 3], [3, 3], [3, 3]], [[1, 1], [2, 2], [5, 6]], False, "far apart"),
        ([[3, 3], [4, 4]], [[1, 1], [1, 1]], False, "far apart"),
        ([[0, 0], [1, 1], [2, 2]], [[1, 1], [2, 5], [3, 7]], True, "on one line"),
    ],
)
def test_points_that_span_no_transform_are_refused(field, overview, affine, says):
    field, overview = (np.array(points, float).reshape(-1, 2) for points in (field, overview))
    with pytest.raises(InputError, match=says):
        fit_points(field, overview, affine=affine)
