"""The classical fitter: spots stand out of the noise, and a Gaussian is fitted to each."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, uniform_filter

from napari_microsr.smlm.refine import FitSettings, Spots, refine

Array = NDArray[np.float64]

#: A spot stands out by this many standard deviations of the filtered noise.
THRESHOLD = 5.0
#: The fitted light, whose own noise counts as well, stands out by this share of it.
FITTED = 0.8
#: Widths and backgrounds are known only roughly before the fit.
CLASSICAL = FitSettings(steps=12, neighbours=2, width_sd=0.25, background_sd=0.5)
#: A background is sought in windows of this many PSF sigmas.
WINDOW_SIGMAS = 8.0


def find_spots(frame: Array, read_variance: Array, sigma_px: float, threshold: float = THRESHOLD) -> Spots:
    """Return the local maxima that stand out of the noise, with first guesses of their light.

    The filter is that of a known PSF in white noise; the background is a lower envelope.

    Parameters
    ----------
    frame : numpy.ndarray, shape (H, W)
        Photons, divided by the camera's excess noise factor.
    read_variance : numpy.ndarray
        Broadcasts with `frame`.
    sigma_px : float
        Of the PSF.
    threshold : float
        In standard deviations of the noise.
    """
    background = envelope(frame, sigma_px)
    signal = gaussian_filter(frame, sigma_px, mode="nearest") - background
    # White noise of variance v leaves the filter with v / (4 pi sigma^2).
    noise = np.sqrt((background + read_variance + 0.1) / (4 * np.pi)) / sigma_px
    peak = (signal == maximum_filter(signal, 3, mode="nearest")) & (signal > threshold * noise)
    row, column = np.nonzero(peak)
    return Spots(
        x=column.astype(np.float64),
        y=row.astype(np.float64),
        photons=4 * np.pi * sigma_px**2 * signal[peak],
        sigma_px=np.full(len(row), float(sigma_px)),
        background=np.maximum(background[peak], 0.1),
    )


def envelope(frame: Array, sigma_px: float) -> Array:
    """Return a smooth background: what the darkest places have, corrected for being the darkest."""
    side = 2 * int(np.ceil(WINDOW_SIGMAS * sigma_px / 2)) + 1
    smooth = gaussian_filter(frame, sigma_px, mode="nearest")
    lowest = uniform_filter(minimum_filter(smooth, side, mode="nearest"), side, mode="nearest")
    # The smallest of k independent normal numbers lies about sqrt(2 ln k) standard deviations below the mean.
    independent = max(side**2 / (4 * np.pi * sigma_px**2), 1.5)
    fall = 0.8 * np.sqrt(2 * np.log(independent) / (4 * np.pi)) / sigma_px
    level = np.maximum(lowest, 0.0)
    corrected: Array = level + fall * np.sqrt(level)
    return corrected


def fit_frame(
    frame: Array, read_variance: Array, sigma_px: float, threshold: float = THRESHOLD
) -> tuple[Spots, Array]:
    """Find and fit the spots of a frame; return them and by how many noises each stands out.

    Spots that left the place where they were found, or have no significant light, are dropped.
    """
    found = find_spots(frame, read_variance, sigma_px, threshold)
    spots = refine(frame, read_variance, found, CLASSICAL)
    assert spots.photons_err is not None
    significance = spots.photons / spots.photons_err
    stayed = np.hypot(spots.x - found.x, spots.y - found.y) < 2 * sigma_px
    kept = stayed & (significance > FITTED * threshold) & np.isfinite(significance)
    columns = {name: value[kept] for name, value in vars(spots).items()}
    return Spots(**columns), significance[kept]
