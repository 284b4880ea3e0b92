"""The single steps by which a sharp image becomes a low-resolution one, by name.

A step maps an RGB or grey image (H, W[, C]) to one of the same type. Resampling works in any type: integers
are rounded. The others work on floats in units of 1/255 of the image's range, in which 8-bit RGB is as it
is. Pillow is the reference for the resampling kernels, which widen with the factor (antialiasing).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_microsr.errors import InputError

#: (H, W[, C]) of any real type.
Pixels = NDArray[Any]
#: A Gaussian is cut off at so many standard deviations.
GAUSS_REACH = 4.0
#: JPEG keeps colour in blocks of this many pixels.
JPEG_BLOCK_PX = 16


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


def reduced_shape(image: Pixels, factor: float) -> tuple[int, int]:
    """Return the shape after a reduction; one by anything but the whole factor would be another one.

    Raises
    ------
    InputError
        If height or width is no multiple of the factor.
    """
    ratio = Fraction(factor).limit_denominator(100)
    sizes = [size / ratio for size in image.shape[:2]]
    if any(size == 0 or size.denominator > 1 for size in sizes):
        raise InputError(
            f"An image of {image.shape[0]} x {image.shape[1]} pixels cannot be reduced by {factor:g}.",
            f"Crop it to multiples of {ratio.numerator}.",
        )
    return int(sizes[0]), int(sizes[1])


def down(image: Pixels, factor: float, filter_: Image.Resampling) -> Pixels:
    """Reduce by an antialiased kernel."""
    return resize(image, reduced_shape(image, factor), filter_)


def down_up(image: Pixels, factor: float, filter_: Image.Resampling) -> Pixels:
    """Reduce and magnify back: blurred, on the same grid."""
    return resize(down(image, factor, filter_), image.shape[:2], filter_)


def bicubic_down(image: Pixels, factor: int) -> Pixels:
    """Reduce by antialiased bicubic interpolation (kernel a = -0.5, widened by the factor)."""
    return down(image, factor, Image.Resampling.BICUBIC)


def area_down(image: Pixels, factor: int) -> Pixels:
    """Reduce by the mean of each factor x factor block, as camera binning does."""
    return down(image, factor, Image.Resampling.BOX)


def bicubic_down_up(image: Pixels, factor: int) -> Pixels:
    """Reduce by bicubic interpolation and magnify back.

    PlacentaSR's training pairs are this with factor 4.
    """
    return down_up(image, factor, Image.Resampling.BICUBIC)


def blur(image: Pixels, sigma_px: float, _rng: np.random.Generator) -> Pixels:
    """Blur by a Gaussian, the usual stand-in for the point spread function of a wide-field microscope."""
    from scipy.ndimage import gaussian_filter

    # scipy's "reflect" repeats the edge pixel.
    return np.asarray(gaussian_filter(image, (sigma_px, sigma_px, 0)[: image.ndim], truncate=GAUSS_REACH))


def add_noise(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise, as of reading out a camera."""
    noisy: Pixels = image + np.float32(sigma) * rng.standard_normal(image.shape, np.float32)
    return noisy


def count_photons(image: Pixels, photons: float, rng: np.random.Generator) -> Pixels:
    """Draw from Poisson's law, with `photons` at the intensity 255; what is below 0 has none."""
    expected = np.maximum(image, 0) * (photons / 255)
    return (rng.poisson(expected) * (255 / photons) + np.minimum(image, 0)).astype(np.float32)


def compress(image: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Write and read as JPEG; the blocks lie anywhere."""
    y, x = (int(offset) for offset in rng.integers(JPEG_BLOCK_PX, size=2))
    levels = np.rint(image).clip(0, 255).astype(np.uint8)
    levels = np.pad(levels, ((y, 0), (x, 0), (0, 0))[: image.ndim], mode="edge")
    file = BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=round(quality))
    return np.asarray(Image.open(file), np.float32)[y:, x:]


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes
    ----------
    summary : str
        For the model card; {} is where the parameter's value goes.
    filter_ : PIL.Image.Resampling, optional
        Kernel of a resampling.
    back : bool
        Whether a resampling returns to its grid.
    apply : callable, optional
        (image, parameter, generator) -> image, of a step that is no resampling.
    parameter : str
        What the parameter is called, empty where there is none.
    smallest, largest : float
        Limits of the parameter.
    logarithmic : bool
        Whether ratios of the parameter count, not differences.
    """

    summary: str
    filter_: Image.Resampling | None = None
    back: bool = False
    apply: Callable[[Pixels, float, np.random.Generator], Pixels] | None = None
    parameter: str = ""
    smallest: float = 0.0
    largest: float = 0.0
    logarithmic: bool = False

    @property
    def reduces(self) -> bool:
        """Whether the image becomes smaller."""
        return self.filter_ is not None and not self.back

    def reach_px(self, value: float) -> int:
        """Pixels around a region whose result is needed, of a parameter (the factor where it resamples)."""
        if self.filter_ is not None:
            return ceil(4 * value)
        if self.apply is blur:
            return ceil(GAUSS_REACH * value) + 1
        return JPEG_BLOCK_PX if self.apply is compress else 0


_FILTERS = {
    "bicubic": (Image.Resampling.BICUBIC, "antialiased bicubic reduction"),
    "area": (Image.Resampling.BOX, "mean over blocks (binning)"),
    "lanczos": (Image.Resampling.LANCZOS, "antialiased Lanczos reduction"),
    "bilinear": (Image.Resampling.BILINEAR, "antialiased bilinear reduction"),
}
KINDS: dict[str, Kind] = {
    **{
        name: Kind(text if name == "area" else f"{text} (Pillow)", filter_)
        for name, (filter_, text) in _FILTERS.items()
    },
    **{
        f"{name}-down-up": Kind(
            f"{_FILTERS[name][1]} and magnification back (Pillow)",
            _FILTERS[name][0],
            back=True,
            parameter="factor",
            smallest=1.1,
            largest=32,
        )
        for name in ("bicubic", "bilinear")
    },
    "blur": Kind("Gaussian blur of {} px", apply=blur, parameter="standard deviation in pixels", largest=32),
    "noise": Kind("noise of {} / 255", apply=add_noise, parameter="standard deviation in 1/255", largest=255),
    "poisson": Kind(
        "shot noise of {} photons at white",
        apply=count_photons,
        parameter="photons at white",
        smallest=0.1,
        largest=1e9,
        logarithmic=True,
    ),
    "jpeg": Kind("JPEG of quality {}", apply=compress, parameter="quality", smallest=1, largest=100),
}
