"""Pixel integrals of the PSFs against numerical integration and the theory of diffraction."""

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import j0, j1

from napari_microsr.smlm.psf import AIRY_SIGMA_V, expected_photons


def one(x, y, sigma=1.1, shape=(21, 23), photons=1000.0, **options):
    return expected_photons([0], [x], [y], [photons], [sigma], n_frames=1, shape_yx=shape, **options)[0]


@pytest.mark.parametrize(("row", "column"), [(10, 11), (9, 13), (7, 11)])
def test_a_gaussian_pixel_is_the_integral_over_it(row, column):
    x, y, sigma = 11.3, 9.8, 1.1

    def density(b, a):
        return 1000 * np.exp(-((a - x) ** 2 + (b - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    truth = dblquad(density, column - 0.5, column + 0.5, row - 0.5, row + 0.5)[0]
    assert one(x, y)[row, column] == pytest.approx(truth, rel=1e-4)


def test_an_airy_pixel_is_the_integral_over_it():
    x, y, sigma = 11.3, 9.8, 1.1
    image = one(x, y, sigma, psf="airy")

    def density(b, a):
        v = max(AIRY_SIGMA_V * np.hypot(a - x, b - y) / sigma, 1e-9)
        return 1000 * (j1(v) / v) ** 2 / np.pi * (AIRY_SIGMA_V / sigma) ** 2

    for row, column in ((10, 11), (9, 13), (4, 11)):
        truth = dblquad(density, column - 0.5, column + 0.5, row - 0.5, row + 0.5, epsrel=1e-6)[0]
        assert image[row, column] == pytest.approx(truth, abs=0.3)


def test_an_airy_pattern_holds_the_energy_of_theory():
    # Encircled energy 1 - J0(v)^2 - J1(v)^2 (Rayleigh), in the circle of as many pixels.
    image = one(40.0, 40.0, sigma=4.0, shape=(81, 81), psf="airy")
    rows, columns = np.indices(image.shape) - 40
    for radius in (4.5, 9.5, 20.5):
        disc = np.hypot(rows, columns) < radius
        v = AIRY_SIGMA_V * np.sqrt(disc.sum() / np.pi) / 4.0
        held = image[disc].sum() / 1000
        assert held == pytest.approx(1 - j0(v) ** 2 - j1(v) ** 2, abs=0.01)


def test_both_psfs_have_one_width():
    gauss, airy = (one(40, 40, sigma=8.0, shape=(81, 81), psf=psf)[40] for psf in ("gaussian", "airy"))
    widths = [np.count_nonzero(line > line.max() / 2) for line in (gauss, airy)]
    assert abs(widths[0] - widths[1]) <= 1


@pytest.mark.parametrize("defocus", [1.0, 4.0])
def test_defocus_dims_the_centre_as_theory_says(defocus):
    # On the axis it falls with (sin(u/4) / (u/4))^2, u/2 being the phase at the rim (Born and Wolf, 8.8).
    sharp, blurred = (one(40, 40, sigma=8.0, shape=(81, 81), psf="airy", defocus=d) for d in (0.0, defocus))
    assert blurred[40, 40] / sharp[40, 40] == pytest.approx(
        (np.sin(defocus / 2) / (defocus / 2)) ** 2, abs=0.01
    )
    np.testing.assert_allclose(blurred, one(40, 40, sigma=8.0, shape=(81, 81), psf="airy", defocus=-defocus))


@pytest.mark.parametrize("psf", ["gaussian", "airy"])
def test_emitters_add_up_and_keep_their_photons(rng, psf):
    n = 50
    frame, sigma, photons = rng.integers(0, 3, n), rng.uniform(0.8, 1.8, n), rng.uniform(50, 5000, n)
    x, y = rng.uniform(30, 50, n), rng.uniform(30, 50, n)
    stack = expected_photons(frame, x, y, photons, sigma, n_frames=3, shape_yx=(80, 80), psf=psf)
    assert stack.dtype == np.float32
    for t in range(3):
        kept = stack[t].sum() / photons[frame == t].sum()
        assert kept == pytest.approx(1, abs=1e-4 if psf == "gaussian" else 0.06)
        alone = sum(
            one(x[i], y[i], sigma[i], (80, 80), photons[i], psf=psf) for i in np.flatnonzero(frame == t)
        )
        # The patch grows with the widest PSF drawn together: what is cut off is below 1e-6 of the photons.
        np.testing.assert_allclose(stack[t], alone, atol=0.05)


def test_light_from_outside_and_odd_sizes():
    inside, outside = one(0.0, 0.0, shape=(9, 7)), one(-1.0, -1.0, shape=(9, 7))
    np.testing.assert_allclose(outside[:8, :6], inside[1:, 1:], rtol=1e-4, atol=1e-3)
    assert one(-50.0, 3.0, shape=(9, 7)).sum() == 0
    assert one(0.0, 0.0, shape=(1, 1)).shape == (1, 1)
    nothing = expected_photons([], [], [], [], [], n_frames=2, shape_yx=(3, 4))
    assert nothing.shape == (2, 3, 4)
    assert not nothing.any()
