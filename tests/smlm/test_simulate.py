"""The simulator: what the scene asks for is what the frames hold."""

import numpy as np
import pytest

from napari_microsr.errors import JobError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.psf import expected_photons
from napari_microsr.smlm.simulate import Scene, simulate_frames


def test_the_default_is_the_case_of_the_source(rng):
    photons, truth, background = simulate_frames(rng, 300, (26, 26))
    assert photons.shape == background.shape == (300, 26, 26)
    assert photons.dtype == np.float32
    expected = 2 * 2.6**2
    assert len(truth) / 300 == pytest.approx(expected, abs=5 * np.sqrt(expected / 300))
    assert np.unique(truth.frame).size == 300
    assert truth.photons.min() >= 80
    assert truth.photons.max() <= 2050
    assert truth.photons.mean() == pytest.approx(1065, rel=0.05)
    fwhm = truth.sigma_px * 235.482
    assert 199.9 <= fwhm.min() < 205
    assert 295 < fwhm.max() <= 300.1
    assert (np.abs(truth.x - 12.5) <= 13).all()
    assert (truth.background == 20).all()


def test_frames_are_the_expected_photons_with_poisson_noise(rng):
    photons, truth, background = simulate_frames(rng, 40, (50, 60))
    mean = background + expected_photons(
        truth.frame, truth.x, truth.y, truth.photons, truth.sigma_px, n_frames=40, shape_yx=(50, 60)
    )
    pulls = (photons - mean) / np.sqrt(mean)
    assert pulls.mean() == pytest.approx(0, abs=0.02)
    assert pulls.var() == pytest.approx(1, abs=0.02)


def test_one_seed_one_result():
    scene = Scene(gradient=0.5, background=(1, 200), photons_distribution="log-uniform", margin_px=3)
    a, b, c = (simulate_frames(np.random.default_rng(s), 3, (11, 9), scene) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.photons, b.photons)
    np.testing.assert_array_equal(a.truth.x, b.truth.x)
    assert not np.array_equal(a.photons, c.photons)


def test_ranges_are_filled_and_kept(rng):
    scene = Scene(
        density_um2=(0, 8), photons=(50, 10000), photons_distribution="log-uniform", sigma_px=(0.8, 1.8),
        sigma_spread=0, background=(1, 200), gradient=1.0,
    )  # fmt: skip
    _, truth, background = simulate_frames(rng, 500, (20, 30), scene)
    level = background.mean((1, 2))
    assert 0.99 <= level.min() < 2
    assert 100 < level.max() <= 202
    assert np.median(level) == pytest.approx(np.sqrt(200), rel=0.25)
    rise = np.ptp(background, axis=(1, 2)) / level
    assert rise.max() <= 1.01
    assert rise.max() > 0.9
    assert np.median(truth.photons) == pytest.approx(np.sqrt(50 * 10000), rel=0.1)
    per_frame = [np.ptp(truth.sigma_px[truth.frame == t]) for t in range(500) if (truth.frame == t).any()]
    assert max(per_frame) == 0
    row, column = np.rint(truth.y).astype(int), np.rint(truth.x).astype(int)
    np.testing.assert_array_equal(
        truth.background, background[truth.frame, row.clip(0, 19), column.clip(0, 29)]
    )


def test_the_margin_sheds_light_and_is_not_in_the_truth(rng):
    dark = Scene(density_um2=(3, 3), background=(0, 0), margin_px=6)
    photons, truth, _ = simulate_frames(rng, 200, (8, 8), dark)
    assert len(truth) / 200 == pytest.approx(3 * 0.64, rel=0.2)
    own = expected_photons(
        truth.frame, truth.x, truth.y, truth.photons, truth.sigma_px, n_frames=200, shape_yx=(8, 8)
    )
    assert photons.sum() > 1.1 * own.sum()
    # Light that leaves the field is replaced by light that enters it.
    assert photons.mean() == pytest.approx(3 * 0.01 * 1065, rel=0.1)


def test_empty_and_tiny_scenes(rng):
    photons, truth, _ = simulate_frames(
        rng, 2, (1, 1), Scene(density_um2=(0, 0), background=(0, 0), gradient=1)
    )
    assert len(truth) == 0
    assert not photons.any()
    assert simulate_frames(rng, 0, (5, 5)).photons.shape == (0, 5, 5)


def test_a_camera_adds_its_noise(rng):
    flat = Scene(density_um2=(0, 0), background=(30, 30))
    photons, _, _ = simulate_frames(rng, 50, (40, 40), flat, Camera(em_gain=100.0, read_noise_e=20.0))
    assert photons.mean() == pytest.approx(30, rel=0.02)
    assert photons.var() == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"photons": (5, 1)},
        {"sigma_px": (0, 1)},
        {"background": (-1, 1)},
        {"gradient": 3},
        {"density_um2": (0, np.inf)},
    ],
)
def test_impossible_scenes_are_refused(wrong):
    with pytest.raises(JobError, match=next(iter(wrong))):
        Scene(**wrong)


def test_a_log_uniform_range_from_0_is_refused(rng):
    with pytest.raises(JobError, match="log-uniform"):
        simulate_frames(rng, 1, (4, 4), Scene(background=(0, 5)))
