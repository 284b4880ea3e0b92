"""ITK transform files (SimpleITK, elastix, 3D Slicer): a folder with one FIELD.tfm per field.

An ITK transform carries points of the fixed image to the moving image, in physical coordinates (x, y). Here
the overview is fixed and the field moves, so that `sitk.Resample(field, overview, transform)` lays the field
over the overview. Both images have their origin at the first pixel's centre and the spacing that the file's
comments name.
"""

import os
import shutil
from pathlib import Path

import numpy as np

from napari_microsr.core.output import check_free, writing
from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import (
    SWAP,
    field_pixel_um,
    found,
    imported,
    lost,
    needed,
    pixel_um,
)
from napari_microsr.registration.formats.files import file_stems, read_text
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


def write(placements: Placements, path: Path) -> list[str]:
    """Write the folder.

    Returns
    -------
    list of str
        What the format cannot hold.

    Raises
    ------
    InputError
        If no field has a place.
    OutputError
        If something is there already, or the folder cannot be written.
    """
    check_free(path, restart=None)
    stems = file_stems(field.name for field in placements.fields)
    texts = {stems[f.name]: _text(f, overview, matrix) for f, overview, matrix in found(placements)}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        partial.mkdir(parents=True)
        try:
            for stem, text in texts.items():
                (partial / f"{stem}.tfm").write_text(text, encoding="utf-8")
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return lost(placements)


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the folder; `known` says which fields and pixel sizes it speaks of.

    Raises
    ------
    InputError
        If it is missing or damaged, or names other fields.
    """
    known = needed(known, path)
    if not path.is_dir():
        raise InputError(f"{path} is no folder of transforms.", "Choose the folder with the .tfm files.")
    stems = file_stems(field.name for field in known.fields)
    strangers = sorted({file.stem for file in path.glob("*.tfm")} - set(stems.values()))
    if strangers:
        raise InputError(
            f"{path} holds {strangers[0]}.tfm, which is no field of these placements.",
            "Import it onto the placements that it was exported from.",
        )
    overviews = {overview.name: overview for overview in known.overviews}
    matrices = {}
    for field in known.fields:
        file = path / f"{stems[field.name]}.tfm"
        if not file.exists():
            continue
        name = _comment(read_text(file), "overview") or field.overview
        if name not in overviews:
            raise InputError(f"{file} lies on an unknown overview.", "Import it onto its own placements.")
        matrices[field.name] = (name, _matrix(file, field, overviews[name]))
    return imported(known, matrices, path)


def _text(field: FieldPlacement, overview: OverviewInfo, matrix: Matrix) -> str:
    um, field_um = pixel_um(overview), field_pixel_um(field, overview)
    to_field = _spaced(field_um) @ SWAP @ np.linalg.inv(matrix) @ SWAP @ np.linalg.inv(_spaced(um))
    numbers = [*to_field[:2, :2].ravel(), *to_field[:2, 2]]
    unit = "um" if overview.um else "pixel of the overview"
    return "\n".join(
        [
            "#Insight Transform File V1.0",
            f"# overview: {overview.name}",
            f"# field: {field.name}",
            f"# spacing of the overview: {um!r} {unit}",
            f"# spacing of the field: {field_um!r} {unit}",
            "#Transform 0",
            "Transform: AffineTransform_double_2_2",
            f"Parameters: {' '.join(repr(float(number)) for number in numbers)}",
            "FixedParameters: 0 0",
            "",
        ]
    )


def _matrix(file: Path, field: FieldPlacement, overview: OverviewInfo) -> Matrix:
    """Return the placement that a transform about a centre describes: T(p) = A (p - c) + c + t."""
    text = read_text(file)
    try:
        entries = dict(line.split(":", 1) for line in text.splitlines() if line and line[0] != "#")
        kind = entries["Transform"].strip()
        numbers = np.array(entries["Parameters"].split(), float)
        centre = np.array(entries["FixedParameters"].split(), float)
        linear, shift = numbers[:4].reshape(2, 2), numbers[4:].reshape(2)
        to_field = np.eye(3)
        to_field[:2, :2], to_field[:2, 2] = linear, shift + centre - linear @ centre
        inverse = np.linalg.inv(to_field)
    except (ValueError, KeyError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"{file} is no affine ITK transform of two dimensions ({error}).",
            "Write it as AffineTransform_double_2_2.",
        ) from error
    if kind != "AffineTransform_double_2_2":
        raise InputError(f"{file} is a {kind}.", "Write it as AffineTransform_double_2_2.")
    um, field_um = pixel_um(overview), field_pixel_um(field, overview)
    matrix: Matrix = np.linalg.inv(_spaced(um)) @ SWAP @ inverse @ SWAP @ _spaced(field_um)
    matrix[2] = 0, 0, 1
    return matrix


def _comment(text: str, key: str) -> str | None:
    start = f"# {key}: "
    return next((line.removeprefix(start) for line in text.splitlines() if line.startswith(start)), None)


def _spaced(um: float) -> Matrix:
    return np.diag([um, um, 1.0])
