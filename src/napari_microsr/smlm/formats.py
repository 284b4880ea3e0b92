"""Files of localisations: which format is which, read and written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.output import writing
from napari_microsr.errors import InputError, MicroSRError, OutputError
from napari_microsr.smlm import csv_format, parquet_format, picasso_format
from napari_microsr.smlm.localizations import Localizations, check_pixel_nm


@dataclass(frozen=True)
class Field:
    """What the user knows of the stack; None takes what the file says, or covers the molecules.

    Attributes
    ----------
    pixel_nm : float or None
        Size of a camera pixel.
    shape_yx : tuple of int or None
        Height and width of the frames [px].
    n_frames : int or None
        Length of the stack.
    """

    pixel_nm: float | None = None
    shape_yx: tuple[int, int] | None = None
    n_frames: int | None = None


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes
    ----------
    suffixes : tuple of str
        Endings by which it is known.
    read : callable
        Path to columns and what the file knows of pixel size, field and frames.
    write : callable
        Writes a table to a path.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path, float | None], dict[str, Any]]
    write: Callable[[Path, Localizations], None]


FORMATS: dict[str, Format] = {
    "thunderstorm": Format((".csv",), csv_format.read, csv_format.write_thunderstorm),
    "challenge": Format((), csv_format.read, csv_format.write_challenge),
    "picasso": Format((".hdf5", ".h5"), picasso_format.read, picasso_format.write),
    "parquet": Format((".parquet",), parquet_format.read, parquet_format.write),
}


def read_table(path: Path, known: Field | None = None) -> Localizations:
    """Read a table of localisations.

    Parameters
    ----------
    path : pathlib.Path
        ThunderSTORM or SMLM-challenge CSV, Picasso HDF5 (its YAML beside it or inside), or Parquet.
    known : Field, optional
        What is known of the stack; it comes before what the file says.

    Returns
    -------
    Localizations
        Positions in CSV are in nm: without a known pixel size they are counted in pixels of 100 nm.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, lacks columns or a pixel size, or has other units.
    """
    known = known or Field()
    if known.pixel_nm is not None:
        check_pixel_nm(known.pixel_nm)
    read = FORMATS[_format_of(path)].read
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the path.")
    try:
        content = read(path, known.pixel_nm)
    except MicroSRError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a table of localisations: {' '.join(str(error).split())}.",
            "The file seems damaged or of another kind: export it again.",
        ) from error
    content = _complete(content)
    if known.shape_yx is not None:
        content["shape_yx"] = known.shape_yx
    if known.n_frames is not None:
        content["n_frames"] = known.n_frames
    return Localizations.from_columns(**content)


def write_table(path: Path, table: Localizations, kind: str | None = None) -> Path:
    """Write a table of localisations.

    Parameters
    ----------
    path : pathlib.Path
        NAME.csv (ThunderSTORM), NAME.hdf5 (Picasso, with NAME.yaml beside it) or NAME.parquet.
    table : Localizations
        What to write. Columns without any number are left out where the format allows it.
    kind : str, optional
        One of `FORMATS`, if not that of the ending.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    OutputError
        If the ending is of no format, or the file cannot be written.
    """
    if kind is None:
        try:
            kind = _format_of(path)
        except InputError as error:
            raise OutputError(error.cause, error.remedy) from error
    with writing(path):
        FORMATS[kind].write(path, table)
    return path


def _format_of(path: Path) -> str:
    for name, form in FORMATS.items():
        if path.suffix.lower() in form.suffixes:
            return name
    endings = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
    raise InputError(
        f"{path} is no table of localisations by its name.", f"These endings are known: {endings}."
    )


def _complete(content: dict[str, Any]) -> dict[str, Any]:
    """Cover the molecules where the file does not say how large the field and how long the stack is."""
    frame = content["frame"]
    if content.get("shape_yx") is None:
        # NaN is refused later, with the other wrong rows.
        ends = (np.max(content[axis], initial=0.5, where=np.isfinite(content[axis])) for axis in "yx")
        content["shape_yx"] = tuple(int(np.ceil(end + 0.5)) for end in ends)
    if content.get("n_frames") is None:
        content["n_frames"] = int(frame.max()) + 1 if len(frame) else 0
    return content
