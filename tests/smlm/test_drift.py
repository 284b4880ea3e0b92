"""Drift: a known walk of the sample is found and taken out."""

import numpy as np
import pytest

from napari_microsr.core.progress import Cancelled
from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.drift import Drift, estimate_drift
from napari_microsr.smlm.localizations import Localizations


def lines(rng, n, n_frames, size, drift):
    """Localise points on straight lines with 10 nm precision, while the sample drifts."""
    count = 12
    length, angle = rng.uniform(5, 15, count), rng.uniform(0, 2 * np.pi, count)
    centre = rng.uniform(8, size - 8, (count, 2))
    line = rng.integers(0, count, n)
    along = rng.uniform(-0.5, 0.5, n) * length[line]
    frame = rng.integers(0, n_frames, n)
    x = centre[line, 0] + along * np.cos(angle[line]) + drift[frame, 0] + rng.normal(0, 0.1, n)
    y = centre[line, 1] + along * np.sin(angle[line]) + drift[frame, 1] + rng.normal(0, 0.1, n)
    return Localizations.from_columns(
        frame=frame, x=x, y=y, pixel_nm=100, shape_yx=(size, size), n_frames=n_frames
    )


def residual_nm(found, drift):
    error = np.column_stack([found.x, found.y]) - drift
    return 100 * (error - error.mean(0)).std(0)


@pytest.fixture
def walk(rng):
    n = 1500
    return np.cumsum(rng.normal(0, 0.012, (n, 2)), 0) + np.linspace(0, 1, n)[:, None] * [1.2, -0.8]


@pytest.mark.parametrize(("method", "bar_nm"), [("aim", 4.0), ("rcc", 9.0)])
def test_a_walk_is_found(rng, walk, method, bar_nm):
    table = lines(rng, 45_000, 1500, 40, walk)
    drift = estimate_drift(table, method)
    assert walk.std(0).min() * 100 > 20
    assert (residual_nm(drift, walk) < bar_nm).all()
    again = estimate_drift(drift.correct(table), method)
    assert 100 * max(np.abs(again.x).max(), np.abs(again.y).max()) < 2.5 * bar_nm


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_a_still_sample_stays(rng, method):
    still = np.zeros((600, 2))
    drift = estimate_drift(lines(rng, 20_000, 600, 40, still), method, 100)
    assert (residual_nm(drift, still) < 2).all()


def test_correlation_survives_wrong_pairs_and_says_where_nothing_agrees(rng, walk):
    # Segments of 250 localisations, of which many pairs agree by chance only.
    walk = walk[:500]
    table = lines(rng, 5000, 500, 28, walk)
    short = estimate_drift(table, "rcc", 25)
    assert (residual_nm(short, walk) < 25).all()
    noise = table.replace(x=rng.uniform(0, 28, len(table)), y=rng.uniform(0, 28, len(table)))
    with pytest.raises(InputError, match=r"do not show one drift.*longer segments"):
        estimate_drift(noise, "rcc", 25)


def test_a_field_larger_than_the_map_is_folded(rng, walk, monkeypatch):
    monkeypatch.setattr("napari_microsr.smlm.drift_aim.LARGEST_PERIOD", 256)
    table = lines(rng, 45_000, 1500, 60, walk)
    assert (residual_nm(estimate_drift(table), walk) < 4).all()


def test_frames_without_localisations_are_bridged(rng, walk):
    table = lines(rng, 45_000, 1500, 40, walk)
    table = table.select((table.frame > 100) & ((table.frame < 700) | (table.frame > 720)))
    drift = estimate_drift(table)
    assert drift.x.shape == (1500,)
    error = residual_nm(Drift(drift.x[101:], drift.y[101:]), walk[101:])
    assert (error < 5).all()
    assert (drift.x[:100] == drift.x[0]).all()


def test_correcting_by_hand():
    table = Localizations.from_columns(
        frame=[0, 2], x=[5.0, 5.0], y=[6.0, 6.0], pixel_nm=100, shape_yx=(9, 9), n_frames=3
    )
    drift = Drift(np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.0, -0.5]))
    corrected = drift.correct(table)
    np.testing.assert_array_equal(corrected.x, [5, 3])
    np.testing.assert_array_equal(corrected.y, [5.5, 6.5])
    with pytest.raises(InputError, match="2 frames"):
        Drift(np.zeros(2), np.zeros(2)).correct(table)


def test_what_shows_no_drift_is_refused(rng):
    few = lines(rng, 15, 100, 40, np.zeros((100, 2)))
    for method in ("aim", "rcc"):
        with pytest.raises(InputError, match="too few"):
            estimate_drift(few, method)
    with pytest.raises(InputError, match="too few"):
        estimate_drift(Localizations.empty(pixel_nm=100, shape_yx=(9, 9), n_frames=0))
    with pytest.raises(JobError, match="aim, rcc"):
        estimate_drift(few, "magic")
    with pytest.raises(JobError, match="impossible"):
        estimate_drift(few, "aim", 0)


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_it_can_be_cancelled(rng, method):
    class Impatient:
        calls = 0

        def advance(self, label, done, total):
            assert 0 < done <= total
            self.calls += 1
            if self.calls == 3:
                raise Cancelled

        def warn(self, message):
            raise AssertionError(message)

    table = lines(rng, 20_000, 600, 40, np.zeros((600, 2)))
    with pytest.raises(Cancelled):
        estimate_drift(table, method, 100, Impatient())
