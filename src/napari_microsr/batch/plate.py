"""Plates as OME-Zarr has them: wells in rows and columns, fields in wells.

Layout of https://ngff.openmicroscopy.org/0.5, "High-content screening metadata".
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_microsr.core.name_pattern import in_number_order
from napari_microsr.core.output import writing
from napari_microsr.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Field:
    """One field of a plate.

    Attributes
    ----------
    row, column, name : str
        Its place: folders of the plate.
    acquisition : int or None
        The run of the microscope that it comes from.
    """

    row: str
    column: str
    name: str
    acquisition: int | None = None

    @property
    def place(self) -> str:
        """Path in the plate."""
        return f"{self.row}/{self.column}/{self.name}"

    @property
    def well(self) -> str:
        """Name of its well, such as B3."""
        return f"{self.row}{self.column}"


def is_plate(path: Path) -> bool:
    """Say whether a folder is an OME-Zarr plate."""
    return path.is_dir() and isinstance(attributes(path).get("plate"), dict)


def read_fields(path: Path) -> list[Field]:
    """Return the fields of a plate, well by well in the plate's order.

    Raises
    ------
    InputError
        If the plate names a path outside itself, or no field.
    """
    try:
        fields = _fields(path)
    except (AttributeError, TypeError) as error:  # a list or a number stands where an object should
        raise InputError(
            f"The metadata of the plate {path} are damaged ({error}).", "Export it again."
        ) from error
    if not fields:
        raise InputError(f"The plate {path} has no wells.", "Choose another one.")
    return fields


def _fields(path: Path) -> list[Field]:
    fields = []
    for well in attributes(path)["plate"].get("wells") or ():
        parts = str(well.get("path", "")).split("/")
        if len(parts) != 2:
            raise InputError(
                f"The plate {path} has a well at {well.get('path')!r}, which is not ROW/COLUMN.",
                "Correct the plate's metadata.",
            )
        row, column = parts
        images = attributes(path / _checked(path, row) / _checked(path, column)).get("well", {}).get("images")
        # A well that is not there fails when its turn comes, and the others go on.
        for image in images or [{"path": "0"}]:
            name = _checked(path, str(image.get("path", "")))
            fields.append(Field(row, column, name, image.get("acquisition")))
    return fields


def _checked(plate: Path, name: str) -> str:
    # The name becomes a folder of the result.
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"The plate {plate} names a part {name!r}, which OME-Zarr does not allow.",
            "Correct the plate's metadata: rows, columns and fields have letters and digits only.",
        )
    return name


def attributes(path: Path) -> dict[str, Any]:
    """Return the OME attributes of a zarr group of version 2 or 3, empty where there is none."""
    for name in ("zarr.json", ".zattrs"):
        try:
            found = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = found.get("attributes", {}) if name == "zarr.json" and isinstance(found, dict) else found
        if isinstance(found, dict):
            inner = found.get("ome", found)
            return inner if isinstance(inner, dict) else {}
    return {}


def write_plate(path: Path, name: str, fields: Iterable[Field], source: Path | None = None) -> None:
    """Write the metadata of a plate whose images are in place, or replace them.

    Parameters
    ----------
    path : Path
        The plate, NAME.ome.zarr.
    name : str
        What it is called.
    fields : iterable of Field
        Those that are there.
    source : Path, optional
        The plate that it is made from: rows, columns and acquisitions are the same.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import yaozarrs.v05

    wells: dict[tuple[str, str], list[Field]] = {}
    for field in fields:
        wells.setdefault((field.row, field.column), []).append(field)
    if not wells:
        return
    given = attributes(source)["plate"] if source is not None else {}
    rows, columns = (
        [str(entry["name"]) for entry in given.get(key) or ()] or in_number_order({well[i] for well in wells})
        for i, key in enumerate(("rows", "columns"))
    )
    plate = {
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
            for row, column in wells
        ],
        "field_count": max(map(len, wells.values())),
        **({"acquisitions": given["acquisitions"]} if given.get("acquisitions") else {}),
    }
    with writing(path):
        for (row, column), members in wells.items():
            images = [
                {"path": f.name, **({} if f.acquisition is None else {"acquisition": f.acquisition})}
                for f in members
            ]
            _write_group(path / row / column, yaozarrs.v05.Well.model_validate({"well": {"images": images}}))
            _write_group(path / row, None)
        _write_group(path, yaozarrs.v05.Plate.model_validate({"plate": plate}))


def _write_group(folder: Path, content: Any) -> None:
    """Write the zarr.json of a group in one step, so that a reader never sees half of it."""
    ome = (
        {} if content is None else {"ome": content.model_dump(mode="json", exclude_none=True, by_alias=True)}
    )
    group = {"zarr_format": 3, "node_type": "group", "attributes": ome}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "zarr.json.partial"
    temporary.write_text(json.dumps(group, indent=1), encoding="utf-8")
    os.replace(temporary, folder / "zarr.json")
