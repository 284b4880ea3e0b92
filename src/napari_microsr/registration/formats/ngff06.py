"""OME-Zarr 0.6: one scene that links each field to its overview by an exact affine transform (RFC 5).

Each image has a coordinate system `physical`, in µm where the pixel size is known; the transformations of the
scene carry the field's to the overview's. https://github.com/ome/ngff-spec/releases/tag/0.6
"""

from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import (
    best_affine,
    field_pixel_um,
    imported,
    lost,
    pixel_um,
)
from napari_microsr.registration.formats.store import (
    Item,
    embedded,
    groups,
    in_plane,
    laid,
    read_store,
    write_store,
)
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.images import Images, placed
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.streaming import layout_of

VERSION = "0.6"
SYSTEM = "physical"


class SceneLayout(Layout):
    """The metadata of one image as 0.6 wants them: axes in a named coordinate system."""

    def attributes(self) -> dict[str, Any]:
        """Return the group's attributes."""
        attributes = super().attributes()
        multiscale = attributes["ome"]["multiscales"][0]
        datasets = [
            {
                "path": dataset["path"],
                "coordinateTransformations": [
                    {
                        "type": "sequence",
                        "input": {"path": dataset["path"]},
                        "output": {"name": SYSTEM},
                        "transformations": dataset["coordinateTransformations"],
                    }
                ],
            }
            for dataset in multiscale["datasets"]
        ]
        system = {"name": SYSTEM, "axes": multiscale["axes"]}
        image = {"name": multiscale["name"], "coordinateSystems": [system], "datasets": datasets}
        return {**attributes, "ome": {"version": VERSION, "multiscales": [image]}}


def write(
    placements: Placements, path: Path, images: Images | None = None, progress: Progress | None = None
) -> list[str]:
    """Write the scene with its images.

    Returns
    -------
    list of str
        What the format cannot hold.

    Raises
    ------
    MicroSRError
        If no field has a place, an image cannot be read, or the store cannot be written.
    """
    overviews = {overview.name: overview for overview in placements.overviews}
    places = {overview.name: str(i) for i, overview in enumerate(placements.overviews)}

    def scene(items: dict[str, Item]) -> dict[str, Any]:
        links = [
            _link(entry, group, places[str(entry.overview)], overviews[str(entry.overview)], items)
            for group, entry in groups(placements).items()
            if isinstance(entry, FieldPlacement)
        ]
        return {"version": VERSION, "scene": {"coordinateTransformations": links}}

    write_store(placements, path, scene, _field_item, layout=SceneLayout, images=images, progress=progress)
    return lost(placements)


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the scene; it holds all, so `known` is not needed.

    A field whose transformation another program has changed lies where that program put it.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    placements, ome, metadata = read_store(path, VERSION)
    entries = groups(placements)
    matrices: dict[str, tuple[str | None, Matrix]] = {}
    try:
        axes = {
            group: [a["name"] for a in image["multiscales"][0]["coordinateSystems"][0]["axes"]]
            for group, image in metadata.items()
        }
        for link in ome["scene"]["coordinateTransformations"]:
            start, end = link["input"]["path"], link["output"]["path"]
            field, overview = entries[start], entries[end]
            if not isinstance(field, FieldPlacement) or not isinstance(overview, OverviewInfo):
                raise KeyError(f"{start} to {end} is not from a field to an overview")
            physical = in_plane(link["affine"], "".join(axes[start]), "".join(axes[end]))
            matrices[field.name] = overview.name, _in_pixels(physical, field, overview)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"The scene of {path} does not lay fields on overviews ({error}).", "Export it again."
        ) from error
    return imported(placements, matrices, path)


def _field_item(field: FieldPlacement, overview: OverviewInfo, source: ImageSource) -> Item:
    step = field_pixel_um(field, overview)
    source = laid(placed(source, (step, step), overview.um), _physical(field, overview))
    return Item(source, {"field": field.name, "overview": overview.name})


def _link(
    field: FieldPlacement, group: str, overview_group: str, overview: OverviewInfo, items: dict[str, Item]
) -> dict[str, Any]:
    axes, onto = (layout_of(items[key].source).axes for key in (group, overview_group))
    return {
        "type": "affine",
        "name": f"{field.name} on {overview.name}",
        "input": {"path": group, "name": SYSTEM},
        "output": {"path": overview_group, "name": SYSTEM},
        "affine": embedded(_physical(field, overview), axes, onto),
    }


def _physical(field: FieldPlacement, overview: OverviewInfo) -> Matrix:
    """Return the placement between the two systems `physical`."""
    step, um = field_pixel_um(field, overview), pixel_um(overview)
    matrix: Matrix = np.diag([um, um, 1.0]) @ best_affine(field) @ np.diag([1 / step, 1 / step, 1.0])
    return matrix


def _in_pixels(physical: Matrix, field: FieldPlacement, overview: OverviewInfo) -> Matrix:
    step, um = field_pixel_um(field, overview), pixel_um(overview)
    matrix: Matrix = np.diag([1 / um, 1 / um, 1.0]) @ physical @ np.diag([step, step, 1.0])
    return matrix
