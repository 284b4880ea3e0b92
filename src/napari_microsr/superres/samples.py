"""Whole images on which a network is watched while it trains, and measured when it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.superres.degradation import Degradation, parse_degradation
from napari_microsr.superres.degrade import Pixels, as_type
from napari_microsr.superres.normalise import percentile_range

Units = NDArray[np.float32]
#: Sizes of whole images are cropped to multiples of this: every network of the package accepts them.
ALIGNMENT = 16


def unit_range(image: Pixels) -> tuple[float, float]:
    """Return the intensities that become 0 and 1 of network units, as a run of the network chooses them.

    0 and 255 for RGB, the 0.1 and 99.9 % quantiles of the image for one channel of any type.
    """
    return (0.0, 255.0) if image.ndim == 3 else percentile_range(image)


def to_units(image: Pixels, zero: float, one: float) -> Units:
    """Bring intensities to network units; what lies outside [0, 1] is kept."""
    return ((image.astype(np.float32) - np.float32(zero)) / np.float32(one - zero)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sample:
    """A pair of whole images in network units, and the way back to intensities.

    Attributes
    ----------
    name : str
        Of the image.
    low, high : ndarray of float32, (h, w[, C]) and (H, W[, C])
        In network units.
    zero, one : float
        Intensities that are 0 and 1 there.
    dtype : numpy.dtype
        Of the image.
    rim : int
        Pixels of `high` at each side that figures leave out.
    blur_px, noise : float
        Blur and noise of a degradation, as `degradation.Degraded` has them.
    """

    name: str
    low: Units
    high: Units
    zero: float
    one: float
    dtype: np.dtype[Any]
    rim: int
    blur_px: float = 0.0
    noise: float = 0.0

    def intensities(self, units: NDArray[Any]) -> Pixels:
        """Return an image in network units as an image of `dtype`."""
        return as_type(units.astype(np.float64) * (self.one - self.zero) + self.zero, self.dtype)

    @cached_property
    def truth(self) -> Pixels:
        """`high` in intensities."""
        return self.intensities(self.high)

    @property
    def data_range(self) -> float:
        """Span of intensities that PSNR and SSIM refer to.

        255 for 8 bits, else the truth's own 0.1 to 99.9 % range: few 16-bit images use all of their bits.
        """
        if self.dtype == np.uint8:
            return 255.0
        low, high = percentile_range(self.truth)
        return high - low


def make_sample(
    image: Pixels,
    degradation: Degradation | str,
    factor: int,
    name: str = "",
    rng: np.random.Generator | None = None,
) -> Sample:
    """Degrade a whole sharp image, cropped to a size that the degradation and every network allow.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W)
        Sharp.
    degradation : Degradation or str
        Or its text.
    factor : int
        Of the degradation.
    name : str
        Of the image.
    rng : numpy.random.Generator, optional
        Draws what is random in the degradation; always the same if not given.
    """
    if isinstance(degradation, str):
        degradation = parse_degradation(degradation)
    unit = lcm(degradation.period_px(factor), degradation.shrink(factor) * ALIGNMENT)
    high = _cropped(image, unit)
    done = degradation.degrade(high, factor, rng, *unit_range(high))
    # Of the low image, which is all that a run of the network sees.
    zero, one = unit_range(done.low)
    pair = to_units(done.low, zero, one), to_units(high, zero, one)
    rim = 2 * max(factor, degradation.shrink(factor))
    return Sample(name, *pair, zero, one, image.dtype, rim, done.blur_px, done.noise)


def pair_sample(low: Pixels, high: Pixels, factor: int, name: str) -> Sample:
    """Make a sample of a pair that was taken, cropped to a size that every network allows."""
    low, high = _cropped(low, ALIGNMENT), _cropped(high, factor * ALIGNMENT)
    zero, one = unit_range(low)
    pair = to_units(low, zero, one), to_units(high, zero, one)
    return Sample(name, *pair, zero, one, high.dtype, 2 * max(2, factor))


def make_samples(images: Sequence[Pixels], degradation: Degradation | str, factor: int) -> list[Sample]:
    """Degrade whole sharp images, each by a draw of its own."""
    return [
        make_sample(image, degradation, factor, str(n), np.random.default_rng(n))
        for n, image in enumerate(images)
    ]


def _cropped(image: Pixels, unit: int) -> Pixels:
    height, width = (size // unit * unit for size in image.shape[:2])
    if not height or not width:
        raise InputError(
            f"An image of {image.shape[0]} x {image.shape[1]} pixels is too small to measure a network on.",
            f"Use images of at least {unit} x {unit} pixels.",
        )
    return image[:height, :width]
