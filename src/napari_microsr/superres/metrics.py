"""How close an image is to the truth."""

import math

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError


def crop_rim(image: NDArray[np.generic], rim: int) -> NDArray[np.generic]:
    """Return (H, W[, C]) without `rim` pixels at each side, which edge handling dominates."""
    if min(image.shape[:2]) <= 2 * rim:
        raise InputError(
            f"An image of {image.shape[0]} x {image.shape[1]} pixels has no inside of a rim of {rim} pixels.",
            "Compare larger images.",
        )
    return image[rim:-rim, rim:-rim] if rim else image


def psnr(image: NDArray[np.generic], truth: NDArray[np.generic], data_range: float = 255.0) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and channels.

    Infinite for identical images.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    _same_shape(image, truth)
    error = float(np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(image: NDArray[np.generic], truth: NDArray[np.generic], data_range: float = 255.0) -> float:
    """Return the mean structural similarity of (H, W[, C]) as scikit-image computes it.

    Window 7 x 7, mean over channels (Wang et al., IEEE Trans. Image Process. 13 (2004) 600).

    Raises
    ------
    InputError
        If the shapes differ or a side is below 7 pixels.
    """
    from skimage.metrics import structural_similarity

    _same_shape(image, truth)
    if min(image.shape[:2]) < 7:
        raise InputError(
            f"SSIM needs images of at least 7 x 7 pixels, not {image.shape[0]} x {image.shape[1]}.",
            "Compare larger images.",
        )
    axis = 2 if image.ndim == 3 else None
    return float(structural_similarity(image, truth, data_range=data_range, channel_axis=axis))


def _same_shape(image: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if image.shape != truth.shape:
        raise InputError(
            f"The images differ in shape: {image.shape} and {truth.shape}.",
            "Compare images of the same size and channels.",
        )
