"""A part of an image, read as if it were the whole."""

import re
from dataclasses import replace
from typing import Any

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, JobError

_NUMBERS = re.compile(r"(\d+),(\d+),([1-9]\d*),([1-9]\d*)")


def parse_region(text: str) -> tuple[slice, slice]:
    """Return the rows and columns of a region that is written as "Y,X,HEIGHT,WIDTH".

    Raises
    ------
    JobError
        If it is not.
    """
    found = _NUMBERS.fullmatch(text.replace(" ", ""))
    if found is None:
        raise JobError(
            f"{text!r} is no region.",
            "Give its first row and column, its height and its width: 0,0,2000,3000.",
        )
    y, x, height, width = map(int, found.groups())
    return slice(y, y + height), slice(x, x + width)


def part_of(image: ImageSource, y: slice, x: slice) -> ImageSource:
    """Return a part of an image, in its place in the world.

    Raises
    ------
    InputError
        If it reaches beyond the image.
    """
    if not (0 <= y.start < y.stop <= image.height and 0 <= x.start < x.stop <= image.width):
        raise InputError(
            f"Rows {y.start} to {y.stop - 1} and columns {x.start} to {x.stop - 1} do not all lie in "
            f"{image.name}, which has {image.height} rows and {image.width} columns.",
            "Choose a region inside the image, in pixels of the chosen level.",
        )
    window = Window(image.array, image.axes, y, x)
    return replace(image, array=window, placement=image.placement.moved(y.start, x.start))


class Window:
    """A rectangle of an array; nothing is read before it is asked for.

    Parameters
    ----------
    array : array-like
        That can be sliced.
    axes : str
        Its axes, with y and x.
    y, x : slice
        The rectangle.
    """

    def __init__(self, array: Any, axes: str, y: slice, x: slice) -> None:
        self._array, self._start = array, {axes.index("y"): y.start, axes.index("x"): x.start}
        sizes = {axes.index("y"): y.stop - y.start, axes.index("x"): x.stop - x.start}
        self.shape = tuple(sizes.get(axis, size) for axis, size in enumerate(array.shape))
        self.dtype, self.ndim = array.dtype, len(self.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Any:
        """Return what `ImageSource.read` asks for: explicit numbers and slices, one per axis."""
        return self._array[tuple(self._moved(axis, part) for axis, part in enumerate(index))]

    def _moved(self, axis: int, part: int | slice) -> int | slice:
        start: int = self._start.get(axis, 0)
        if isinstance(part, slice):
            first, last, step = part.indices(self.shape[axis])
            return slice(first + start, last + start, step)
        return part + start
