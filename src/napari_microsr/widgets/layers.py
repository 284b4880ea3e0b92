"""From napari's layers to the library: what an image layer shows, and what the canvas shows of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.core.placement import PIXEL, unit_symbol
from napari_microsr.core.tiles import Region
from napari_microsr.errors import InputError, MicroSRError

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

_LETTERS = {"time": "t", "channel": "c", "channels": "c", **{letter: letter for letter in "tczyx"}}
_PROBE_PX = 64


def source_from_layer(layer: "Layer") -> ImageSource:
    """Describe what an image layer shows, without reading it.

    Of a multiscale layer level 0 is taken. Axes have the meaning of the layer's labels where these are
    names, and else the usual one of their number: (t, (c,)) z, y, x.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.

    Raises
    ------
    InputError
        If it is not an image layer, or not an image that can be processed.
    """
    if not isinstance(layer, Image):
        raise InputError(f"{layer.name} is a layer of type {type(layer).__name__}.", "Choose an image layer.")
    array = layer.data[0] if layer.multiscale else layer.data
    image = ImageSource.from_array(array, axes=_axes(layer), rgb=layer.rgb, name=layer.name)
    return replace(image, placement=_placement(layer, image.placement.axis_labels))


def _axes(layer: Image) -> str | None:
    letters = [_LETTERS.get(label.lower(), "") for label in layer.axis_labels]
    named = all(letters) and len(set(letters)) == len(letters) and {"y", "x"} <= set(letters)
    if layer.rgb and "c" in letters:
        return None
    return "".join(letters) + ("c" if layer.rgb else "") if named else None


def _placement(layer: Image, axes: tuple[str, ...]) -> Placement:
    names = [str(unit) for unit in layer.units]
    symbols = [unit_symbol(name) for name in names]
    affine = np.asarray(layer.affine.affine_matrix, float)
    rotate, shear = np.asarray(layer.rotate, float), np.asarray(layer.shear, float)
    return Placement(
        axis_labels=axes,
        # A unit that has no symbol here keeps its name: one layer of other units than the rest makes
        # napari ignore the units of all.
        units=tuple(name if symbol == PIXEL else symbol for name, symbol in zip(names, symbols, strict=True)),
        scale=tuple(map(float, layer.scale)),
        translate=tuple(map(float, layer.translate)),
        rotate=None if np.array_equal(rotate, np.eye(len(rotate))) else rotate,
        shear=shear if shear.any() and not np.array_equal(shear, np.eye(len(shear))) else None,
        affine=None if np.array_equal(affine, np.eye(len(affine))) else affine,
    )


def as_file(source: ImageSource, path: str | None) -> ImageSource:
    """Return the same image read from the file that its layer was opened from, where that is so.

    A run from a file can be repeated by command, resumed tomorrow and spread over a cluster.

    Parameters
    ----------
    source : ImageSource
        What the layer shows.
    path : str or None
        Where the layer says that it comes from.

    Returns
    -------
    ImageSource
        The file with the layer's placement and name, or `source` itself where the layer shows something
        else than the file (one channel of it, a changed image, ...).
    """
    if path is None:
        return source
    try:
        file = open_image(path)
        if (_order(file.axes), file.rgb, file.dtype, file.array.shape) != (
            _order(source.axes), source.rgb, source.dtype, source.array.shape
        ) or not _same_pixels(file, source):  # fmt: skip
            return source
    except MicroSRError:
        # Read by another plugin, in a format that is unknown here: the layer's pixels will do.
        return source
    return replace(source, array=file.array, path=Path(path).resolve())


def file_of(layer: Image) -> str | None:
    """Return the file that a layer says it comes from; our sample says so in its metadata."""
    path = layer.source.path or layer.metadata.get("microsr", {}).get("file")
    return None if path is None else str(path)


def unchanged_file(layer: Image) -> ImageSource:
    """Return the file that a layer shows as it is.

    Raises
    ------
    InputError
        If it shows something else: then no command can repeat what is done to it.
    """
    file = as_file(source_from_layer(layer), file_of(layer))
    if file.path is None:
        raise InputError(
            f"{layer.name} is not the unchanged content of a file.",
            "Save the layer and open the file; then a command can repeat the run.",
        )
    return file


def _order(axes: str) -> str:
    """Leave out the names of axes along which frames or slices are counted: layers seldom know them."""
    return "".join(axis if axis in "cyx" else "." for axis in axes)


def _same_pixels(first: ImageSource, second: ImageSource) -> bool:
    """Compare the first, the middle and the last pixels, of the first and the last plane."""
    for plane in {0, first.n_planes - 1}:
        for part in (0.0, 0.5, 1.0):
            y, x = (
                slice(start, start + min(size, _PROBE_PX))
                for size in (first.height, first.width)
                for start in [round(part * max(size - _PROBE_PX, 0))]
            )
            if not np.array_equal(
                first.read(plane, y, x), second.read(plane, y, x), equal_nan=first.dtype.kind == "f"
            ):
                return False
    return True


def visible_region(viewer: "napari.viewer.Viewer", layer: Image, source: ImageSource) -> Region | None:
    """Return what the canvas shows of a layer, in pixels of its image.

    Returns
    -------
    Region or None
        None in 3D, where other axes than y and x are shown, or where nothing of the layer is in view.
    """
    yx = source.placement.yx
    shown = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or sorted(shown) != sorted(yx):
        return None
    step = layer.downsample_factors[layer.data_level] if layer.multiscale else np.ones(layer.ndim)
    corners = np.asarray(layer.corner_pixels) * np.asarray(step)[: layer.ndim]
    y, x = (
        slice(max(int(corners[0, axis]), 0), min(int(corners[1, axis] + step[axis]), size))
        for axis, size in zip(yx, (source.height, source.width), strict=True)
    )
    if y.start >= y.stop or x.start >= x.stop:
        return None
    return Region(visible_plane(viewer, layer, source), y, x)


def visible_plane(viewer: "napari.viewer.Viewer", layer: Image, source: ImageSource) -> int:
    """Return the number of the plane of a layer that the sliders show, or that is next to it."""
    here = np.rint(layer.world_to_data(viewer.dims.point[-layer.ndim :])).astype(int)
    placed = [axis for axis in source.axes if not (source.rgb and axis == "c")]
    places = [
        int(np.clip(here[placed.index(axis)], 0, size - 1))
        for axis, size in zip(source.plane_axes, source.plane_shape, strict=True)
    ]
    return int(np.ravel_multi_index(places, source.plane_shape)) if places else 0
