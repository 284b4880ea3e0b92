"""How placements are exported and imported: one entry per format, found by the end of the file's name."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats import itk, placements_json, positions_csv, qupath
from napari_microsr.registration.images import Images
from napari_microsr.registration.placement import Placements


class Format(NamedTuple):
    """One kind of file.

    Attributes
    ----------
    suffix : str
        End of its names.
    write : callable
        (placements, path) to what the format cannot hold, as sentences; `pixels`: also (images, progress).
    read : callable
        (path, known placements or None) to placements. Formats of positions alone need `known`.
    pixels : bool
        Whether the images are written too.
    """

    suffix: str
    write: Callable[..., list[str]]
    read: Callable[[Path, Placements | None], Placements]
    pixels: bool = False


def _late(module: str, function: str) -> Callable[..., Any]:
    """Import a format that needs zarr when its first file comes: the plugin starts sooner."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"{__name__}.{module}"), function)(*arguments)

    return call


FORMATS: dict[str, Format] = {
    "placements": Format(".json", placements_json.write, placements_json.read),
    "positions": Format(".csv", positions_csv.write, positions_csv.read),
    "itk": Format(".itk", itk.write, itk.read),
    "qupath": Format(".qupath.json", qupath.write, qupath.read),
    "ome-zarr-0.5": Format(
        ".ome.zarr", _late("ome_zarr05", "write"), _late("ome_zarr05", "read"), pixels=True
    ),
    "ome-zarr-0.6": Format(".scene.zarr", _late("ngff06", "write"), _late("ngff06", "read"), pixels=True),
}


def write_placements(
    placements: Placements,
    path: Path,
    *,
    images: Images | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Export placements to the format of a file's name.

    Parameters
    ----------
    placements : Placements
        What to write.
    path : pathlib.Path
        Its end chooses the format, see `FORMATS`.
    images : mapping, optional
        Images by the name of their overview or field, for those that are not opened by their path.
    progress : Progress, optional
        Told of each tile where images are written; may cancel.

    Returns
    -------
    list of str
        What the format cannot hold, one sentence each.

    Raises
    ------
    InputError
        If the format needs a field that has a place, and none has; or an image that is missing.
    OutputError
        If the name has no known end or the file cannot be written.
    """
    name = _format_of(path)
    if name is None:
        raise OutputError(f"The name {path.name} belongs to no format.", f"End it in {_suffixes()}.")
    if FORMATS[name].pixels:
        return FORMATS[name].write(placements, path, images, progress)
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
