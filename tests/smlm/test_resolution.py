"""Resolution and precision against the theory of points that are localised again and again."""

import numpy as np
import pytest

from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.frc import (
    RingCorrelation,
    check_resolution,
    fourier_ring_correlation,
    fullest_window,
)
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.nena import nearest_neighbour_precision


def sites(rng, count, per_site, sigma_px, shape=(50, 60), n_frames=1000):
    """Localise molecules at random places a Poisson number of times each."""
    times = rng.poisson(per_site, count)
    y, x = (np.repeat(rng.uniform(0, size - 1, count), times) for size in shape)
    n = times.sum()
    return Localizations.from_columns(
        frame=rng.integers(0, n_frames, n),
        x=x + rng.normal(0, sigma_px, n),
        y=y + rng.normal(0, sigma_px, n),
        pixel_nm=100,
        shape_yx=shape,
        n_frames=n_frames,
    )


@pytest.mark.parametrize(("per_site", "sigma_px"), [(8, 0.15), (20, 0.15), (8, 0.3)])
def test_frc_follows_theory(rng, per_site, sigma_px):
    # With l localisations of each site in each half, FRC = l e / (l e + 1), e = exp(-(2 pi q sigma)^2).
    result = fourier_ring_correlation(sites(rng, 4000, per_site, sigma_px))
    q, half = result.frequency_nm, per_site / 2
    envelope = half * np.exp(-((2 * np.pi * q * 100 * sigma_px) ** 2))
    np.testing.assert_allclose(result.smoothed[5:-5], (envelope / (envelope + 1))[5:-5], atol=0.08)
    truth = 2 * np.pi * 100 * sigma_px / np.sqrt(np.log(6 * half))
    assert result.resolution_nm == pytest.approx(truth, rel=0.06)
    assert check_resolution(result) == result.resolution_nm


def test_random_points_have_no_resolution(rng):
    result = fourier_ring_correlation(sites(rng, 400_000, 0.02, 0.1))
    assert np.abs(result.smoothed[10:]).mean() < 0.05
    assert not result.resolution_nm < 500  # the field itself is what both halves share
    flat = RingCorrelation(np.ones(3), np.zeros(3), np.zeros(3), np.nan, 5.0)
    with pytest.raises(JobError, match="below 1/7"):
        check_resolution(flat)


def test_coarse_pixels_say_so(rng):
    with pytest.raises(JobError, match="smaller pixels"):
        check_resolution(fourier_ring_correlation(sites(rng, 4000, 20, 0.1), 100))


def test_one_seed_one_result(rng):
    table = sites(rng, 1000, 5, 0.2, (31, 33))
    a, b, c = (fourier_ring_correlation(table, 11.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.correlation, b.correlation)
    assert not np.array_equal(a.correlation, c.correlation)


def test_a_large_field_is_judged_by_its_fullest_window(monkeypatch):
    monkeypatch.setattr("napari_microsr.smlm.frc.LARGEST_PX", 40)
    x, y = np.full(50, 75.0), np.full(50, 12.0)
    table = Localizations.from_columns(
        frame=np.zeros(50), x=x, y=y, pixel_nm=100, shape_yx=(90, 100), n_frames=1
    )
    canvas = fullest_window(table, 100)
    assert (canvas.height, canvas.width) == (40, 40)
    assert canvas.around(table, 0).all()
    assert fullest_window(table, 300).height == 30


def test_too_little_is_refused(rng):
    with pytest.raises(InputError, match="halves"):
        fourier_ring_correlation(sites(rng, 10, 5, 0.1))
    with pytest.raises(InputError, match="halves"):
        fourier_ring_correlation(sites(rng, 500, 5, 0.1, n_frames=1))
    crowded = sites(rng, 500, 5, 0.1)
    with pytest.raises(InputError, match="neighbouring frames"):
        fourier_ring_correlation(crowded.replace(frame=np.zeros(len(crowded), int)))
    with pytest.raises(InputError, match="next frame"):
        nearest_neighbour_precision(sites(rng, 10, 5, 0.1))


@pytest.mark.parametrize("sigma_nm", [8.0, 20.0])
def test_nena_finds_the_precision(rng, sigma_nm):
    count, length = 1500, 6
    start, place = rng.integers(0, 990, count), rng.uniform(0, 100, (count, 2))
    row = np.repeat(np.arange(count), length)
    noise = rng.normal(0, sigma_nm / 100, (len(row), 2))
    blinking = Localizations.from_columns(
        frame=start[row] + np.tile(np.arange(length), count),
        x=place[row, 0] + noise[:, 0],
        y=place[row, 1] + noise[:, 1],
        pixel_nm=100,
        shape_yx=(101, 101),
        n_frames=1000,
    )
    assert nearest_neighbour_precision(blinking) == pytest.approx(sigma_nm, rel=0.06)
