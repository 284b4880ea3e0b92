"""What finds emitters in a frame: a fitter or a network, behind one call."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.fit import THRESHOLD, fit_frame
from napari_microsr.smlm.refine import Spots

#: The columns of `Localizations` but `frame`.
Rows = Mapping[str, NDArray[Any]]


class Finder(Protocol):
    """Finds the emitters of one frame; called by several threads at once."""

    workers: int
    """How many threads pay."""

    def begin_thread(self) -> None:
        """Prepare a thread that will call."""

    def __call__(self, photons: NDArray[np.float32]) -> Rows:
        """Return the emitters of a frame (H, W) in photons, in pixels from the centre of the first."""


class GaussianMle:
    """The classical fitter, for frames whose spots seldom overlap.

    Parameters
    ----------
    camera : Camera
        Of the frames.
    sigma_px : float
        Of the PSF.
    threshold : float
        Spots stand out by this many standard deviations of the noise.
    """

    workers = 1

    def __init__(self, camera: Camera, sigma_px: float, threshold: float = THRESHOLD) -> None:
        self._camera, self._sigma, self._threshold = camera, sigma_px, threshold

    def begin_thread(self) -> None:
        """Do nothing."""

    def __call__(self, photons: NDArray[np.float32]) -> Rows:
        """Find and fit the spots of a frame."""
        frame, read = equalise(photons, self._camera)
        spots, significance = fit_frame(frame, read, self._sigma, self._threshold)
        # Chance makes a spot as significant as t in a fraction exp(-t^2/2) of places.
        return spot_rows(spots, 1 - np.exp(-0.5 * significance**2), self._camera)


def equalise(photons: NDArray[np.float32], camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a frame in units whose variance is their mean, and the variance of the read noise in them."""
    factor = np.asarray(camera.noise_factor, np.float64)
    read = np.asarray(camera.read_variance, np.float64) / factor**2
    return (photons / factor), np.broadcast_to(read, photons.shape)


def spot_rows(spots: Spots, probability: NDArray[np.float64], camera: Camera) -> Rows:
    """Return fitted spots as columns, in photons again."""
    factor = at_pixels(camera.noise_factor, spots.x, spots.y)
    assert spots.photons_err is not None
    return {
        "x": spots.x,
        "y": spots.y,
        "photons": spots.photons * factor,
        "background": spots.background * factor,
        "sigma_px": spots.sigma_px,
        "x_err": spots.x_err,
        "y_err": spots.y_err,
        "photons_err": spots.photons_err * factor,
        "probability": probability,
    }


def at_pixels(values: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Return a camera's map at the pixels of positions; a number stays a number."""
    array = np.asarray(values, np.float64)
    if array.ndim < 2:
        return array
    height, width = array.shape[-2:]
    row = np.rint(y).astype(int).clip(0, height - 1)
    column = np.rint(x).astype(int).clip(0, width - 1)
    return array.reshape(height, width)[row, column]
