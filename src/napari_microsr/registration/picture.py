"""A plane of an image as density, at any whole-numbered shrink, read no more than needed."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.bands import Array, Tone, shrink

# Pixels of the source read at once.
_BAND_PX = 4_000_000


def no_check() -> None:
    """Ask nobody whether to stop."""


class Picture:
    """An image as density, shrunk by averaging light over whole pixels.

    Channels of an image with an axis c are averaged; of other axes the first position is taken.

    Parameters
    ----------
    source : ImageSource
        The image. It is read in bands, so that it may be larger than memory.
    tone : Tone
        How its numbers become density.
    check : callable
        Called between bands; raises to stop.
    """

    def __init__(self, source: ImageSource, tone: Tone, check: Callable[[], None] = no_check) -> None:
        self.tone, self._source, self._check = tone, source, check
        self._planes = _planes(source)
        self._kept: dict[int, Array] = {}

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width in pixels of the source."""
        return self._source.height, self._source.width

    def level_shape(self, factor: int) -> tuple[int, int]:
        """Height and width after shrinking by `factor`."""
        return self.shape_yx[0] // factor, self.shape_yx[1] // factor

    def level(self, factor: int) -> Array:
        """Return the whole picture shrunk by `factor`, and keep it."""
        if factor not in self._kept:
            h, w = self.level_shape(factor)
            self._kept[factor] = self.region(factor, (0, h), (0, w))
        return self._kept[factor]

    def region(self, factor: int, y: tuple[int, int], x: tuple[int, int]) -> Array:
        """Return the pixels y[0]..y[1], x[0]..x[1] of the picture shrunk by `factor`.

        Parameters
        ----------
        factor : int
            Shrink; block t has its centre at ``(t + 1/2) * factor - 1/2``.
        y, x : tuple of int
            Start and stop, inside `level_shape`.
        """
        if factor in self._kept:
            return self._kept[factor][slice(*y), slice(*x)]
        kept = max((k for k in self._kept if factor % k == 0), default=None)
        if kept is not None:
            step = factor // kept
            return shrink(self._kept[kept][y[0] * step : y[1] * step, x[0] * step : x[1] * step], step)
        out = np.empty((y[1] - y[0], x[1] - x[0]), np.float32)
        rows = max(1, _BAND_PX // max(1, out.shape[1] * factor * factor))
        columns = slice(x[0] * factor, x[1] * factor)
        for start in range(y[0], y[1], rows):
            self._check()
            stop = min(start + rows, y[1])
            block = self._read(slice(start * factor, stop * factor), columns)
            out[start - y[0] : stop - y[0]] = self.tone.density(shrink(block, factor))
        return out

    def factor_near(self, wanted: float) -> int:
        """Return the shrink nearest to `wanted` that is a multiple of the finest kept and leaves a pixel."""
        base = min(self._kept, default=1)
        return base * max(1, min(round(wanted / base), min(self.shape_yx) // base))

    def _read(self, y: slice, x: slice) -> NDArray[Any]:
        return np.concatenate([self._source.read(plane, y, x) for plane in self._planes])


def _planes(source: ImageSource) -> list[int]:
    """Numbers of the planes that are averaged: all channels at the first position of the other axes."""
    sizes = dict(zip(source.plane_axes, source.plane_shape, strict=True))
    places = product(*(range(sizes[axis] if axis == "c" else 1) for axis in source.plane_axes))
    return [int(np.ravel_multi_index(place, source.plane_shape)) if place else 0 for place in places]
