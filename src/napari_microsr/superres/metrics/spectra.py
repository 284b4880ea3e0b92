"""Figures by spatial frequency: the power spectrum, and what image and truth have in common (FRC).

Tiles of at most 512 pixels are transformed and their rings added up, so that an image may be of any size
(Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967)).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.frc import Floats, Rings, correlation, crossing, smooth
from napari_microsr.superres.metrics.window import GRID_PX, Pair

LARGEST_PX = 512
SMALLEST_PX = 32
#: A tile with a larger share of missing pixels is left out: the edges of the holes would look like agreement.
_MISSING = 0.05
#: Powers this much below the largest are the rounding of what has none.
_NOTHING = 1e-14


def tile_px(size: int) -> int:
    """Return the side of the tiles of an image's height or width: about equal parts of at most 512 pixels."""
    side = size // -(-size // LARGEST_PX)
    return side if side == size else side // GRID_PX * GRID_PX


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves over spatial frequency.

    Attributes
    ----------
    frequency : numpy.ndarray, shape (n,)
        In 1/pixel of the truth; 0.5 is Nyquist's.
    power, truth : numpy.ndarray, shape (n,)
        Mean power of image and truth, radially averaged.
    correlation : numpy.ndarray, shape (n,)
        Ring correlation of the two.
    """

    frequency: Floats
    power: Floats
    truth: Floats
    correlation: Floats


class Spectra:
    """Power spectra and ring correlation of the luminance.

    Parameters
    ----------
    height, width : int
        Of a tile. Blocks are cut into whole tiles; what is left over does not count.
    """

    def __init__(self, height: int, width: int) -> None:
        self._shape = height, width
        self._rings = Rings(height, width)
        self._sums = np.zeros((3, len(self._rings.frequency)))
        self._tiles = 0

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        height, width = self._shape
        for top in range(0, pair.rows - height + 1, height):
            for left in range(0, pair.cols - width + 1, width):
                self._add(*(v[top : top + height, left : left + width] for v in pair.grey))

    def curves(self) -> Curves:
        """Return the curves; empty where no tile could be used."""
        if not self._tiles:
            return Curves(*np.zeros((4, 0)))
        image, truth, shared = self._sums
        count = self._rings.total(np.ones((self._shape[0], self._shape[1] // 2 + 1))) * self._tiles
        return Curves(self._rings.frequency, image / count, truth / count, correlation(shared, image, truth))

    def figures(self) -> dict[str, float]:
        """Return `spectrum_db` and `frc_px`."""
        curves = self.curves()
        return {"spectrum_db": _distance_db(curves), "frc_px": _resolution_px(curves)}

    def _add(self, image: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
        known = np.isfinite(image) & np.isfinite(truth)
        if known.mean() < 1 - _MISSING:
            return
        if not known.all():
            image, truth = (np.where(known, v, v[known].mean()) for v in (image, truth))
        a, b = self._rings.transform(image), self._rings.transform(truth)
        self._sums += self._rings.power(a), self._rings.power(b), self._rings.shared(a, b)
        self._tiles += 1


def _distance_db(curves: Curves) -> float:
    least = _NOTHING * max(curves.truth.max(initial=0), curves.power.max(initial=0))
    known = curves.truth > least
    if not known.any():
        return math.nan
    ratio = np.maximum(curves.power[known], least) / curves.truth[known]
    return float(np.mean(np.abs(10 * np.log10(ratio))))


def _resolution_px(curves: Curves) -> float:
    """Return 1 / the frequency of the crossing: 2 pixels where there is none, NaN where nothing agrees."""
    if not len(curves.frequency):
        return math.nan
    smoothed = smooth(curves.correlation)
    frequency = crossing(curves.frequency, smoothed)
    if math.isnan(frequency) and smoothed[0] >= 1 / 7:
        return 2.0
    return 1 / frequency
