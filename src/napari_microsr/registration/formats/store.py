"""Stores that hold the images beside their placements: what OME-Zarr 0.5 and 0.6 share.

The images are the groups 0, 1, 2 ...: first the overviews, then the fields that have a place. The attributes
of the store hold the whole registration under `microsr`: nothing is lost where the format has no room.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.output import check_output, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import found, pixel_um
from napari_microsr.registration.formats.files import read_json
from napari_microsr.registration.formats.placements_json import from_document, to_document
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.images import Images, image_of, placed
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.streaming import store_image


@dataclass(frozen=True, eq=False)
class Item:
    """One image of a store.

    Attributes
    ----------
    source : ImageSource
        Its pixels, with the placement that the store gives them.
    provenance : dict
        Kept with the image.
    """

    source: ImageSource
    provenance: dict[str, Any]


def groups(placements: Placements) -> dict[str, FieldPlacement | OverviewInfo]:
    """Say which image is in which group of the store."""
    entries: list[FieldPlacement | OverviewInfo] = [*placements.overviews]
    entries += [field for field, _, _ in found(placements)]
    return {str(i): entry for i, entry in enumerate(entries)}


def write_store(
    placements: Placements,
    path: Path,
    ome: Callable[[dict[str, Item]], dict[str, Any]],
    field_item: Callable[[FieldPlacement, OverviewInfo, ImageSource], Item],
    *,
    layout: type[Layout] = Layout,
    images: Images | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the images and then the metadata, beside the store's place; move it there when it is complete.

    Parameters
    ----------
    placements : Placements
        What to write.
    path : pathlib.Path
        The store; it must not exist.
    ome : callable
        From the images by group to the store's OME metadata.
    field_item : callable
        From a field, its overview and the field's image to what is stored of it.
    layout : type
        Metadata of each image.
    images, progress
        As in `write_placements`.

    Raises
    ------
    MicroSRError
        If an image cannot be read, or the store not written.
    Cancelled
        If the progress asked to stop; nothing is left.
    """
    check_output(path, restart=False)
    overviews = {overview.name: overview for overview in placements.overviews}

    def item(entry: FieldPlacement | OverviewInfo) -> Item:
        source = image_of(entry, images)
        if isinstance(entry, OverviewInfo):
            return Item(placed(source, (pixel_um(entry),) * 2, entry.um), {"overview": entry.name})
        return field_item(entry, overviews[str(entry.overview)], source)

    items = {group: item(entry) for group, entry in groups(placements).items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        for group, one in items.items():
            written = store_image(
                one.source,
                partial / f"{group}.zarr",
                progress or SilentProgress(),
                fingerprint={},
                provenance=one.provenance,
                layout=layout,
            )
            with writing(path):
                written.rename(partial / group)
        attributes = {"ome": ome(items), "microsr": {"placements": to_document(placements)}}
        node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        with writing(path):
            (partial / "zarr.json").write_text(json.dumps(node, indent=1), encoding="utf-8")
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_store(path: Path, version: str) -> tuple[Placements, dict[str, Any], dict[str, dict[str, Any]]]:
    """Read the registration that a store holds, and the OME metadata of the store and its images.

    Raises
    ------
    InputError
        If it is no store of this version, is damaged, or holds no registration.
    """
    ome, ours = _attributes(path, version)
    if "placements" not in ours:
        raise InputError(
            f"{path} holds images, but no placements.", "Choose a store that was exported from placements."
        )
    placements = from_document(ours["placements"], str(path))
    return placements, ome, {group: _attributes(path / group, version)[0] for group in groups(placements)}


def laid(source: ImageSource, affine_yx: Matrix) -> ImageSource:
    """Return the image with an affine in y and x after its scale and translation, for our own reader."""
    placement = source.placement
    n = len(placement.scale)
    axes = [*placement.yx, n]
    affine = np.eye(n + 1)
    affine[np.ix_(axes, axes)] = affine_yx
    return replace(source, placement=replace(placement, affine=affine))


def embedded(matrix: Matrix, axes: str, onto: str) -> list[list[float]]:
    """Return an affine in all axes: the matrix in y and x, and each other axis as it is."""
    rows = []
    for axis in onto:
        row = [float(axis == other) for other in axes] + [0.0]
        if axis in "yx":
            for other in "yx":
                row[axes.index(other)] = float(matrix["yx".index(axis), "yx".index(other)])
            row[-1] = float(matrix["yx".index(axis), 2])
        rows.append(row)
    return rows


def in_plane(rows: list[list[float]], axes: str, onto: str) -> Matrix:
    """Return the part of an affine in y and x, the inverse of `embedded`."""
    matrix = np.eye(3)
    for i, axis in enumerate("yx"):
        row = rows[onto.index(axis)]
        matrix[i] = row[axes.index("y")], row[axes.index("x")], row[-1]
    return matrix


def _attributes(path: Path, version: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
    attributes = read_json(path / "zarr.json").get("attributes")
    ome = attributes.get("ome") if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict) or not isinstance(ome, dict) or ome.get("version") != version:
        raise InputError(f"{path} is no OME-Zarr {version} store.", "Choose the folder that was exported.")
    ours = attributes.get("microsr")
    return ome, ours if isinstance(ours, dict) else {}
