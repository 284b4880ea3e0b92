"""The fit against the truth of simulated spots and against the Cramér–Rao bound."""

import numpy as np
import pytest

from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.finders import GaussianMle
from napari_microsr.smlm.fit import fit_frame
from napari_microsr.smlm.psf import expected_photons
from napari_microsr.smlm.refine import FitSettings, Spots, refine

SIGMA = 1.1
FREE = FitSettings(steps=12, neighbours=3, width_sd=0.02, background_sd=0.02)


def spots_at(x, y, photons, background=20.0):
    x = np.atleast_1d(np.asarray(x, float))
    return Spots(
        x, np.atleast_1d(np.asarray(y, float)), *(np.full(len(x), v) for v in (photons, SIGMA, background))
    )


def expected(spots, shape, background=20.0):
    frame = np.zeros(len(spots.x), int)
    light = expected_photons(
        frame, spots.x, spots.y, spots.photons, spots.sigma_px, n_frames=1, shape_yx=shape
    )
    return light[0].astype(float) + background


def grid(spacing=16, count=8):
    at = 8.0 + spacing * np.arange(count)
    x, y = (axis.ravel() for axis in np.meshgrid(at, at))
    return x, y, (int(at[-1]) + 9, int(at[-1]) + 9)


def test_without_noise_the_truth_is_found():
    truth = spots_at([10.3, 20.8], [9.9, 14.2], 900.0)
    frame = expected(truth, (25, 31))
    start = spots_at([10.0, 21.2], [10.3, 14.0], 600.0)
    found = refine(frame, np.zeros(1), start, FREE)
    np.testing.assert_allclose(found.x, truth.x, atol=2e-3)
    np.testing.assert_allclose(found.y, truth.y, atol=2e-3)
    np.testing.assert_allclose(found.photons, 900, rtol=0.01)


def test_two_spots_that_overlap_are_told_apart():
    truth = spots_at([12.0, 14.0], [12.0, 12.6], 1500.0)
    frame = expected(truth, (25, 25))
    start = spots_at([11.7, 14.4], [12.2, 12.3], 1200.0)
    found = refine(frame, np.zeros(1), start, FREE)
    np.testing.assert_allclose(found.x, truth.x, atol=0.02)
    single = refine(frame, np.zeros(1), start, FitSettings(steps=1, neighbours=0))
    both = refine(frame, np.zeros(1), start, FitSettings(steps=1, neighbours=1))
    # What one knows of the place of a spot is less where the other's is not known either.
    assert (both.x_err > 1.1 * single.x_err).all()


def test_errors_reach_the_bound_and_are_told_honestly(rng):
    x, y, shape = grid()
    x, y = x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, y.size)
    truth = spots_at(x, y, 500.0)
    mean = expected(truth, shape)
    errors, told = [], []
    for _ in range(5):
        found = refine(rng.poisson(mean).astype(float), np.zeros(1), truth, FREE)
        errors.append(found.x - x)
        told.append(found.x_err)
    tau = 2 * np.pi * (SIGMA**2 + 1 / 12) * 20 / 500
    bound = np.sqrt((SIGMA**2 + 1 / 12) / 500 * (1 + 4 * tau + np.sqrt(2 * tau / (1 + 4 * tau))))
    assert np.mean(told) == pytest.approx(bound, rel=0.03)
    # 320 errors: their standard deviation is known to 4 %.
    assert np.std(errors) == pytest.approx(bound, rel=0.12)
    assert abs(np.mean(errors)) < 4 * bound / np.sqrt(np.size(errors))


def test_read_noise_widens_the_bound(rng):
    truth = spots_at([12.0], [12.0], 500.0)
    mean = expected(truth, (25, 25))
    quiet = refine(mean, np.zeros(1), truth, FREE)
    loud = refine(mean, np.full((25, 25), 30.0), truth, FREE)
    assert loud.x_err > 1.3 * quiet.x_err
    np.testing.assert_allclose(loud.x, 12, atol=1e-3)


def test_spots_in_one_place_and_at_the_corner_stay_finite(rng):
    frame = rng.poisson(20, (12, 12)).astype(float)
    start = spots_at([0.0, 0.0, 5.0, -0.5], [0.0, 0.0, 11.4, -0.5], 300.0)
    found = refine(frame, np.zeros(1), start, FitSettings())
    assert all(np.isfinite(getattr(found, name)).all() for name in ("x", "y", "photons", "x_err"))
    assert found.x.min() >= -0.5
    assert found.y.max() <= 11.5


def test_no_spots_no_errors():
    found = refine(np.full((8, 8), 5.0), np.zeros(1), spots_at([], [], 1.0), FitSettings())
    assert found.x_err is not None
    assert found.x_err.shape == (0,)


def test_the_fitter_finds_sparse_spots_and_their_light(rng):
    x, y, shape = grid()
    truth = spots_at(x + 0.3, y - 0.2, 700.0)
    spots, significance = fit_frame(rng.poisson(expected(truth, shape)).astype(float), np.zeros(1), SIGMA)
    assert len(spots.x) == len(x)
    assert significance.min() > 5
    order = np.lexsort((np.rint(spots.x), np.rint(spots.y)))
    np.testing.assert_allclose(spots.x[order], truth.x, atol=0.4)
    assert np.median(spots.photons) == pytest.approx(700, rel=0.05)
    assert np.median(spots.background) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("background", [0.0, 1.0, 20.0, 200.0])
def test_noise_holds_few_spots(rng, background):
    frames = rng.poisson(background, (4, 128, 128)).astype(float)
    assert sum(len(fit_frame(frame, np.zeros(1), SIGMA)[0].x) for frame in frames) <= 4


def test_photons_of_a_camera_come_back(rng):
    truth = spots_at([15.2], [14.8], 2000.0)
    camera = Camera(offset=100.0, em_gain=200.0, e_per_adu=10.0, qe=0.9)
    mean = expected(truth, (30, 30))
    found = [GaussianMle(camera, SIGMA)(camera.to_photons(camera.expose(rng, mean))) for _ in range(30)]
    brightest = [rows["photons"].max() for rows in found]
    assert np.mean(brightest) == pytest.approx(2000, rel=0.05)
    assert np.std(brightest) == pytest.approx(np.mean([rows["photons_err"][0] for rows in found]), rel=0.5)


def test_a_spot_is_fitted_the_same_in_any_company(rng):
    # More than are computed at once, too far apart to see each other.
    x, y, shape = grid(count=13)
    truth = spots_at(x, y, 700.0)
    frame = rng.poisson(expected(truth, shape)).astype(float)
    found = refine(frame, np.zeros(1), truth, FREE)
    for some in (slice(0, 5), slice(100, 169)):
        part = refine(frame, np.zeros(1), spots_at(x[some], y[some], 700.0), FREE)
        for name in ("x", "y", "photons", "x_err"):
            np.testing.assert_allclose(getattr(found, name)[some], getattr(part, name), rtol=1e-9)
