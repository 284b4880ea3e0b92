"""OME-Zarr 0.5: overviews and fields in one store, each image with its scale and translation.

The format has no rotation. A turned, mirrored or sheared field is laid with its centre and its pixel size
right and is flagged as approximate; the exact placement is kept beside it, where this package finds it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import (
    SAME_PX,
    best_affine,
    corner_error,
    imported,
    lost,
    pixel_um,
)
from napari_microsr.registration.formats.store import Item, groups, laid, read_store, write_store
from napari_microsr.registration.geometry import Matrix, apply, parts
from napari_microsr.registration.images import Images, placed
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements

VERSION = "0.5"


def write(
    placements: Placements, path: Path, images: Images | None = None, progress: Progress | None = None
) -> list[str]:
    """Write the store, a collection of images that a viewer opens side by side.

    Returns
    -------
    list of str
        What the format cannot hold.

    Raises
    ------
    MicroSRError
        If no field has a place, an image cannot be read, or the store cannot be written.
    """
    collection = {"version": VERSION, "bioformats2raw.layout": 3}
    write_store(placements, path, lambda _: collection, _field_item, images=images, progress=progress)
    located = [field for field in placements.fields if field.matrix_yx is not None]
    turned = [field for field in located if corner_error(field, upright(field)) > SAME_PX]
    if not turned:
        return lost(placements)
    note = f"{len(turned)} of {len(located)} fields are turned or sheared; other programs show them upright,"
    return [f"{note} with the centre in place.", *lost(placements)]


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the store; it holds all, so `known` is not needed.

    A field whose scale or translation another program has changed lies where that program put it.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    placements, _, metadata = read_store(path, VERSION)
    overviews = {overview.name: overview for overview in placements.overviews}
    matrices: dict[str, tuple[str | None, Matrix]] = {}
    for group, entry in groups(placements).items():
        if isinstance(entry, FieldPlacement):
            um = pixel_um(overviews[str(entry.overview)])
            matrix = _stated(metadata[group], um, path / group)
            if np.abs(matrix - upright(entry)).max() * max(entry.shape_yx) <= SAME_PX:
                matrix = best_affine(entry)
            matrices[entry.name] = entry.overview, matrix
    return imported(placements, matrices, path)


def upright(field: FieldPlacement) -> Matrix:
    """Return the nearest placement that only scales and shifts: the field's centre stays in place."""
    matrix = best_affine(field)
    linear = matrix[:2, :2]
    turned = np.abs(linear - np.diag(np.diag(linear))).max() > 1e-12 or np.diag(linear).min() <= 0
    steps = np.full(2, parts(matrix).scale) if turned else np.diag(linear)
    centre = (np.array(field.shape_yx, float) - 1) / 2
    near: Matrix = np.diag([*steps, 1.0])
    near[:2, 2] = apply(matrix, centre) - steps * centre
    return near


def _field_item(field: FieldPlacement, overview: OverviewInfo, source: ImageSource) -> Item:
    um, near, matrix = pixel_um(overview), upright(field), best_affine(field)
    steps = (float(near[0, 0]) * um, float(near[1, 1]) * um)
    source = placed(source, steps, overview.um)
    shift = list(source.placement.translate)
    for axis, moved in zip(source.placement.yx, near[:2, 2] * um, strict=True):
        shift[axis] = float(moved)
    source = replace(source, placement=replace(source.placement, translate=tuple(shift)))
    error = corner_error(field, near)
    approximate = error > SAME_PX
    if approximate:
        to_um = np.diag([um, um, 1.0])
        source = laid(source, to_um @ matrix @ np.linalg.inv(near) @ np.linalg.inv(to_um))
    flags = {"approximate": approximate, "corner_error_px": error}
    return Item(source, {"field": field.name, "overview": overview.name, **flags})


def _stated(ome: dict[str, Any], um: float, where: Path) -> Matrix:
    """Return what the scale and the translation of the finest level say, in pixels of the overview."""
    try:
        multiscale = ome["multiscales"][0]
        names = [axis["name"] for axis in multiscale["axes"]]
        steps = {step["type"]: step for step in multiscale["datasets"][0]["coordinateTransformations"]}
        scale = steps["scale"]["scale"]
        shift = steps.get("translation", {"translation": [0.0] * len(names)})["translation"]
        matrix: Matrix = np.diag([float(scale[names.index(axis)]) / um for axis in "yx"] + [1.0])
        matrix[:2, 2] = [float(shift[names.index(axis)]) / um for axis in "yx"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"The metadata of {where} does not say where its pixels lie ({error}).", "Export it again."
        ) from error
    return matrix
