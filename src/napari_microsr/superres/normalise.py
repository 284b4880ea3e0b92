"""Image-wide intensity normalisation, measured once and never per tile."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource

Method = Literal["identity", "range", "percentile"]
LOW_PERCENT, HIGH_PERCENT = 0.1, 99.9


@dataclass(frozen=True)
class Normalisation:
    """The affine map that takes an image's intensities to the network's, and back.

    Attributes
    ----------
    low, high : tuple of float
        Intensities that become 0 and 1, one pair per image channel (one for RGB: a common map keeps the
        colours). Because the map back is its inverse, `out(a x + b) = a out(x) + b`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]


def measure(source: ImageSource, method: Method) -> Normalisation:
    """Measure the normalisation of a whole image on a coarse pass over it.

    Parameters
    ----------
    source : ImageSource
        The image.
    method : {"identity", "range", "percentile"}
        "identity" leaves the intensities alone. "range" maps 0..255 of an 8-bit image, which is what
        colour networks are trained on, and falls back to percentiles for other types, whose black and
        white are not known. "percentile" maps the 0.1 and 99.9 % quantiles of each channel.
    """
    channels = 1 if source.rgb else dict(zip(source.axes, source.array.shape, strict=True)).get("c", 1)
    if method == "identity":
        return Normalisation((0.0,) * channels, (1.0,) * channels)
    if method == "range" and source.dtype == np.uint8:
        return Normalisation((0.0,) * channels, (255.0,) * channels)
    values: list[list[NDArray[np.float64]]] = [[] for _ in range(channels)]
    for channel, block in source.sample():
        finite = block[np.isfinite(block)]
        values[channel].append(finite.astype(np.float64))
    ranges = [percentile_range(np.concatenate(found)) if found else (0.0, 1.0) for found in values]
    return Normalisation(tuple(low for low, _ in ranges), tuple(high for _, high in ranges))


def percentile_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the intensities that become 0 and 1: the 0.1 and 99.9 % quantiles of what is finite."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, (LOW_PERCENT, HIGH_PERCENT)))
    if high > low:
        return low, high
    # More than 99.8 % of the pixels are equal: the extremes tell, and a constant image keeps unit gain.
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)
