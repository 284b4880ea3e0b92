"""Bounds against published formulas, numerical derivatives and a real maximum-likelihood fit."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from napari_microsr.errors import InputError
from napari_microsr.smlm.crlb import closed_form, fisher_information, joint_bound
from napari_microsr.smlm.psf import expected_photons

FWHM_250 = 2.5 / 2.35482


# FWHM 250 nm, pixels of 100 nm, background 20: computed by others with another program, in nm.
@pytest.mark.parametrize(
    ("photons", "full", "closed"),
    [(80, 37.5, 37.5), (250, 13.9, 14.0), (500, 8.1, 8.1), (1000, 4.9, 5.0), (2050, 3.1, 3.1)],
)
def test_isolated_emitters_have_the_known_bound(photons, full, closed):
    assert 100 * closed_form(photons, 20, FWHM_250) == pytest.approx(closed, abs=0.06)
    bound = joint_bound([10.2], [9.9], [photons], [FWHM_250], 20, (21, 21))
    np.testing.assert_allclose(100 * bound[0, :2], full, atol=0.06)


def test_without_background_the_bound_is_that_of_the_photons():
    assert closed_form(900, 0, 1.0) == pytest.approx(np.sqrt((1 + 1 / 12) / 900))
    np.testing.assert_array_equal(closed_form(np.array([100, 400]), 0, 1.0) > 0.05, [True, True])


def test_the_information_is_that_of_numerical_derivatives():
    shape, background = (9, 11), 7.0
    theta = np.array([3.2, 6.1, 4.4, 5.0, 300.0, 900.0, 1.0, 1.4])

    def frame(p):
        x, y, n, s = p.reshape(4, 2)
        zeros = np.zeros(2, int)
        return expected_photons(zeros, x, y, n, s, n_frames=1, shape_yx=shape).ravel().astype(float)

    steps = np.array([1e-2] * 4 + [10.0] * 2 + [1e-2] * 2)
    jacobian = np.array([approx_fprime(theta, lambda p, k=k: frame(p)[k], steps) for k in range(99)])
    jacobian = np.column_stack([jacobian, np.ones(99)])
    expected = frame(theta) + background
    numerical = (jacobian / expected[:, None]).T @ jacobian
    x, y, n, s = theta.reshape(4, 2)
    exact = fisher_information(x, y, n, s, background, shape, fit_sigma=True)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    np.testing.assert_allclose(numerical / scale, exact / scale, atol=0.02)


def test_neighbours_cost_precision_and_far_ones_do_not():
    alone = joint_bound([20], [10], [500], [1.1], 20, (21, 41))[0, 0]
    near, far = (joint_bound([20, x], [10, 10], [500, 500], [1.1, 1.1], 20, (21, 41)) for x in (21, 30))
    assert near[0, 0] > 2 * alone
    assert far[0, 0] == pytest.approx(alone, rel=0.01)
    assert near.shape == (2, 3)
    assert joint_bound([20], [10], [500], [1.1], 20, (21, 41), fit_sigma=True).shape == (1, 4)


def test_what_has_no_bound_is_refused():
    with pytest.raises(InputError, match="light"):
        joint_bound([5], [5], [100], [0.5], 0, (11, 50))
    with pytest.raises(InputError, match="one place"):
        joint_bound([5, 5], [5, 5], [100, 100], [1.0, 1.0], 1, (11, 11))
