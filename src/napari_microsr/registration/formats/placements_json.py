"""Our own file of placements: everything that a registration returns, exact to the bit."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats.files import read_json, write_text
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements

FORMAT = 1
CONVENTION = "matrix_yx carries a field pixel (y, x, 1) to an overview pixel; pixel centres lie at integers"

Pixels = Annotated[int, Field(ge=1)]
Triple = tuple[float, float, float]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Overview(_Entry):
    name: str
    path: str | None = None
    shape_yx: tuple[Pixels, Pixels]
    um: Annotated[float, Field(gt=0)] | None = None


class _Field(_Entry):
    name: str
    path: str | None = None
    overview: str | None = None
    shape_yx: tuple[Pixels, Pixels]
    status: Literal["placed", "uncertain", "not_found"]
    reason: str = ""
    score: float = 0.0
    agreement: float = 0.0
    inliers: int = 0
    expected_error_um: float | None = None
    matrix_yx: tuple[Triple, Triple, Triple] | None = None
    quadratic_yx: tuple[Triple, Triple] | None = None
    field_um: Annotated[float, Field(gt=0)] | None = None
    manual: bool = False
    locked: bool = False


class _Document(_Entry):
    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT
    overviews: Annotated[list[_Overview], Field(min_length=1)]
    fields: list[_Field]
    loop_um: float | None = None
    provenance: dict[str, Any] = {}


def to_document(placements: Placements) -> dict[str, Any]:
    """Return the placements as JSON can hold them.

    The key `overview` names the file of the first overview; with several, each field says which is its own.
    """
    overviews = [vars(overview) | {"shape_yx": list(overview.shape_yx)} for overview in placements.overviews]
    first = placements.overviews[0] if placements.overviews else None
    return {
        "format": FORMAT,
        "convention": CONVENTION,
        "overview": first and (first.path or first.name),
        "overviews": overviews,
        "fields": [_plain(vars(field)) for field in placements.fields],
        "loop_um": placements.loop_um,
        "provenance": placements.provenance,
    }


def from_document(document: dict[str, Any], where: str) -> Placements:
    """Return the placements that `to_document` described.

    Parameters
    ----------
    document : dict
        What was read.
    where : str
        What to call it in messages.

    Raises
    ------
    InputError
        If a key is missing or wrong, or a placement cannot be one.
    """
    try:
        parsed = _Document.model_validate(document)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(
            f"{where} holds no placements that can be used ({'; '.join(faults[:3])}{more}).",
            "Choose a file that 'microsr register' or the widget wrote, or correct these entries.",
        ) from error
    overviews = [OverviewInfo(**entry.model_dump()) for entry in parsed.overviews]
    fields = [_field(entry, {overview.name for overview in overviews}, where) for entry in parsed.fields]
    return Placements(overviews, fields, parsed.loop_um, parsed.provenance)


def write(placements: Placements, path: Path) -> list[str]:
    """Write the file.

    Returns
    -------
    list of str
        What the format cannot hold: nothing.

    Raises
    ------
    OutputError
        If it cannot be written, or a number in it is not finite.
    """
    try:
        text = json.dumps(to_document(placements), indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise OutputError(
            f"The placements for {path} hold a number that is not finite ({error}).", "Register again."
        ) from error
    write_text(path, text + "\n")
    return []


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the file; it holds all, so `known` is not needed.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    return from_document(read_json(path), str(path))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _listed(value) for key, value in values.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(map(_listed, value)) if isinstance(value, tuple) else value


def _field(entry: _Field, overviews: set[str], where: str) -> FieldPlacement:
    values = entry.model_dump()
    for key in ("matrix_yx", "quadratic_yx"):
        values[key] = None if values[key] is None else np.array(values[key], float)
    field = FieldPlacement(**values)
    fault = _fault(field, overviews)
    if fault:
        raise InputError(f"In {where} the field {field.name} {fault}.", "Register that field again.")
    return field


def _fault(field: FieldPlacement, overviews: set[str]) -> str:
    matrix = field.matrix_yx
    if matrix is None:
        return f"is {field.status} but has no matrix_yx" if field.status != "not_found" else ""
    if field.overview not in overviews:
        return f"lies on the overview {field.overview!r}, which is not listed"
    if not np.array_equal(matrix[2], [0, 0, 1]) or abs(np.linalg.det(matrix[:2, :2])) < 1e-12:
        return "has a matrix_yx that is no placement: its last row is not 0 0 1, or it flattens the field"
    return ""
