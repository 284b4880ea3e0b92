"""Drift by intersection: each segment is shifted to where most of it meets what is known already.

The idea is that of adaptive intersection maximisation (Ma et al., Science Advances 10, eadm7765 (2024)): a
segment is compared with a reference of points in a small window around the last segment's shift, first with
all before it, then with all others. Here the reference is blurred a little, so that the best shift is found
between grid points, and what a segment meets of itself is taken off.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_microsr.core.progress import Progress
from napari_microsr.smlm.segments import Floats, Segments

CELL_NM = 10.0
BLUR_NM = 15.0
#: Farthest jump between two segments, and farthest correction after the first round.
WINDOW_NM = 80.0
REFINED_NM = 40.0
# A larger field is folded to this many cells: far structures then meet at random, which adds no peak.
LARGEST_PERIOD = 2048
# More localisations of one segment would add time, not precision.
MOST_POINTS = 4000
REFINEMENTS = 2


def intersection(segments: Segments, progress: Progress) -> Floats:
    """Return the shift (y, x) of each segment [nm], shape (n, 2), relative to the first."""
    points = [position[:: -(-len(position) // MOST_POINTS)] for position in segments.position_nm]
    extent = max(float(np.ptp(np.concatenate(points), axis=0).max()), WINDOW_NM)
    period = min(LARGEST_PERIOD, int((extent + 10 * WINDOW_NM) / CELL_NM))
    rounds = 1 + REFINEMENTS
    shifts = np.zeros((len(points), 2))
    reference = _Reference(period)
    reference.add(points[0])
    for k in range(1, len(points)):
        shifts[k] = reference.best(points[k], shifts[k - 1], own=False)
        reference.add(points[k] - shifts[k])
        progress.advance("drift", k + 1, rounds * len(points))
    for turn in range(1, rounds):
        everything = _Reference(period)
        everything.add(np.concatenate([p - s for p, s in zip(points, shifts, strict=True)]))
        for k in range(len(points)):
            shifts[k] = everything.best(points[k], shifts[k], own=True)
            progress.advance("drift", turn * len(points) + k + 1, rounds * len(points))
    relative: Floats = shifts - shifts[0]
    return relative


class _Reference:
    """A blurred map of points, folded to a torus of `period` cells."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._counts = np.zeros((period, period), np.float32)
        self._map = self._counts
        self._added = 0.0
        self._blurred = 0.0

    def add(self, position_nm: Floats) -> None:
        """Add points; the map follows when it has grown by half."""
        np.add.at(self._counts, self._cells(position_nm), 1)
        self._added += len(position_nm)
        if self._added > 1.5 * self._blurred:
            self._map = gaussian_filter(self._counts, BLUR_NM / CELL_NM, mode="wrap", truncate=4)
            self._blurred = self._added

    def best(self, position_nm: Floats, guess: NDArray[np.float64], own: bool) -> NDArray[np.float64]:
        """Return the shift [nm] of points by which they meet the most of the map, near a guess.

        Parameters
        ----------
        position_nm : numpy.ndarray, shape (n, 2)
            The points, as they were seen.
        guess : numpy.ndarray, shape (2,)
            Where to look.
        own : bool
            Whether the points, shifted by the guess, are part of the map.
        """
        reach = round((REFINED_NM if own else WINDOW_NM) / CELL_NM)
        steps = np.arange(-reach, reach + 1)
        row, column = self._cells(position_nm - guess)
        rows, columns = ((place[:, None] - steps) % self._period for place in (row, column))
        met = self._map[rows[:, :, None], columns[:, None, :]].sum(0, dtype=np.float64)
        if own:
            met -= len(position_nm) * _kernel(steps)
        return guess + _peak(met, steps) * CELL_NM

    def _cells(self, position_nm: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row, column = (np.rint(position_nm / CELL_NM).astype(np.int64) % self._period).T
        return row, column


def _kernel(steps: NDArray[np.int64]) -> Floats:
    """Return what the blur makes of a single point."""
    line = np.exp(-((steps * CELL_NM / BLUR_NM) ** 2) / 2)
    line /= line.sum()
    return np.outer(line, line)


def _peak(met: Floats, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the place (y, x) of the highest value: the centre of mass of what stands out around it."""
    reach = (len(steps) - 1) // 2
    row, column = np.unravel_index(int(np.argmax(met)), met.shape)
    centre = np.array([steps[row], steps[column]], float)
    near = max(2, round(2 * BLUR_NM / CELL_NM))
    for _ in range(10):
        window = [np.abs(steps - place) <= near for place in np.clip(centre, -reach + near, reach - near)]
        part = met[np.ix_(*window)]
        part = part - part.min()
        if part.sum() == 0:
            break
        y, x = (steps[w] for w in window)
        moved = np.array([(part.sum(1) * y).sum(), (part.sum(0) * x).sum()]) / part.sum()
        if np.abs(moved - centre).max() < 0.01:
            break
        centre = moved
    return centre
