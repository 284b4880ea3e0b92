"""How placements are exported and imported: one entry per format, found by the end of the file's name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats import itk, placements_json, positions_csv, qupath
from napari_microsr.registration.placement import Placements


class Format(NamedTuple):
    """One kind of file.

    Attributes
    ----------
    suffix : str
        End of its names.
    write : callable
        (placements, path) to what the format cannot hold, as sentences.
    read : callable
        (path, known placements or None) to placements. Formats of positions alone need `known`.
    """

    suffix: str
    write: Callable[[Placements, Path], list[str]]
    read: Callable[[Path, Placements | None], Placements]


FORMATS: dict[str, Format] = {
    "placements": Format(".json", placements_json.write, placements_json.read),
    "positions": Format(".csv", positions_csv.write, positions_csv.read),
    "itk": Format(".itk", itk.write, itk.read),
    "qupath": Format(".qupath.json", qupath.write, qupath.read),
}


def write_placements(placements: Placements, path: Path) -> list[str]:
    """Export placements to the format of a file's name.

    Parameters
    ----------
    placements : Placements
        What to write.
    path : pathlib.Path
        Its end chooses the format, see `FORMATS`.

    Returns
    -------
    list of str
        What the format cannot hold, one sentence each.

    Raises
    ------
    InputError
        If the format needs a field that has a place, and none has.
    OutputError
        If the name has no known end or the file cannot be written.
    """
    name = _format_of(path)
    if name is None:
        raise OutputError(f"The name {path.name} belongs to no format.", f"End it in {_suffixes()}.")
    return FORMATS[name].write(placements, path)


def read_placements(path: Path, known: Placements | None = None) -> Placements:
    """Import placements from a file or folder that `write_placements` or another program wrote.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder.
    known : Placements, optional
        What the file was exported from: needed by the formats that hold positions only.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, or does not belong to `known`.
    """
    name = _format_of(path)
    if name is None:
        raise InputError(
            f"The name {path.name} belongs to no format.", f"Choose a file that ends in {_suffixes()}."
        )
    return FORMATS[name].read(path, known)


def _format_of(path: Path) -> str | None:
    """Find the format with the longest suffix that fits."""
    fitting = [name for name, kind in FORMATS.items() if path.name.lower().endswith(kind.suffix)]
    return max(fitting, key=lambda name: len(FORMATS[name].suffix), default=None)


def _suffixes() -> str:
    return ", ".join(kind.suffix for kind in FORMATS.values())
