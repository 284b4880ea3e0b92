"""Measures that were made to agree with how people judge images."""

import math

import numpy as np

from napari_microsr.superres.metrics.window import Floats, Mean, Pair, halved, slide

_GMSD_C = 170.0
_HAAR_C, _ALPHA = 30.0, 4.2
_SCALES = (2, 4, 8)
# NTSC's I and Q
_CHROMA = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
#: Smallest sides of an image that has two windows of 3, or one of 8 pixels, at half size.
GMSD_PX, HAARPSI_PX = 8, 16


def _agreement(a: Floats, b: Floats, constant: float) -> Floats:
    return (2 * a * b + constant) / (a * a + b * b + constant)


class Gmsd:
    """Gradient magnitude similarity deviation of the luminance at half size; 0 is best.

    Xue et al., IEEE Trans. Image Process. 23, 684 (2014). Only gradients wholly inside the image count.
    """

    def __init__(self) -> None:
        self._first, self._second = Mean(), Mean()

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        parts = [halved(v)[: pair.rows // 2 + 2, : pair.cols // 2 + 2] for v in pair.grey]
        smooth, slope = np.full(3, 1 / 3), np.array([1.0, 0.0, -1.0])
        a, b = (np.hypot(slide(v, slope, smooth), slide(v, smooth, slope)) for v in parts)
        # Of what is missing to 1: its squares do not drown in rounding where images are alike.
        missing = 1 - _agreement(a, b, _GMSD_C)
        self._first.add(missing)
        self._second.add(missing**2)

    def figures(self) -> dict[str, float]:
        """Return `gmsd`."""
        count = self._first.count
        if count < 2:
            return {"gmsd": math.nan}
        variance = max(self._second.value - self._first.value**2, 0.0) * count / (count - 1)
        return {"gmsd": math.sqrt(variance)}


class HaarPsi:
    """Haar wavelet-based perceptual similarity index at half size; 1 is best.

    Reisenhofer et al., Signal Process. Image Commun. 61, 33 (2018). Only wavelets that lie wholly inside the
    image count. NaN where neither image has any structure.
    """

    def __init__(self) -> None:
        self._similar, self._weight = 0.0, 0.0

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        reach = _SCALES[-1] - 1
        rows, cols = pair.rows // 2 + reach, pair.cols // 2 + reach
        a, b = (halved(v)[:rows, :cols] for v in pair.grey)
        weights: list[Floats] = []
        similar: list[Floats] = []
        for turned in (False, True):
            pairs = [[np.abs(_haar(v, size, turned)) for v in (a, b)] for size in _SCALES]
            fine, middle, coarse = ((first, second) for first, second in pairs)
            weights.append(np.maximum(*coarse))
            similar.append((_agreement(*fine, _HAAR_C) + _agreement(*middle, _HAAR_C)) / 2)
        if len(pair.image) == 3:
            weights.append((weights[0] + weights[1]) / 2)
            similar.append(_chroma_agreement(pair, rows, cols))
        for weight, value in zip(weights, similar, strict=True):
            known = np.isfinite(weight) & np.isfinite(value)
            self._weight += float(weight[known].sum())
            self._similar += float((weight[known] / (1 + np.exp(-_ALPHA * value[known]))).sum())

    def figures(self) -> dict[str, float]:
        """Return `haarpsi`."""
        if not self._weight:
            return {"haarpsi": math.nan}
        mean = self._similar / self._weight
        return {"haarpsi": (math.log(mean / (1 - mean)) / _ALPHA) ** 2}


def _haar(values: Floats, size: int, turned: bool) -> Floats:
    """Weigh an array by the Haar wavelet of a size, in the middle of windows of the largest size."""
    step = np.repeat([-1.0, 1.0], size // 2) / size
    flat = np.ones(size)
    result = slide(values, *((flat, step) if turned else (step, flat)))
    return _middle(result, size)


def _middle(values: Floats, size: int) -> Floats:
    rim = (_SCALES[-1] - size) // 2
    return values[rim : values.shape[0] - rim, rim : values.shape[1] - rim] if rim else values


def _chroma_agreement(pair: Pair, rows: int, cols: int) -> Floats:
    total: Floats | float = 0.0
    for weights in _CHROMA:
        a, b = (halved(np.tensordot(weights, values, 1))[:rows, :cols] for values in pair.scaled)
        a, b = (_middle(np.abs(slide(v, np.full(2, 0.5))), 2) for v in (a, b))
        total = total + _agreement(a, b, _HAAR_C) / 2
    return np.asarray(total, np.float64)
