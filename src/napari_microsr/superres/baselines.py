"""What a result has to be better than: its input enlarged by interpolation, and sharpened by filters."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate, gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.degrade import as_type, resize

#: Names and pixels (channels, h, w) of what was made of a block: plane, rows and columns.
Candidates = Callable[[int, slice, slice], dict[str, NDArray[Any]]]

#: Pillow's SHARPEN.
_SHARPEN = (np.full((3, 3), -2.0) + 34.0 * np.eye(3)[1][:, None] * np.eye(3)[1]) / 16
UNSHARP_PX = 2.0
#: Pixels around a block that the filters look at, and those of the input that interpolation looks at.
_FILTER_PX, _INPUT_PX = 10, 4


class Planes(Protocol):
    """What is read plane by plane, as `ImageSource` is."""

    @property
    def height(self) -> int:
        """Rows of a plane."""

    @property
    def width(self) -> int:
        """Columns of a plane."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Return a region of a plane, (channels, h, w)."""


class Degraded:
    """An image that is degraded where it is read.

    Parameters
    ----------
    image : ImageSource
        The sharp image; what is no whole multiple of the factor at its end is left out.
    kind : str
        A degradation that makes images smaller.
    factor : int
        By how much.
    """

    def __init__(self, image: ImageSource, kind: str, factor: int) -> None:
        self._image, self._kind, self._factor = image, kind, factor
        self.height, self.width, self.dtype = image.height // factor, image.width // factor, image.dtype

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Return a region of a plane, (channels, h, w)."""
        wide_y, wide_x = _widened(y, _INPUT_PX, self.height), _widened(x, _INPUT_PX, self.width)
        sharp = self._image.read(plane, *(_times(part, self._factor) for part in (wide_y, wide_x)))
        low = parse_degradation(self._kind).apply(_last(sharp), self._factor)
        return _first(low)[:, _within(y, wide_y), _within(x, wide_x)]


class Enlargements:
    """An input brought to the grid of its truth: nearest pixels, bicubic, Lanczos, and sharpened bicubic.

    Of an input on the same grid there are the input itself and its sharpened forms.

    Parameters
    ----------
    low : Planes
        The input.
    factor : int
        Pixels of the truth per pixel of the input, along y and along x.

    Attributes
    ----------
    height, width : int
        Of what it enlarges to.
    """

    def __init__(self, low: Planes, factor: int) -> None:
        self._low, self.factor = low, factor
        self.height, self.width = low.height * factor, low.width * factor

    def __call__(self, plane: int, y: slice, x: slice) -> dict[str, NDArray[Any]]:
        """Return every enlargement of a region of the truth's grid, by name."""
        wide = _widened(y, _FILTER_PX, self.height), _widened(x, _FILTER_PX, self.width)
        made = self._enlarged(plane, *wide)
        soft = made.get("bicubic", made["input"])
        once = self._typed(_filtered(soft, _sharpened))
        made["sharpened"] = once
        made["sharpened twice"] = self._typed(_filtered(once, _sharpened))
        made["unsharp mask"] = self._typed(_filtered(soft, _unsharp))
        inside = (slice(None), _within(y, wide[0]), _within(x, wide[1]))
        return {name: pixels[inside] for name, pixels in made.items()}

    def _enlarged(self, plane: int, y: slice, x: slice) -> dict[str, NDArray[Any]]:
        factor = self.factor
        sizes = (self._low.height, self._low.width)
        low_y, low_x = (
            _widened(slice(part.start // factor, -(-part.stop // factor)), _INPUT_PX, size)
            for part, size in zip((y, x), sizes, strict=True)
        )
        low = self._low.read(plane, low_y, low_x)
        inside = (slice(None), _within(y, _times(low_y, factor)), _within(x, _times(low_x, factor)))
        made = {"input": low.repeat(factor, 1).repeat(factor, 2)}
        if factor > 1:
            shape = (low.shape[1] * factor, low.shape[2] * factor)
            made["bicubic"] = _first(resize(_last(low), shape, Image.Resampling.BICUBIC))
            made["Lanczos"] = _first(resize(_last(low), shape, Image.Resampling.LANCZOS))
        return {name: pixels[inside] for name, pixels in made.items()}

    def _typed(self, values: NDArray[Any]) -> NDArray[Any]:
        return as_type(values, self._low.dtype)


def _sharpened(plane: NDArray[np.float64]) -> NDArray[Any]:
    return np.asarray(correlate(plane, _SHARPEN, mode="nearest"))


def _unsharp(plane: NDArray[np.float64]) -> NDArray[Any]:
    return np.asarray(2 * plane - gaussian_filter(plane, UNSHARP_PX, mode="nearest"))


def _filtered(planes: NDArray[Any], filter_: Callable[[NDArray[np.float64]], NDArray[Any]]) -> NDArray[Any]:
    return np.stack([filter_(plane.astype(np.float64)) for plane in planes])


def _widened(part: slice, by: int, size: int) -> slice:
    return slice(max(part.start - by, 0), min(part.stop + by, size))


def _times(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _within(part: slice, wide: slice) -> slice:
    return slice(part.start - wide.start, part.stop - wide.start)


def _last(planes: NDArray[Any]) -> NDArray[Any]:
    """Return (C, H, W) as (H, W, C), or (H, W) of one channel."""
    return np.ascontiguousarray(planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1))


def _first(image: NDArray[Any]) -> NDArray[Any]:
    return image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
