"""The inputs of a batch: files, folders, patterns and plates become a list of images."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os.path import commonpath
from pathlib import Path

from napari_microsr.batch.patterns import matched, patterns_of
from napari_microsr.batch.plate import Field, is_plate, read_fields
from napari_microsr.core.dicom_header import holds_slide
from napari_microsr.core.image import name_of
from napari_microsr.core.name_pattern import AXES, NamePattern
from napari_microsr.core.remote import is_url, place_of
from napari_microsr.errors import InputError
from napari_microsr.registration.inputs import find_files

#: Placeholders that say where on a plate an image was taken.
_PLACE = {"plate", "well", "row", "column", "field"}


@dataclass(frozen=True)
class Item:
    """One image of a batch.

    Attributes
    ----------
    key : str
        Its name in the run: a relative path with slashes, different from that of every other.
    source : str
        What a job is given as its image.
    group : dict
        What is known of it: well and field, and what a pattern says.
    plate : str or None
        Name of the plate that it belongs to; then the key is PLATE/ROW/COLUMN/FIELD.
    place : Field or None
        Where on that plate.
    origin : Path or None
        The OME-Zarr plate that it comes from.
    """

    key: str
    source: str
    group: dict[str, str] = field(default_factory=dict)
    plate: str | None = None
    place: Field | None = None
    origin: Path | None = None


def find(inputs: Sequence[str], pattern: str | None = None) -> list[Item]:
    """Return the images that files, folders, patterns and plates stand for, in their order.

    Parameters
    ----------
    inputs : sequence of str
        Files; URLs of files and stores; folders; patterns of files with `*`; OME-Zarr plates, and folders
        and patterns of them. A path with placeholders, such as ``plates/{plate}/{well}_{field}.tif``, is a
        folder and its pattern.
    pattern : str, optional
        Of the names in folders, or a preset of `patterns.PRESETS`.

    Raises
    ------
    InputError
        If an input holds nothing, or a plate is damaged.
    JobError
        If the pattern is none.
    """
    found, files = [], []
    for text in inputs:
        if is_url(text):
            found.append(Item(name_of(place_of(text)), text))
            continue
        folder, named = split_pattern(text)
        if named:
            images = _of_pattern(folder, NamePattern(named), below=False)
        elif pattern and folder.is_dir() and not is_plate(folder):
            images = next(filter(None, (_of_pattern(folder, one) for one in patterns_of(pattern))), [])
        else:
            files.append(text)
            continue
        if not images:
            raise InputError(
                f"No image in {folder} fits {named or pattern}.", "Check the folder and the pattern."
            )
        found += images
    items = {item.source: item for item in [*_of_files(find_files(files)), *found]}
    return _unique(list(items.values()))


def is_many(text: str) -> bool:
    """Say whether an input stands for several images: a folder, a pattern or a plate."""
    _, named = split_pattern(text)
    if named:
        return any(name not in AXES for name in NamePattern(named).names)
    path = Path(text).expanduser()
    if is_plate(path):
        return True
    if path.suffix == ".zarr" or path.exists():
        stored = any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zarray"))
        return path.is_dir() and not stored and not holds_slide(path)
    return "*" in text or "?" in text


def names_group(text: str) -> bool:
    """Say whether an input tells wells or slides apart: it has a placeholder or is a plate."""
    folder, named = split_pattern(text)
    return bool(named) or is_plate(folder)


def split_pattern(text: str) -> tuple[Path, str]:
    """Split a path into its folder and the pattern that begins where the first placeholder is."""
    path = Path(text).expanduser().absolute()
    if path.exists() or "{" not in text:
        return path, ""
    first = next(i for i, part in enumerate(path.parts) if "{" in part)
    return Path(*path.parts[:first]), "/".join(path.parts[first:])


def _of_files(paths: Sequence[Path]) -> list[Item]:
    """Return files as items, and plates among them as all their fields."""
    if not paths:
        return []
    base = Path(commonpath([path.parent for path in paths]))
    items = []
    for path in paths:
        name = path.relative_to(base).with_name(name_of(path)).as_posix()
        if is_plate(path):
            items += [
                Item(f"{name}/{at.place}", str(path / at.place), _known(at, name), name, at, path)
                for at in read_fields(path)
            ]
        else:
            items.append(Item(name, str(path), {}))
    return items


def _of_pattern(folder: Path, pattern: NamePattern, *, below: bool = True) -> list[Item]:
    """Return the images of a folder whose names fit a pattern; with wells, as a plate."""
    items = []
    for source, values in matched(folder, pattern, below=below).items():
        here = Path(source).parent.relative_to(folder).as_posix()
        well = values.get("well")
        row = values.get("row") or (well or "").rstrip("0123456789")
        column = values.get("column") or (well or "")[len(row) :]
        if not (row and column):
            name = "_".join(values.values()) or name_of(Path(source))
            items.append(Item(f"{here}/{name}".removeprefix("./"), source, values))
            continue
        plate = "/".join(filter(None, [here.removeprefix("."), values.get("plate")])) or folder.name
        rest = [re.sub(r"\W|_", "", value) for name, value in values.items() if name not in _PLACE]
        place = Field(_letters(row), str(int(column)), "".join([str(int(values.get("field") or 1)), *rest]))
        items.append(Item(f"{plate}/{place.place}", source, {**values, **_known(place, plate)}, plate, place))
    return items


def _known(place: Field, plate: str) -> dict[str, str]:
    return {"plate": plate, "well": place.well, "field": place.name}


def _letters(row: str) -> str:
    """Return the name of a row: its letters, also where it is a number (1 is A, 27 is AA)."""
    if not row.isdigit():
        return row.upper()
    number, letters = int(row), ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _unique(items: list[Item]) -> list[Item]:
    """Tell images of one key apart by the ending of their file, else by a number."""
    times = Counter(item.key for item in items)
    seen: Counter[str] = Counter()
    result = []
    for item in items:
        key = item.key
        if times[key] > 1 and item.place is None:
            key += Path(item.source).suffix
        seen[key] += 1
        if seen[key] > 1 and item.place is not None:
            raise InputError(
                f"{item.source} and another image are both {item.key}.",
                "Give a pattern that tells them apart, or one input less.",
            )
        result.append(replace(item, key=key if seen[key] == 1 else f"{key} ({seen[key]})"))
    return result
