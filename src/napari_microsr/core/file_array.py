"""What the readers of files hand back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.placement import Placement
from napari_microsr.errors import InputError


def axis_letters(names: Iterable[str]) -> str:
    """Give each axis a letter: t, c, z, y, x have a meaning and stay, others get a free one."""
    free = list("abdefghijklmnopqrsuvw")
    letters = []
    for name in names:
        letter = name.lower()
        if letter not in ("t", "c", "z", "y", "x"):
            letter = letter if letter in free else free[0]
            free.remove(letter)
        letters.append(letter)
    return "".join(letters)


def level_number(path: Path, level: int, count: int) -> int:
    """Return the number of a level of a pyramid; negative ones count from the coarsest.

    Raises
    ------
    InputError
        If there is no such level.
    """
    if not -count <= level < count:
        raise InputError(
            f"{path} has no level {level}: its levels are 0 (the finest) to {count - 1}.",
            f"Choose one of them; {count - 1} is the coarsest.",
        )
    return level % count


@dataclass(frozen=True)
class FileImage:
    """What a reader found in a file; `ImageSource.from_array` guesses what is None."""

    array: Any
    axes: str | None = None
    rgb: bool | None = None
    placement: Placement | None = None


class FileArray:
    """The pixels of a file, opened on first use and again after a journey to another process.

    Parameters
    ----------
    path : Path
        The file.
    opener : callable
        Module-level function (so that it can be pickled) from the path to an array or the like.
    shape, dtype
        What the array is known to be.
    pixels : array-like, optional
        What the opener returns, where it has been called already.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[Path], Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        pixels: Any = None,
    ) -> None:
        self.path, self.opener = path, opener
        self.shape, self.dtype, self.ndim = tuple(shape), np.dtype(dtype), len(shape)
        self._pixels = pixels

    def __getitem__(self, index: Any) -> Any:
        if self._pixels is None:
            self._pixels = self._open()
        return self._pixels[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return FileArray, (self.path, self.opener, self.shape, self.dtype)

    def _open(self) -> Any:
        pixels = self.opener(self.path)
        if (tuple(pixels.shape), pixels.dtype) != (self.shape, self.dtype):
            raise InputError(
                f"{self.path} has changed since it was opened:"
                f" {self.shape} {self.dtype} became {tuple(pixels.shape)} {pixels.dtype}.",
                "Open it again.",
            )
        return pixels
