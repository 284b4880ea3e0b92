"""Which patches show nothing: relative to the image's own noise where no grey level is known to be empty."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Standard deviation in grey levels below which a patch of an 8-bit RGB image counts as empty glass.
RGB_STD = 6.0
#: A block of one channel shows something if it varies by this many times the noise ...
NOISES = 1.5
#: ... and a patch if this share of its blocks does.
SHARE = 0.1
BLOCK_PX = 8
#: Noise is measured on the first rows and columns of an image larger than this.
LARGEST_PX = 1024
#: The least noise, in steps of an integer type and as a share of the image's range.
LEAST_STEPS, LEAST_SHARE = 0.5, 0.005


def noise_level(image: NDArray[Any], span: float) -> float:
    """Estimate the standard deviation of an image's noise (H, W), in its intensities.

    The median absolute response to a mask that is blind to slopes (Immerkær, Comput. Vis. Image Underst. 64
    (1996) 300), which edges disturb little. Never below what quantisation and `span`, the image's range, say.
    """
    x = image[:LARGEST_PX, :LARGEST_PX].astype(np.float32)
    rows = x[:-2] - 2 * x[1:-1] + x[2:]
    response = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    response = response[np.isfinite(response)]
    measured = float(np.median(np.abs(response))) / 0.6745 / 6 if response.size else 0.0
    step = LEAST_STEPS if np.issubdtype(image.dtype, np.integer) else 0.0
    return max(measured, step, LEAST_SHARE * span)


def shows_something(patch: NDArray[Any], noise: float) -> bool:
    """Say whether a patch (h, w[, 3]) is worth training on.

    Parameters
    ----------
    patch : ndarray
        In intensities.
    noise : float
        Of its image, see `noise_level`; unused for RGB.
    """
    if patch.ndim == 3:
        return bool(patch.std(axis=(0, 1)).max() >= RGB_STD)
    rows, cols = (size // BLOCK_PX for size in patch.shape)
    blocks = patch[: rows * BLOCK_PX, : cols * BLOCK_PX].astype(np.float64)
    spread = blocks.reshape(rows, BLOCK_PX, cols, BLOCK_PX).std(axis=(1, 3))
    return bool((spread > NOISES * noise).mean() >= SHARE)
