"""Figures made of the difference of each pixel."""

import math

import numpy as np

from napari_microsr.superres.metrics.window import WHITE, Pair


class Errors:
    """PSNR, and the relative mean squared error as PlacentaSR defines it."""

    def __init__(self) -> None:
        self._scaled, self._count = 0.0, 0
        self._squares, self._truth = 0.0, 0.0

    def add(self, pair: Pair) -> None:
        """Take one more block."""
        image, truth = (values[:, : pair.rows, : pair.cols] for values in (pair.image, pair.truth))
        known = np.isfinite(image) & np.isfinite(truth)
        if not known.all():
            image, truth = image[known], truth[known]
        squares = float(((image - truth) ** 2).sum())
        self._scaled += squares * (WHITE / (pair.white - pair.black)) ** 2
        self._count += image.size
        self._squares += squares
        self._truth += float((truth**2).sum())

    def figures(self) -> dict[str, float]:
        """Return `psnr_db`, infinite for identical images, and `relative_mse`."""
        if not self._count:
            return {"psnr_db": math.nan, "relative_mse": math.nan}
        error = self._scaled / self._count
        return {
            "psnr_db": 10 * math.log10(WHITE**2 / error) if error else math.inf,
            "relative_mse": self._squares / self._truth if self._truth else math.nan,
        }
