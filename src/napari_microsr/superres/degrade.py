"""How a sharp image becomes the low-resolution one that a network sees in training.

A degradation maps an RGB or grey image (H, W[, C]) and a factor to a low-resolution image of the same type,
as a camera would deliver it: integers are rounded. Height and width are multiples of the factor, else it
raises InputError. Pillow is the reference for the resampling kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_microsr.errors import InputError

#: (H, W[, C]) of any real type.
Pixels = NDArray[Any]


def _reduced(image: Pixels, factor: int) -> tuple[int, int]:
    """Return the reduced shape; a reduction by anything but the whole factor would be another one."""
    height, width = image.shape[:2]
    if not height or not width or height % factor or width % factor:
        raise InputError(
            f"An image of {height} x {width} pixels cannot be reduced by {factor}.",
            f"Crop it to multiples of {factor}.",
        )
    return height // factor, width // factor


def resize(image: Pixels, shape: tuple[int, int], filter_: Image.Resampling) -> Pixels:
    """Resample to (height, width) by Pillow, in the image's own type."""
    size = (shape[1], shape[0])
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize(size, filter_))
    planes = np.atleast_3d(image).astype(np.float32)
    resized = [np.asarray(Image.fromarray(p).resize(size, filter_)) for p in np.moveaxis(planes, 2, 0)]
    return as_type(np.stack(resized, axis=2).reshape(*shape, *image.shape[2:]), image.dtype)


def as_type(values: NDArray[Any], dtype: np.dtype[Any]) -> Pixels:
    """Bring computed intensities to an image's type: integers are rounded and clipped to its limits."""
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(values.astype(np.float64)).clip(limits.min, limits.max).astype(dtype)


def bicubic_down(image: Pixels, factor: int) -> Pixels:
    """Reduce by antialiased bicubic interpolation (kernel a = -0.5, widened by the factor)."""
    return resize(image, _reduced(image, factor), Image.Resampling.BICUBIC)


def area_down(image: Pixels, factor: int) -> Pixels:
    """Reduce by the mean of each factor x factor block, as camera binning does."""
    return resize(image, _reduced(image, factor), Image.Resampling.BOX)


def bicubic_down_up(image: Pixels, factor: int) -> Pixels:
    """Reduce by bicubic interpolation and magnify back: blurred, on the same grid.

    PlacentaSR's training pairs are this with factor 4.
    """
    return resize(bicubic_down(image, factor), image.shape[:2], Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Degradation:
    """A way to degrade.

    Attributes
    ----------
    apply : callable
        (image, factor) -> low-resolution image.
    same_grid : bool
        Whether the result has the input's size (restoration) or is smaller by the factor.
    summary : str
        For the model card.
    """

    apply: Callable[[Pixels, int], Pixels]
    same_grid: bool
    summary: str

    def shrink(self, factor: int) -> int:
        """Return by how much the result is smaller than the input."""
        return 1 if self.same_grid else factor


DEGRADATIONS = {
    "bicubic": Degradation(bicubic_down, False, "antialiased bicubic reduction (Pillow)"),
    "area": Degradation(area_down, False, "mean over blocks (binning)"),
    "bicubic-down-up": Degradation(
        bicubic_down_up, True, "antialiased bicubic reduction and magnification back (Pillow)"
    ),
}
