"""The part of an image and of its truth that a measure is given at a time, so that images may be of any size.

A measure looks at windows of several pixels. Each block of an image owns the windows that begin in it, and
is given with as much below and right of it as these reach: so the blocks together give what the whole does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Floats = NDArray[np.float64]

#: Pixels below and right of a block that some measure looks at (MS-SSIM: 10 pixels at a sixteenth).
REACH_PX = 160
#: Blocks begin at multiples of this: the smallest scale of a measure is a sixteenth.
GRID_PX = 16
#: Measures have their constants for intensities of 8 bits.
WHITE = 255.0
# ITU-R BT.601
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Pair:
    """A block of an image and of the truth.

    Attributes
    ----------
    image, truth : numpy.ndarray, shape (channels, h, w), float64
        Intensities of the block and of what is below and right of it. What is NaN in one is left out.
    rows, cols : int
        Size of the block itself.
    black, white : float
        Intensities that count as 0 and 255.
    """

    image: Floats
    truth: Floats
    rows: int
    cols: int
    black: float = 0.0
    white: float = WHITE

    @cached_property
    def scaled(self) -> tuple[Floats, Floats]:
        """Image and truth on the scale of 0 to 255."""
        gain = WHITE / (self.white - self.black)
        return (self.image - self.black) * gain, (self.truth - self.black) * gain

    @cached_property
    def grey(self) -> tuple[Floats, Floats]:
        """Luminance of image and truth on the scale of 0 to 255, (h, w)."""
        a, b = map(luminance, self.scaled)
        return a, b


class Measure(Protocol):
    """What sums something up over the blocks of an image."""

    def add(self, pair: Pair) -> None:
        """Take one more block."""

    def figures(self) -> dict[str, float]:
        """Return the figures by their names in `FIGURES`, NaN where nothing was measured."""


class Mean:
    """The mean of values that come in parts; what is not finite is left out."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, values: Floats) -> None:
        """Take more values."""
        total = float(values.sum())
        if np.isfinite(total):
            self.total, self.count = self.total + total, self.count + values.size
            return
        finite = values[np.isfinite(values)]
        self.total, self.count = self.total + float(finite.sum()), self.count + finite.size

    @property
    def value(self) -> float:
        """The mean, NaN of nothing."""
        return self.total / self.count if self.count else float("nan")


def luminance(planes: NDArray[Any]) -> Floats:
    """Return the brightness (h, w) of planes (channels, h, w): BT.601 for RGB, else their mean."""
    if len(planes) == 1:
        return np.asarray(planes[0], np.float64)
    weights = _LUMA if len(planes) == 3 else np.full(len(planes), 1 / len(planes))
    return np.asarray(np.tensordot(weights, planes, 1), np.float64)


def slide(values: Floats, *taps: Sequence[float] | Floats) -> Floats:
    """Weigh the windows that lie wholly inside an array (..., h, w).

    Parameters
    ----------
    values : numpy.ndarray
        The array.
    *taps : sequence of float
        Weights along y and along x; one for both.

    Returns
    -------
    numpy.ndarray
        One value per window, at the place where it begins; NaN where the window holds a NaN.
    """
    for axis, weights in zip((-2, -1), taps if len(taps) == 2 else taps * 2, strict=True):
        size, inside = len(weights), max(values.shape[axis] - len(weights) + 1, 0)
        begin = size // 2 if inside else 0
        if inside:
            values = correlate1d(values, weights, axis, mode="nearest")
        values = np.moveaxis(np.moveaxis(values, axis, 0)[begin : begin + inside], 0, axis)
    return values


def halved(values: Floats) -> Floats:
    """Average blocks of 2 x 2 pixels of an array (..., h, w); an odd row or column at the end is dropped."""
    h, w = values.shape[-2] // 2, values.shape[-1] // 2
    blocks = values[..., : 2 * h, : 2 * w].reshape(*values.shape[:-2], h, 2, w, 2)
    return np.asarray(blocks.mean((-3, -1)), np.float64)
