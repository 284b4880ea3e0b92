"""Folders of images whose names say which well, field and channel they show."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from napari_microsr.core.name_pattern import AXES, NamePattern
from napari_microsr.errors import JobError

#: How microscopes name their files; of several patterns the first that fits any file is taken.
PRESETS = {
    # MetaXpress: site and wavelength are left out where there is one; exports end in a unique id.
    "imagexpress": (
        "{plate}_{well}_s{field}_w{channel:1}*.tif",
        "{plate}_{well}_w{channel:1}*.tif",
        "{plate}_{well}_s{field}*.tif",
    ),
    # Harmony, on Opera Phenix and Operetta.
    "opera": (
        "r{row}c{column}f{field}p{z}-ch{channel}sk{time}*.tiff",
        "r{row}c{column}f{field}-ch{channel}*.tiff",
    ),
    # CellVoyager.
    "cellvoyager": ("{plate}_{well}_T{time}F{field}L*A*Z{z}C{channel}.tif",),
}


def patterns_of(text: str) -> list[NamePattern]:
    """Return the patterns that a user's text or the name of a preset stands for.

    Raises
    ------
    JobError
        If it is neither.
    """
    if text not in PRESETS and "{" not in text:
        raise JobError(
            f"{text!r} is no pattern of file names.",
            f"Give one with placeholders, such as {{well}}_s{{field}}.tif, or one of {', '.join(PRESETS)}.",
        )
    return [NamePattern(one) for one in PRESETS.get(text, (text,))]


def matched(folder: Path, pattern: NamePattern, *, below: bool = True) -> dict[str, dict[str, str]]:
    """Return the images of a folder, or also of those below it, that fit a pattern.

    To each source belongs what its name says.
    Files that differ only in placeholders of `AXES` are one image; its source keeps these placeholders.
    """
    series = [name for name in AXES if f"{{{name}" in PurePosixPath(pattern.text).name]
    images: dict[str, dict[str, str]] = {}
    for file in _files_below(folder):
        parts = file.relative_to(folder).parts
        values = pattern.match("/".join(parts[-pattern.depth :]))
        if values is None or (len(parts) > pattern.depth and not below):
            continue
        fixed = {name: value for name, value in values.items() if name not in series}
        here = folder.joinpath(*parts[: -pattern.depth])
        images[str(here / pattern.filled(fixed) if series else file)] = fixed
    return images


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its folders, but for hidden ones and the insides of stores."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and ".zarr" not in name)
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
