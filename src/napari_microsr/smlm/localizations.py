"""The one table of localisations: the currency between fit, filter, drift, render and files."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_microsr.errors import InputError

Floats = NDArray[np.floating[Any]]

#: Every column and its type. A value that is not known is NaN.
COLUMNS: dict[str, type[np.generic]] = {
    "frame": np.int32,
    "x": np.float64,
    "y": np.float64,
    "photons": np.float32,
    "background": np.float32,
    "sigma_px": np.float32,
    "x_err": np.float32,
    "y_err": np.float32,
    "photons_err": np.float32,
    "probability": np.float32,
}
REQUIRED = ("frame", "x", "y")


@dataclass(frozen=True, eq=False)
class Localizations:
    """Single molecules found (or simulated) in a stack of frames, one row each.

    Lengths are in camera pixels and the centre of the first pixel is at 0; the readers and writers of
    files add the half pixel where a format counts from the pixel's corner, as the `_nm` properties do.

    Attributes
    ----------
    frame : numpy.ndarray of int32, shape (n,)
        Number of the frame, the first is 0.
    x, y : numpy.ndarray of float64, shape (n,)
        Position [px].
    photons : numpy.ndarray of float32, shape (n,)
        Photons of the molecule in this frame.
    background : numpy.ndarray of float32, shape (n,)
        Photons per pixel below it.
    sigma_px : numpy.ndarray of float32, shape (n,)
        Standard deviation of the PSF [px].
    x_err, y_err : numpy.ndarray of float32, shape (n,)
        Standard deviation of the error of x and y [px].
    photons_err : numpy.ndarray of float32, shape (n,)
        Standard deviation of the error of the photons.
    probability : numpy.ndarray of float32, shape (n,)
        That there is a molecule, 0 to 1.
    pixel_nm : float
        Size of a camera pixel.
    shape_yx : tuple of int
        Height and width of the frames [px].
    n_frames : int
        Frames of the stack, also those without a molecule.
    """

    frame: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    photons: NDArray[np.float32]
    background: NDArray[np.float32]
    sigma_px: NDArray[np.float32]
    x_err: NDArray[np.float32]
    y_err: NDArray[np.float32]
    photons_err: NDArray[np.float32]
    probability: NDArray[np.float32]
    pixel_nm: float
    shape_yx: tuple[int, int]
    n_frames: int

    @classmethod
    def from_columns(
        cls,
        *,
        pixel_nm: float,
        shape_yx: tuple[int, int],
        n_frames: int,
        **columns: ArrayLike,
    ) -> "Localizations":
        """Make a table; columns that are not given become NaN.

        Parameters
        ----------
        pixel_nm : float
            Size of a camera pixel.
        shape_yx : tuple of int
            Height and width of the frames [px].
        n_frames : int
            Frames of the stack.
        **columns : array-like, shape (n,)
            `frame`, `x`, `y` and any other of the columns.

        Raises
        ------
        InputError
            If columns are missing, unknown, of different lengths, positions are not finite, frames lie
            outside the stack, or the pixel size cannot be one.
        """
        unknown = sorted(columns.keys() - COLUMNS.keys())
        missing = [name for name in REQUIRED if name not in columns]
        if unknown or missing:
            raise InputError(
                f"The table has unknown columns {unknown} and lacks {missing}.",
                f"Give frame, x, y and any of: {', '.join(COLUMNS)}.",
            )
        length = np.size(columns["frame"])
        arrays: dict[str, Any] = {}
        for name, kind in COLUMNS.items():
            given = columns.get(name)
            arrays[name] = np.full(length, np.nan, kind) if given is None else np.array(given, kind).ravel()
            if len(arrays[name]) != length:
                raise InputError(
                    f"The column {name} has {len(arrays[name])} rows, the column frame {length}.",
                    "Give columns of one length.",
                )
        _check_rows(arrays, n_frames)
        height, width = shape_yx
        return cls(
            **arrays,
            pixel_nm=check_pixel_nm(pixel_nm),
            shape_yx=(int(height), int(width)),
            n_frames=int(n_frames),
        )

    @classmethod
    def empty(cls, *, pixel_nm: float, shape_yx: tuple[int, int], n_frames: int) -> "Localizations":
        """Make a table without rows."""
        return cls.from_columns(frame=(), x=(), y=(), pixel_nm=pixel_nm, shape_yx=shape_yx, n_frames=n_frames)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def x_nm(self) -> NDArray[np.float64]:
        """Position along x [nm], the corner of the first pixel at 0."""
        return (self.x + 0.5) * self.pixel_nm

    @property
    def y_nm(self) -> NDArray[np.float64]:
        """Position along y [nm], the corner of the first pixel at 0."""
        return (self.y + 0.5) * self.pixel_nm

    @property
    def sigma_nm(self) -> Floats:
        """Standard deviation of the PSF [nm]."""
        return self.sigma_px * np.float32(self.pixel_nm)

    @property
    def uncertainty_nm(self) -> Floats:
        """Standard deviation of the error per axis [nm]: the root mean square of x and y."""
        mean: Floats = np.sqrt((self.x_err**2 + self.y_err**2) / 2) * np.float32(self.pixel_nm)
        return mean

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def replace(self, **columns: ArrayLike) -> "Localizations":
        """Return the table with other columns in the place of some.

        Raises
        ------
        InputError
            As `from_columns` does.
        """
        return self.from_columns(
            **{**self.columns(), **columns},
            pixel_nm=self.pixel_nm,
            shape_yx=self.shape_yx,
            n_frames=self.n_frames,
        )

    def select(self, rows: NDArray[np.bool_] | NDArray[np.integer[Any]] | slice) -> "Localizations":
        """Return some rows: a mask, positions or a slice."""
        chosen: dict[str, Any] = {name: column[rows] for name, column in self.columns().items()}
        return dataclasses.replace(self, **chosen)

    def sorted(self) -> "Localizations":
        """Return the rows in the order of frame, y, x: the same whatever the order of computing."""
        return self.select(np.lexsort((self.x, self.y, self.frame)))


def concatenate(tables: Sequence[Localizations]) -> Localizations:
    """Join tables of one stack, in their order.

    Raises
    ------
    InputError
        If there is none, or they are of different pixel sizes or fields.
    """
    if not tables:
        raise InputError("There are no tables to join.", "Give at least one.")
    first = tables[0]
    for table in tables:
        if (table.pixel_nm, table.shape_yx) != (first.pixel_nm, first.shape_yx):
            raise InputError(
                f"Tables of {first.pixel_nm} nm and {first.shape_yx} px and of {table.pixel_nm} nm and "
                f"{table.shape_yx} px cannot be joined.",
                "Join tables of one camera and field.",
            )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS
    }
    return dataclasses.replace(first, **joined, n_frames=max(table.n_frames for table in tables))


def check_pixel_nm(pixel_nm: float) -> float:
    """Return the size of a camera pixel if it can be one.

    Raises
    ------
    InputError
        If it is not a positive number, or so small that it must be in µm.
    """
    if not np.isfinite(pixel_nm) or pixel_nm <= 0:
        raise InputError(f"A pixel size of {pixel_nm} nm is impossible.", "Give it in nm, for example 100.")
    if pixel_nm < 1:
        raise InputError(
            f"A camera pixel of {pixel_nm} nm is too small to be one.",
            f"If {pixel_nm} is in µm, give {pixel_nm * 1000:g} nm.",
        )
    return float(pixel_nm)


def _check_rows(columns: dict[str, NDArray[Any]], n_frames: int) -> None:
    wrong = ~(np.isfinite(columns["x"]) & np.isfinite(columns["y"]))
    if wrong.any():
        raise InputError(
            f"{wrong.sum()} of {wrong.size} positions are not finite numbers.", "Remove those rows."
        )
    frame = columns["frame"]
    if frame.size and (frame.min() < 0 or frame.max() >= n_frames):
        raise InputError(
            f"The frames {frame.min()} to {frame.max()} do not lie in a stack of {n_frames} frames.",
            "Count frames from 0 and give the length of the stack.",
        )
