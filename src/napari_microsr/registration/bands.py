"""What a picture carries: optical density or emitted light, shrunk by averaging, its middle frequencies."""

from dataclasses import dataclass
from math import ceil, log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_microsr.core.image import ImageSource

Array = NDArray[np.float32]
Measured = NDArray[np.float64]
Contrast = Literal["absorption", "fluorescence"]

# Light of a fully absorbing pixel, as a share of white: keeps the logarithm of black finite.
_STRAY = 8 / 255
_SAMPLED = 500_000
# Share of the camera's range that bright field uses at least.
_EXPOSED = 0.25


@dataclass(frozen=True, eq=False)
class Tone:
    """How the numbers of an image become density.

    Attributes
    ----------
    contrast : {"absorption", "fluorescence"}
        Stained tissue in bright field, or emitted light.
    black, white : ndarray of float32, shape (channels, 1, 1)
        Darkest and brightest number in use, per channel.
    """

    contrast: Contrast
    black: Array
    white: Array

    def density(self, light: Array) -> Array:
        """Return the mean density over the channels.

        Absorption gives the optical density ``-ln((I + s) / (1 + s))`` of light I as a
        share of white with stray light s; fluorescence the square root of the light, whose noise is even.

        Parameters
        ----------
        light : float32, (channels, h, w)
            Numbers of the image, possibly averaged. NaN stays NaN.
        """
        if self.contrast == "absorption":
            share = np.maximum(light / self.white, 0) + np.float32(_STRAY)
            each = -np.log(share * np.float32(1 / (1 + _STRAY)))
        else:
            each = np.sqrt(np.maximum((light - self.black) / (self.white - self.black), 0))
        mean: Array = each.mean(axis=0, dtype=np.float32)
        return mean

    def soften(self, density: Array, sigma: float, gamma: float) -> Array:
        """Blur as optics do, which mix light and not density: an edge moves where the logarithm is blurred.

        Parameters
        ----------
        density : float32, (h, w)
            Without NaN.
        sigma : float
            Width of the Gaussian in pixels.
        gamma : float
            Of the camera: the numbers are light to this power.
        """
        if self.contrast == "absorption":
            softer: Array = np.float32(-gamma) * np.log(
                blurred(np.exp(density * np.float32(-1 / gamma)), sigma)
            )
            return softer
        return np.asarray(np.sqrt(np.maximum(blurred(density * density, sigma), 0)), np.float32)


def measure_tone(source: ImageSource, contrast: Literal["auto", "absorption", "fluorescence"]) -> Tone | None:
    """Measure the range of an image on a sample of it, and guess its contrast where that is "auto".

    Bright field is known by its background: most of the picture is nearer to white than to black. A slide
    that is mostly glass can hold nothing dark, and a lamp can light its middle more: the black of colours is
    0, and grey glass is known by being bright, also against what the camera can count.

    Returns
    -------
    Tone or None
        None where no pixel is finite or all are equal: the image is blank.
    """
    samples: dict[int, list[NDArray[Any]]] = {}
    for channel, block in source.sample(_SAMPLED):
        samples.setdefault(channel, []).append(block.reshape(block.shape[0], -1))
    rows = [row for blocks in samples.values() for row in np.concatenate(blocks, axis=1)]
    finite = [row[np.isfinite(row)].astype(np.float64) for row in rows]
    if any(row.size == 0 for row in finite):
        return None
    black, middle, white = np.array([np.percentile(row, (0.1, 50, 99.9)) for row in finite]).T
    if np.all(white <= black):
        return None
    white = np.where(white > black, white, black + 1)
    if contrast == "auto":
        lit = (
            _is_lit_colour(middle, white) if source.rgb else _is_lit_grey(black, middle, white, source.dtype)
        )
        contrast = "absorption" if lit else "fluorescence"
    if source.rgb and source.dtype == np.uint8 and contrast == "absorption":
        white = np.full_like(white, 255)
    return Tone(contrast, _column(black), _column(white))


def _is_lit_colour(middle: Measured, white: Measured) -> bool:
    return bool(np.mean(middle / white) > 0.25)


def _is_lit_grey(black: Measured, middle: Measured, white: Measured, dtype: np.dtype[Any]) -> bool:
    """Tell bright field from emitted light by the percentiles of the channels."""
    position = float(np.mean((middle - black) / (white - black)))
    # Emitted light can be little beside the camera's offset, in a picture that is all near to its white.
    exposed = dtype.kind != "u" or float(white.max()) >= _EXPOSED * _full_scale(float(white.max()), dtype)
    return position > 0.6 or (exposed and (position > 0.5 or float(np.mean(middle / white)) > 0.7))


def _full_scale(white: float, dtype: np.dtype[Any]) -> float:
    """Return the largest number of the camera: of 8 bits, or as many as are in use but at least 12."""
    return 255.0 if dtype.itemsize == 1 else float(2 ** max(12, ceil(log2(white + 1))) - 1)


def shrink(block: NDArray[Any], factor: int) -> Array:
    """Average blocks of `factor` x `factor` pixels; a rest at the lower and right edge is dropped.

    Parameters
    ----------
    block : ndarray, (..., h, w)
        Any real type. A block with a NaN becomes NaN.
    factor : int
        At least 1.
    """
    if factor == 1:
        return block.astype(np.float32)
    h, w = (size // factor * factor for size in block.shape[-2:])
    wide = np.dtype(np.uint32 if block.dtype.kind == "u" and block.dtype.itemsize <= 2 else np.float32)
    # Rows first: they lie together in memory, and the columns that are left are few.
    narrow = np.dtype(np.uint16) if block.dtype == np.uint8 and factor <= 256 else wide
    rows: NDArray[Any] = block[..., 0:h:factor, :w].astype(narrow)
    for start in range(1, factor):
        rows += block[..., start:h:factor, :w]
    total: NDArray[Any] = rows[..., 0:w:factor].astype(wide)
    for start in range(1, factor):
        total += rows[..., start:w:factor]
    return total.astype(np.float32) * np.float32(1 / factor**2)


def blurred(image: Array, sigma: float, weight: Array | None = None) -> Array:
    """Blur with a Gaussian; with a weight (0 = unknown pixel) as the weighted mean of what is known.

    Wide Gaussians are three running means of the same variance, whose time does not grow with the width.
    """
    if sigma < 0.2:
        return image
    if weight is not None:
        mass = blurred(weight, sigma)
        return np.divide(blurred(image * weight, sigma), np.maximum(mass, 1e-6), dtype=np.float32)
    if sigma < 3:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3.0), np.float32)
    width = 2 * round((4 * sigma**2 + 1) ** 0.5 / 2 - 0.5) + 1
    for _ in range(3):
        image = ndimage.uniform_filter(image, width, mode="reflect")
    return image


def texture(density: Array) -> tuple[float, float]:
    """Return the strength of the middle frequencies where there is most, and the fine ones' share of it."""
    filled = np.where(np.isfinite(density), density, np.float32(0))
    middle = np.abs(blurred(filled, 1.5) - blurred(filled, 5.0))
    fine = np.abs(blurred(filled, 0.7) - blurred(filled, 1.5))
    return float(np.percentile(middle, 90)), float(fine.mean() / max(float(middle.mean()), 1e-9))


def _column(values: NDArray[np.float64]) -> Array:
    return values.astype(np.float32)[:, None, None]
