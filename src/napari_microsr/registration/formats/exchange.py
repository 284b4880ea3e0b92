"""What the formats of other programs share: they hold positions and nothing else of a registration."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix, apply, corners, parts
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements

# Corners that moved by less than this were not moved by a person: files round their numbers.
SAME_PX = 1e-6
SWAP = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=float)


def found(placements: Placements) -> Iterator[tuple[FieldPlacement, OverviewInfo, Matrix]]:
    """Yield each field that has a place, its overview and the matrix that says best where it lies.

    Raises
    ------
    InputError
        If none has.
    """
    overviews = {overview.name: overview for overview in placements.overviews}
    located = [field for field in placements.fields if field.matrix_yx is not None]
    if not located:
        raise InputError(
            f"None of the {len(placements.fields)} fields has a place on an overview.",
            "Register them, or place one by hand, before you export.",
        )
    for field in located:
        yield field, overviews[str(field.overview)], best_affine(field)


def best_affine(field: FieldPlacement) -> Matrix:
    """Return the matrix nearest to a placement over the field's area (least squares).

    It is the placement's own without a quadratic part. Of that part an affine matrix can follow only the
    mean: over the area v² has the mean (h² - 1) / (3 L²) with L the longer side, v·u none, and neither
    correlates with v or u.
    """
    assert field.matrix_yx is not None
    matrix: Matrix = field.matrix_yx.copy()
    if field.quadratic_yx is not None:
        squares = (np.array(field.shape_yx, float) ** 2 - 1) / (3 * max(field.shape_yx) ** 2)
        matrix[:2, 2] += field.quadratic_yx[:, 0] * squares[0] + field.quadratic_yx[:, 2] * squares[1]
    return matrix


def pixel_um(overview: OverviewInfo) -> float:
    """Return the size of an overview pixel; where it is unknown a pixel is the unit of length."""
    return overview.um or 1.0


def field_pixel_um(field: FieldPlacement, overview: OverviewInfo) -> float:
    """Return the size of a field pixel in the units of `pixel_um`.

    Raises
    ------
    InputError
        If the field has neither a pixel size nor a place.
    """
    if field.field_um is not None and overview.um is not None:
        return field.field_um
    if field.matrix_yx is None:
        raise InputError(
            f"The pixel size of the field {field.name} is not known.", "Register it with its pixel size."
        )
    return pixel_um(overview) * parts(field.matrix_yx).scale


def imported(known: Placements, matrices: Mapping[str, tuple[str | None, Matrix]], path: Path) -> Placements:
    """Lay the fields where a file says they are.

    A field that lies where it lay before stays as it is, with its verdict; one that was moved becomes a
    placement by hand without a verdict, and a locked one stays. Fields that the file does not name stay.

    Parameters
    ----------
    known : Placements
        To which the file belongs.
    matrices : mapping
        Name of a field to the name of its overview (None: the one that it has) and its matrix.
    path : pathlib.Path
        The file, for messages.

    Raises
    ------
    InputError
        If it names fields or overviews that are not known, or flattens a field.
    """
    names = {field.name for field in known.fields}
    if unknown := sorted(set(matrices) - names):
        raise InputError(
            f"{path} places {', '.join(unknown[:3])}, which is no field of these placements.",
            "Import it onto the placements that it was exported from.",
        )
    fields = [
        _moved(field, *matrices[field.name], known, path) if field.name in matrices else field
        for field in known.fields
    ]
    return replace(known, fields=fields)


def needed(known: Placements | None, path: Path) -> Placements:
    """Return `known`.

    Raises
    ------
    InputError
        If it was not given.
    """
    if known is None:
        raise InputError(
            f"{path} says where fields lie, but not which images they are.",
            "Import it onto the placements that it was exported from.",
        )
    return known


def _moved(
    field: FieldPlacement, overview: str | None, matrix: Matrix, known: Placements, path: Path
) -> FieldPlacement:
    overview = overview or field.overview
    info = {info.name: info for info in known.overviews}.get(overview or "")
    if info is None:
        raise InputError(
            f"{path} lays {field.name} on the overview {overview!r}, which is not known.",
            "Import it onto the placements that it was exported from.",
        )
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:2, :2])) < 1e-12:
        raise InputError(f"{path} flattens the field {field.name}.", "Export it again.")
    same = field.matrix_yx is not None and overview == field.overview
    if field.locked or (same and corner_error(field, matrix) <= SAME_PX):
        return field
    return FieldPlacement(
        name=field.name,
        path=field.path,
        overview=overview,
        shape_yx=field.shape_yx,
        status="uncertain",
        reason=f"Placed by {path.name}; refine it from here to score it.",
        matrix_yx=matrix,
        field_um=info.um and info.um * parts(matrix).scale,
        manual=True,
    )


def corner_error(field: FieldPlacement, matrix: Matrix) -> float:
    """Return how far a matrix lays the field's corners from where they lie, in overview pixels."""
    points = corners(field.shape_yx)
    return float(np.hypot(*(apply(matrix, points) - apply(best_affine(field), points)).T).max())


def lost(placements: Placements) -> list[str]:
    """Say what a format with one matrix per field loses."""
    names = [field.name for field in placements.fields if field.quadratic_yx is not None]
    if not names:
        return []
    return [f"The quadratic part of {len(names)} placements is left out: the format holds a matrix only."]
