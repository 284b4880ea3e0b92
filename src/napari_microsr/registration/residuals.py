"""How well two images of one place fit, patch by patch: the shift that is left, and their correlation."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.bands import shrink

Array = NDArray[Any]
# The shift is found to a twentieth of a pixel.
STEPS = 20


@dataclass(frozen=True)
class Limits:
    """Which patches fit.

    Attributes
    ----------
    patch_px : int
        Side of a patch in pixels of the low image.
    max_shift_px : float
        Largest shift that is left, in pixels of the low image.
    min_correlation : float
        Smallest correlation of the low image and the shrunk high one.
    """

    patch_px: int
    max_shift_px: float
    min_correlation: float


def fitting_patches(
    low: ImageSource,
    high: ImageSource,
    factor: int,
    limits: Limits,
    covered: Callable[[slice, slice], bool],
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Find the patches at which a low and a high image show the same.

    Parameters
    ----------
    low, high : ImageSource
        High has `factor` times as many pixels along y and x.
    factor : int
        See there.
    limits : Limits
        Which patches fit.
    covered : callable
        (y, x) of a patch in the low image to whether there is an image.

    Returns
    -------
    patches : list of dict
        Of those that fit: y and x of the first pixel in the low image, shift_px (y, x) and correlation.
    dropped : dict
        Number of the others: outside, blank or different (correlation), shifted.
    """
    patches, dropped = [], Counter(outside=0, different=0, shifted=0)
    side = limits.patch_px
    for y, x in product(range(0, low.height - side + 1, side), range(0, low.width - side + 1, side)):
        rows, columns = slice(y, y + side), slice(x, x + side)
        if not covered(rows, columns):
            dropped["outside"] += 1
            continue
        coarse = _grey(low, rows, columns, 1)
        fine = _grey(high, rows, columns, factor)
        correlation = correlate(coarse, fine)
        if not correlation >= limits.min_correlation:
            dropped["different"] += 1
            continue
        shift = residual_shift(coarse, fine)
        if np.hypot(*shift) > limits.max_shift_px:
            dropped["shifted"] += 1
            continue
        patches.append({"y": y, "x": x, "shift_px": list(shift), "correlation": correlation})
    return patches, dict(dropped)


def correlate(one: Array, other: Array) -> float:
    """Return the correlation of two patches (h, w), NaN where one is blank or has holes."""
    a, b = one - one.mean(), other - other.mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / power if power > 0 else float("nan")


def residual_shift(one: Array, other: Array) -> tuple[float, float]:
    """Return how far (y, x) `other` has to be moved to lie on `one`, in pixels.

    The peak of the cross-correlation under a Hann window, refined by an upsampled Fourier transform
    (Guizar-Sicairos et al., Opt. Lett. 33, 156, 2008). The window stays where it is and pulls the peak
    towards zero, so that the rest is measured again after the shift.
    """
    first = _peak(one, other)
    rest = _peak(one, ndimage.shift(other, first, order=3, mode="mirror"))
    y, x = (first + rest).tolist()
    return y, x


def _peak(one: Array, other: Array) -> Array:
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in one.shape))
    patches = [(patch - patch.mean()) * window for patch in (one, other)]
    shift: Array = phase_cross_correlation(*patches, upsample_factor=STEPS, normalization=None)[0]
    return shift


def _grey(source: ImageSource, y: slice, x: slice, factor: int) -> Array:
    """Return the mean of all channels and planes of a patch, averaged over blocks, (h, w) in float64."""
    across = slice(x.start * factor, x.stop * factor)
    down = slice(y.start * factor, y.stop * factor)
    planes = [shrink(source.read(plane, down, across), factor).mean(0) for plane in range(source.n_planes)]
    return np.asarray(np.mean(planes, 0), np.float64)
