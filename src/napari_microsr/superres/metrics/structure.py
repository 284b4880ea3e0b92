"""Structural similarity, at one scale and at several."""

import numpy as np

from napari_microsr.superres.metrics.window import WHITE, Floats, Mean, Pair, halved, slide

_C1, _C2 = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2
SIDE_PX = 7
_BOX = np.full(SIDE_PX, 1 / SIDE_PX)
_SAMPLE = SIDE_PX**2 / (SIDE_PX**2 - 1)
GAUSS_PX = 11
_SIGMA_PX = 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Smallest side of an image that has a window at the smallest scale.
SMALLEST_PX = GAUSS_PX * 2 ** (len(WEIGHTS) - 1)


def _gauss() -> Floats:
    taps = np.exp(-0.5 * ((np.arange(GAUSS_PX) - GAUSS_PX // 2) / _SIGMA_PX) ** 2)
    return np.asarray(taps / taps.sum(), np.float64)


_GAUSS = _gauss()


def _similarity(a: Floats, b: Floats, taps: Floats, gain: float) -> tuple[Floats, Floats]:
    """Return luminance times structure, and structure alone, of each window."""
    mean_a, mean_b = slide(a, taps), slide(b, taps)
    var_a = gain * (slide(a * a, taps) - mean_a**2)
    var_b = gain * (slide(b * b, taps) - mean_b**2)
    both = gain * (slide(a * b, taps) - mean_a * mean_b)
    structure = (2 * both + _C2) / (var_a + var_b + _C2)
    return (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1) * structure, structure


class Ssim:
    """Structural similarity in windows of 7 x 7 pixels, mean over windows and channels.

    Wang et al., IEEE Trans. Image Process. 13, 600 (2004); windows of equal weights and sample
    covariances, as in scikit-image.
    """

    def __init__(self) -> None:
        self._mean = Mean()

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        reach = SIDE_PX - 1
        a, b = (values[:, : pair.rows + reach, : pair.cols + reach] for values in pair.scaled)
        self._mean.add(_similarity(a, b, _BOX, _SAMPLE)[0])

    def figures(self) -> dict[str, float]:
        """Return `ssim`."""
        return {"ssim": self._mean.value}


class MultiScaleSsim:
    """Structural similarity of the luminance at five scales, in Gaussian windows of 11 x 11 pixels.

    Wang, Simoncelli and Bovik, 37th Asilomar Conf. Signals, Systems and Computers, 1398 (2003). A scale whose
    mean structure is negative counts as 0.
    """

    def __init__(self) -> None:
        self._means = [Mean() for _ in WEIGHTS]

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        a, b = pair.grey
        rows, cols, reach = pair.rows, pair.cols, GAUSS_PX - 1
        for scale, mean in enumerate(self._means):
            if scale:
                a, b, rows, cols = halved(a), halved(b), rows // 2, cols // 2
            inside = slice(rows + reach), slice(cols + reach)
            whole, structure = _similarity(a[inside], b[inside], _GAUSS, 1.0)
            mean.add(whole if scale == len(self._means) - 1 else structure)

    def figures(self) -> dict[str, float]:
        """Return `ms_ssim`."""
        values = [mean.value for mean in self._means]
        return {
            "ms_ssim": float(np.prod([np.maximum(v, 0) ** w for v, w in zip(values, WEIGHTS, strict=True)]))
        }
