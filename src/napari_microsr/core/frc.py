"""Agreement and power of images by spatial frequency, ring by ring of their Fourier transforms.

Fourier ring correlation: Saxton and Baumeister, J. Microscopy 127, 127 (1982); the limit of 1/7 is that of
Nieuwenhuizen et al., Nature Methods 10, 557 (2013).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey

Floats = NDArray[np.float64]

THRESHOLD = 1 / 7
TAPER = 0.25
SMOOTHING = 0.02


class Rings:
    """The rings of the transforms of images of one size, half the plane stored (`scipy.fft.rfft2`).

    Parameters
    ----------
    height, width : int
        Of the images.

    Attributes
    ----------
    frequency : numpy.ndarray, shape (n,)
        Of each ring in 1/pixel, from the first above 0 to the last whole one: 1/2 is Nyquist's.
    """

    def __init__(self, height: int, width: int) -> None:
        self._taper = np.outer(tukey(height, TAPER), tukey(width, TAPER)).astype(np.float32)
        row, column = fft.fftfreq(height), fft.rfftfreq(width)
        # All columns but the first and, of an even width, the last stand for two.
        self._weight = np.full(len(column), 2.0)
        self._weight[0] = 1
        if width % 2 == 0:
            self._weight[-1] = 1
        step = 1 / max(height, width)
        self._ring = np.rint(np.hypot(row[:, None], column) / step).astype(np.int64).ravel()
        self._last = int(0.5 / step)
        self.frequency: Floats = np.arange(1.0, self._last + 1) * step

    def transform(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the transform of an image (height, width), its mean taken off and its edges faded out."""
        transformed: NDArray[Any] = fft.rfft2((image - image.mean()) * self._taper)
        return transformed

    def total(self, values: NDArray[Any]) -> Floats:
        """Sum real values, shaped like a transform, over each ring."""
        sums = np.bincount(self._ring, (values * self._weight).ravel(), minlength=self._last + 1)
        return np.asarray(sums[1 : self._last + 1], np.float64)

    def power(self, a: NDArray[Any]) -> Floats:
        """Return the power of a transform in each ring."""
        return self.total(np.abs(a) ** 2)

    def shared(self, a: NDArray[Any], b: NDArray[Any]) -> Floats:
        """Return what two transforms have in common in each ring: the real part of a times b*."""
        return self.total((a * b.conj()).real)


def correlation(shared: Floats, power_a: Floats, power_b: Floats) -> Floats:
    """Return the ring correlation, 1 where two images agree and 0 where they have nothing in common."""
    return np.asarray(shared / np.sqrt(np.maximum(power_a * power_b, np.finfo(float).tiny)), np.float64)


def smooth(curve: Floats) -> Floats:
    """Average a ring correlation over neighbouring rings, a fiftieth of them."""
    return np.asarray(uniform_filter1d(curve, max(3, round(SMOOTHING * len(curve))), mode="nearest"))


def crossing(frequency: Floats, smoothed: Floats) -> float:
    """Return the frequency at which a smoothed curve first falls below 1/7.

    NaN if it does not, or lies below from its beginning.
    """
    below = np.flatnonzero(smoothed < THRESHOLD)
    if not len(below) or below[0] == 0:
        return float("nan")
    k = below[0]
    share = (smoothed[k - 1] - THRESHOLD) / (smoothed[k - 1] - smoothed[k])
    return float(frequency[k - 1] + share * (frequency[k] - frequency[k - 1]))
