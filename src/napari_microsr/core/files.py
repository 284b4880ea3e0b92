"""The kinds of image files that can be opened, told apart by their first bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.placement import Placement
from napari_microsr.errors import InputError

READABLE = "TIFF (also OME-TIFF, SVS, NDPI), OME-Zarr, PNG, JPEG and WebP"


@dataclass(frozen=True)
class FileImage:
    """What a reader found in a file; the fields are those of ImageSource."""

    array: Any
    axes: str | None
    rgb: bool | None
    placement: Placement | None
    name: str


class FileArray:
    """The pixels of a file, opened on first use and again after a journey to another process.

    Parameters
    ----------
    path : Path
        The file.
    opener : callable
        Module-level function that returns an array (or the like) for the path.
    shape, dtype
        What the array is known to be.
    """

    def __init__(
        self, path: Path, opener: Callable[[Path], Any], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.path, self.opener = path, opener
        self.shape, self.dtype, self.ndim = tuple(shape), np.dtype(dtype), len(shape)

    def __getitem__(self, index: Any) -> Any:
        return self._pixels[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return FileArray, (self.path, self.opener, self.shape, self.dtype)

    @cached_property
    def _pixels(self) -> Any:
        pixels = self.opener(self.path)
        if tuple(pixels.shape) != self.shape:
            raise InputError(
                f"{self.path} has changed since it was opened: it was {self.shape}, it is {pixels.shape}.",
                "Open it again.",
            )
        return pixels


def read_file(path: Path) -> FileImage:
    """Open a file by the reader of its kind."""
    raise InputError(f"{path} is of an unknown type.", f"These can be opened: {READABLE}.")
