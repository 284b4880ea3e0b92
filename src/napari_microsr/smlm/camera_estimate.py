"""Offset and gain of a camera, from the frames of a measurement alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import MAX_COUNT, Camera

# Sixth differences: what a PSF sampled at sigma >= 1 px leaves of itself there is below 1 % of its height.
_DIFFERENCES = np.array([1, -6, 15, -20, 15, -6, 1]) / np.sqrt(924)
BINS = 40
FEWEST_PX = 10_000


def estimate_camera(counts: NDArray[Any], em_gain: float = 1.0) -> Camera:
    """Estimate offset and gain from how noise grows with light.

    The noise of pixels is what remains of a frame beyond the resolution of the microscope (Heintzmann et al.,
    arXiv:1611.05654, 2016); its variance is (counts - offset) / e_per_adu, a straight line. Read noise is
    part of the offset then: its variance appears as light.

    Parameters
    ----------
    counts : numpy.ndarray, shape (n, H, W)
        Frames with spots or another unevenness; some hundred thousand pixels.
    em_gain : float
        Gain of the EM register, 1 without one.

    Returns
    -------
    Camera
        On simulated frames with sigma >= 1 px the gain is right within 10 %, the offset within the counts of
        5 photons; a finer PSF (0.8 px) makes the gain too small by a third.

    Raises
    ------
    InputError
        If there are too few pixels, or their noise does not grow with light.
    """
    frames = counts.astype(np.float64)
    frames[frames >= MAX_COUNT] = np.nan
    noise, light = frames, frames
    for axis in (1, 2):
        noise = correlate1d(noise, _DIFFERENCES, axis)
        light = correlate1d(light, _DIFFERENCES**2, axis)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    noise, light = noise[inner].ravel(), light[inner].ravel()
    known = np.isfinite(light)
    if known.sum() < FEWEST_PX:
        raise InputError(
            f"{known.sum()} pixels that are not saturated are too few to estimate a camera.",
            "Give its offset and gain.",
        )
    slope, offset = _line(light[known], noise[known] ** 2)
    if not slope > 0:
        raise InputError(
            "The noise of this stack does not grow with its light, as it does on a camera.",
            "Give offset and gain; are the frames filtered, averaged or constant?",
        )
    excess = 2.0 if em_gain > 1 else 1.0
    return Camera(offset=offset, e_per_adu=em_gain * excess / slope, em_gain=em_gain)


def _line(light: NDArray[Any], variance: NDArray[Any]) -> tuple[float, float]:
    """Return slope and zero of the line through binned variances, weighted with their own spread.

    Light and noise are of the same pixels. For Poisson noise the errors of both are correlated just so that
    the slope stays right: the covariance of a count with its squared deviation is its variance.
    """
    order = np.argsort(light)
    bins = np.array_split(order, BINS)[:-1]  # of the brightest pixels most remains of their spots
    x = np.array([light[rows].mean() for rows in bins])
    y = np.array([variance[rows].mean() for rows in bins])
    if np.ptp(x) == 0:
        return 0.0, 0.0
    expected = np.full(len(x), max(float(y.mean()), 1e-12))
    for _ in range(5):
        slope, rest = np.polyfit(x, y, 1, w=1 / expected)
        expected = np.maximum(slope * x + rest, 1e-3 * y.mean() + 1e-12)
    return float(slope), float(-rest / slope) if slope else 0.0
