"""Merging repeated events: what belongs together by hand and on simulated blinking."""

import numpy as np
import pytest

from napari_microsr.errors import JobError
from napari_microsr.smlm.events import merge
from napari_microsr.smlm.localizations import Localizations

FIELD = {"pixel_nm": 100.0, "shape_yx": (50, 50), "n_frames": 20}


def table(frame, x, **columns):
    return Localizations.from_columns(frame=frame, x=x, y=np.zeros(len(x)), **columns, **FIELD)


def test_an_event_by_hand():
    found = table(
        [3, 4, 6, 9], [10.0, 10.2, 10.1, 10.0], photons=[100, 300, 100, 50], background=[10, 20, 10, 5],
        x_err=[0.1, 0.1, 0.2, 0.3], y_err=[0.1, 0.1, 0.2, 0.3], photons_err=[3, 4, 12, 5],
        probability=[0.5, 0.9, 0.8, 0.7],
    )  # fmt: skip
    events = merge(found, 50, 1)  # frames 3, 4, 6 with one dark frame; 9 comes after two
    np.testing.assert_array_equal(events.length, [4, 1])
    np.testing.assert_array_equal(events.count, [3, 1])
    one = events.table.select(slice(0, 1))
    assert one.frame[0] == 3
    assert one.x[0] == pytest.approx((10.0 * 100 + 10.2 * 100 + 10.1 * 25) / 225)
    assert one.x_err[0] == pytest.approx(1 / np.sqrt(225))
    assert one.photons[0] == 500
    assert one.background[0] == pytest.approx((1000 + 6000 + 1000) / 500)
    assert one.photons_err[0] == pytest.approx(13)
    assert one.probability[0] == np.float32(0.9)
    assert len(merge(found, 50, 0).table) == 3
    assert len(merge(found, 50, 2).table) == 1
    assert len(merge(found, 5, 2).table) == 4


def test_unknown_errors_give_plain_means_and_stay_unknown():
    merged = merge(table([0, 1], [10.0, 10.3])).table
    assert merged.x[0] == pytest.approx(10.15)
    assert np.isnan(merged.x_err[0])
    assert np.isnan(merged.photons[0])


def test_neighbours_are_not_mixed():
    # Two molecules 80 nm apart, both on for three frames; and two in one frame never merge.
    found = table([0, 0, 1, 1, 2, 2], [10.0, 10.8, 10.1, 10.75, 9.95, 10.85])
    events = merge(found, 60)
    np.testing.assert_array_equal(events.count, [3, 3])
    assert len(merge(table([5, 5], [10.0, 10.1]), 60).table) == 2


def test_simulated_blinking_is_counted_again(rng):
    n = 40
    x, y = (10.0 * np.arange(n) % 50 for _ in range(2))
    y = np.repeat(np.arange(8) * 6.0, 5)
    start, length = rng.integers(0, 10, n), rng.integers(1, 9, n)
    row = np.repeat(np.arange(n), length)
    frame = start[row] + np.concatenate([np.arange(k) for k in length])
    order = rng.permutation(len(row))
    found = Localizations.from_columns(
        frame=frame[order],
        x=x[row][order] + rng.normal(0, 0.05, len(row)),
        y=y[row][order] + rng.normal(0, 0.05, len(row)),
        **FIELD,
    )
    events = merge(found, 40)
    assert len(events.table) == n
    np.testing.assert_array_equal(np.sort(events.count), np.sort(length))
    np.testing.assert_array_equal(events.count, events.length)


def test_empty_and_wrong():
    assert len(merge(table([], [])).table) == 0
    with pytest.raises(JobError, match="impossible"):
        merge(table([], []), 0)
    with pytest.raises(JobError, match="impossible"):
        merge(table([], []), 50, -1)
