"""Whole images on which a network is watched while it trains, and measured when it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.superres.degrade import DEGRADATIONS, Pixels, as_type
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
    name, group : str
        Of the image, and of the slide, well or field that it belongs to.
    low, high : ndarray of float32, (h, w[, C]) and (H, W[, C])
        In network units.
    zero, one : float
        Intensities that are 0 and 1 there.
    dtype : numpy.dtype
        Of the image.
    rim : int
        Pixels of `high` at each side that figures leave out.
    """

    name: str
    group: str
    low: Units
    high: Units
    zero: float
    one: float
    dtype: np.dtype[Any]
    rim: int

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
    image: Pixels, degradation: str, factor: int, name: str = "", group: str = "", align: int = ALIGNMENT
) -> Sample:
    """Degrade a whole sharp image, cropped to a size that the degradation and every network allow."""
    unit = factor * align
    high = image[: image.shape[0] // unit * unit, : image.shape[1] // unit * unit]
    low = DEGRADATIONS[degradation].apply(high, factor)
    # Of the low image, which is all that a run of the network sees.
    zero, one = unit_range(low)
    pair = to_units(low, zero, one), to_units(high, zero, one)
    return Sample(name, group, *pair, zero, one, image.dtype, 2 * factor)


def make_samples(images: Sequence[Pixels], degradation: str, factor: int) -> list[Sample]:
    """Degrade whole sharp images."""
    return [make_sample(image, degradation, factor, str(n)) for n, image in enumerate(images)]
