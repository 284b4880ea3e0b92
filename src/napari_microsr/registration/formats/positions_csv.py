"""A table of positions: one row per field, for spreadsheets and microscope stages.

A field's linear part is a rotation after a shear and two scales, R(rotation) @ [[scale_y, 0], [shear,
scale_x]]: every matrix has these four numbers, and a mirrored field has a negative scale_x.
"""

import csv
import io
from math import atan2, cos, degrees, hypot, radians, sin
from pathlib import Path

import numpy as np

from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import best_affine, imported, lost, needed
from napari_microsr.registration.formats.files import read_text, write_text
from napari_microsr.registration.geometry import Matrix, apply
from napari_microsr.registration.placement import FieldPlacement, Placements

COLUMNS = (
    "name", "path", "overview", "status", "y_px", "x_px", "y_um", "x_um", "rotation_deg", "scale_y",
    "scale_x", "shear", "field_um", "score", "expected_error_um", "reason",
)  # fmt: skip
PLACE = ("y_px", "x_px", "rotation_deg", "scale_y", "scale_x", "shear")


def write(placements: Placements, path: Path) -> list[str]:
    """Write the table.

    y and x are the field's centre on the overview, counted from the centre of the overview's first pixel;
    the columns of place are empty for a field that was not found.

    Returns
    -------
    list of str
        What the format cannot hold.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    um = {overview.name: overview.um for overview in placements.overviews}
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    table.writeheader()
    for field in placements.fields:
        table.writerow(_row(field, um.get(field.overview or "")))
    write_text(path, stream.getvalue())
    return lost(placements)


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the table; `known` says which fields it speaks of.

    Name, overview, y_px, x_px, rotation, scales and shear count; the other columns are for people.

    Raises
    ------
    InputError
        If it is missing or damaged, or names other fields.
    """
    known = needed(known, path)
    shapes = {field.name: field.shape_yx for field in known.fields}
    matrices: dict[str, tuple[str | None, Matrix]] = {}
    table = csv.DictReader(io.StringIO(read_text(path)))
    if absent := {"name", "overview", *PLACE} - set(table.fieldnames or ()):
        raise InputError(
            f"The table {path} has no column {', '.join(sorted(absent))}.", "Choose an exported table."
        )
    for row in table:
        if not any(row[key] for key in PLACE):
            continue
        try:
            numbers = {key: float(row[key]) for key in PLACE}
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Line {table.line_num} of {path} has a place that is no number.",
                f"Fill all of {', '.join(PLACE)}, or none of them.",
            ) from error
        shape = shapes.get(row["name"], (1, 1))
        matrices[row["name"]] = (row["overview"] or None, _matrix(numbers, shape))
    return imported(known, matrices, path)


def _row(field: FieldPlacement, um: float | None) -> dict[str, object]:
    row: dict[str, object] = {key: getattr(field, key) for key in COLUMNS if hasattr(field, key)}
    if field.matrix_yx is None:
        return row
    matrix = best_affine(field)
    (a, b), (c, d) = matrix[:2, :2].tolist()
    # Turned back, the field's x axis lies along x: (b, d) = scale_x * (-sin, cos), and up to a half turn.
    sign = -1.0 if a * d - b * c < 0 else 1.0
    rotation = atan2(-b * sign, d * sign)
    turn = np.array([[cos(rotation), -sin(rotation)], [sin(rotation), cos(rotation)]])
    triangle = turn.T @ matrix[:2, :2]
    y, x = apply(matrix, _centre(field.shape_yx)).tolist()
    row |= {"y_px": y, "x_px": x, "rotation_deg": degrees(rotation)}
    row |= {"scale_y": float(triangle[0, 0]), "scale_x": sign * hypot(b, d), "shear": float(triangle[1, 0])}
    if um is not None:
        row |= {"y_um": y * um, "x_um": x * um}
    return row


def _matrix(numbers: dict[str, float], shape_yx: tuple[int, int]) -> Matrix:
    rotation = radians(numbers["rotation_deg"])
    turn = np.array([[cos(rotation), -sin(rotation)], [sin(rotation), cos(rotation)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn @ [[numbers["scale_y"], 0], [numbers["shear"], numbers["scale_x"]]]
    matrix[:2, 2] = [numbers["y_px"], numbers["x_px"]] - matrix[:2, :2] @ _centre(shape_yx)
    return matrix


def _centre(shape_yx: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return (np.array(shape_yx, float) - 1) / 2
