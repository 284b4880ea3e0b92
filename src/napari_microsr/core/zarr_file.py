"""Images in OME-Zarr 0.1 to 0.6, and bare zarr arrays."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zarr

from napari_microsr.core.file_array import FileImage, axis_letters, level_number
from napari_microsr.core.placement import PIXEL, Placement, unit_symbol
from napari_microsr.core.remote import for_zarr
from napari_microsr.errors import InputError


def read_zarr(path: Path, level: int = 0) -> FileImage:
    """Describe a level of the first multiscale image of a zarr folder, 0 the finest.

    Raises
    ------
    InputError
        If it is no zarr folder, or has no image or no such level.
    """
    try:
        node = zarr.open(for_zarr(path), mode="r")
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is a folder without zarr metadata.", "Choose an image file or an OME-Zarr folder."
        ) from error
    if isinstance(node, zarr.Array):
        level_number(path, level, 1)
        return _bare(node)
    group = _image_group(node, path)
    attributes, multiscale = group.attrs.asdict(), _multiscales(group)[0]
    datasets = multiscale.get("datasets") or [{}]
    dataset = datasets[level_number(path, level, len(datasets))]
    array = group.get(str(dataset.get("path")))
    if not isinstance(array, zarr.Array):
        raise InputError(
            f"{path} describes an image whose pixels ({dataset.get('path')}) are not there.",
            "The folder seems incomplete: copy it again from where it was recorded.",
        )
    names, units = _axes(multiscale, array.ndim)
    ours = attributes.get("microsr")
    ours = ours if isinstance(ours, dict) else {}
    rgb = bool(ours.get("rgb", False)) and "c" in names
    scale, shift = _transform(dataset, multiscale, array.ndim)
    placed = [i for i, name in enumerate(names) if not (rgb and name == "c")]
    placement = Placement(
        tuple(names[i] for i in placed),
        tuple(units[i] for i in placed),
        tuple(scale[i] for i in placed),
        tuple(shift[i] for i in placed),
    )
    return FileImage(array, names, rgb, _exact(ours.get("placement"), placement))


def read_channels(path: Path) -> dict[str, Any] | None:
    """Return what OME-Zarr says of an image's channels ("omero": names, colours, limits), None if nothing."""
    try:
        node = zarr.open_group(for_zarr(path), mode="r")
        attributes = _image_group(node, path).attrs.asdict()
    except (FileNotFoundError, ValueError, InputError):  # an array, or no store at all
        return None
    ome = attributes.get("ome", attributes)
    found = ome.get("omero") if isinstance(ome, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("channels"), list) else None


def _bare(array: "zarr.Array[Any]") -> FileImage:
    names = getattr(array.metadata, "dimension_names", None) or ()
    letters = [str(name).lower() for name in names]
    if {"y", "x"} <= set(letters) and all(len(letter) == 1 for letter in letters):
        return FileImage(array, "".join(letters), rgb=None)
    return FileImage(array)


def _image_group(node: zarr.Group, path: Path) -> zarr.Group:
    if _multiscales(node):
        return node
    # Bio-Formats writes each image of a file into a numbered group of its own.
    first = node.get("0")
    if isinstance(first, zarr.Group) and _multiscales(first):
        return first
    raise InputError(
        f"{path} is a zarr group without an image (multiscales).",
        f"Choose one of the images inside it: {', '.join(sorted(node.keys())[:8]) or 'it has none'}.",
    )


def _multiscales(group: zarr.Group) -> list[dict[str, Any]]:
    attributes: dict[str, Any] = group.attrs.asdict()
    ome = attributes.get("ome", attributes)  # since 0.5, and before
    return list(ome.get("multiscales") or ())


def _axes(multiscale: dict[str, Any], ndim: int) -> tuple[str, list[str]]:
    """Return a letter and a unit per axis.

    Before 0.3 the axes were always t, c, z, y, x; since 0.6 they belong to a coordinate system.
    """
    systems = multiscale.get("coordinateSystems") or [{}]
    entries = multiscale.get("axes") or systems[0].get("axes") or list("tczyx"[-ndim:])
    named = [{"name": entry} if isinstance(entry, str) else entry for entry in entries]
    units = [unit_symbol(str(entry.get("unit", PIXEL))) for entry in named]
    return axis_letters(str(entry["name"]) for entry in named), units


def _transform(
    dataset: dict[str, Any], multiscale: dict[str, Any], ndim: int
) -> tuple[list[float], list[float]]:
    """Compose the transformations of the level and then those of the whole image."""
    scale, shift = [1.0] * ndim, [0.0] * ndim
    for owner in (dataset, multiscale):
        for step in _steps(owner.get("coordinateTransformations") or ()):
            if step.get("type") == "scale" and "scale" in step:
                scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
                shift = [a * float(b) for a, b in zip(shift, step["scale"], strict=True)]
            elif step.get("type") == "translation" and "translation" in step:
                shift = [a + float(b) for a, b in zip(shift, step["translation"], strict=True)]
    return scale, shift


def _steps(transformations: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield simple transformations; since 0.6 they may stand in a sequence."""
    for step in transformations:
        if step.get("type") == "sequence":
            yield from _steps(step.get("transformations") or ())
        else:
            yield step


def _exact(noted: Any, found: Placement) -> Placement:
    """Prefer the placement that this package noted, if nobody has changed the image's own since.

    It has rotation, shear and affine, for which OME-Zarr has no room.
    """
    if not isinstance(noted, dict):
        return found
    exact = Placement.from_dict(noted)
    unchanged = (exact.scale, exact.translate) == (found.scale, found.translate)
    return exact if unchanged else found
