"""Where localisations lie in the world of the stack's layer."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.core.placement import PIXEL, unit_symbol
from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.render_job import RenderJob
from napari_microsr.widgets.layers import source_from_layer
from napari_microsr.widgets.placement_layers import plane_to_world

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_microsr.core.image import ImageSource

#: Relative difference of two pixel sizes that is worth a word.
_SAME = 0.01


def stack_from_layer(layer: "Image") -> "ImageSource":
    """Describe the stack that a layer shows.

    Raises
    ------
    InputError
        If it is no image, or its last two axes are not y and x.
    """
    source = source_from_layer(layer)
    if source.axes.replace("c", "")[-2:] != "yx":
        raise InputError(
            f"{layer.name} has the axes '{source.axes}': its frames do not lie in the last two.",
            "Transpose it so that the frames come first.",
        )
    return source


def is_rendered(layer: "Image") -> bool:
    """Whether a layer was drawn of localisations or by a network, so that there are none to find in it."""
    return layer.metadata.get("microsr", {}).get("task") in (RenderJob.task, LocalizeJob.task)


def pixel_nm_of(layer: "Image") -> float | None:
    """Return the pixel size that a layer is shown with, None where it has none or not one for y and x."""
    size = source_from_layer(layer).placement.pixel_size_um
    if size is None or abs(size[0] / size[1] - 1) > _SAME:
        return None
    return round(size[1] * 1000, 6)


def pixel_size_doubt(layer: "Image", pixel_nm: float) -> str | None:
    """Say so where a layer is shown with another pixel size than the given one."""
    size = source_from_layer(layer).placement.pixel_size_um
    if size is None or max(abs(size[0] * 1000 / pixel_nm - 1), abs(size[1] * 1000 / pixel_nm - 1)) <= _SAME:
        return None
    return (
        f"The layer's pixels are {size[0] * 1000:g} × {size[1] * 1000:g} nm, the form says {pixel_nm:g} nm: "
        "positions in files follow the form, places in the viewer follow the layer."
    )


def give_pixel_size(viewer: "napari.viewer.Viewer", layer: "Image", pixel_nm: float) -> bool:
    """Show a stack in nm that is shown in pixels, and return whether that was done.

    It is left alone where other layers without a unit lie beside it, which it would leave.
    """
    units = [[unit_symbol(str(unit)) for unit in it.units[-2:]] for it in viewer.layers]
    bare = [it for it, unit in zip(viewer.layers, units, strict=True) if unit == [PIXEL, PIXEL]]
    if bare != [layer] or not np.array_equal(plane_to_world(layer), np.eye(3)):
        return False
    layer.units = (*layer.units[:-2], "nm", "nm")
    layer.scale = (*layer.scale[:-2], pixel_nm, pixel_nm)
    viewer.reset_view()
    return True


def rendered_arguments(stack: "Image", magnification: float) -> dict[str, Any]:
    """Return how a layer of finer pixels is placed that begins at the corner of the stack's first pixel.

    Parameters
    ----------
    stack : napari.layers.Image
        The stack.
    magnification : float
        Fine pixels per camera pixel.

    Returns
    -------
    dict
        Scale, translation, affine matrix, units and labels of a 2D layer.
    """
    # The centre of the first fine pixel lies half of it from the corner, which is at -1/2.
    shift = 0.5 / magnification - 0.5
    fine: Matrix = np.array([[1 / magnification, 0, shift], [0, 1 / magnification, shift], [0, 0, 1]])
    wanted = plane_to_world(stack) @ fine
    scale = np.asarray(stack.scale, float)[-2:] / magnification
    turned = wanted[:2, :2] / scale
    affine = np.eye(3)
    affine[:2, :2] = turned
    return {
        "scale": tuple(scale.tolist()),
        # The affine matrix comes last: it would turn the translation, too.
        "translate": tuple(np.linalg.solve(turned, wanted[:2, 2]).tolist()),
        "affine": affine,
        "units": tuple(stack.units[-2:]),
        "axis_labels": ("y", "x"),
    }


def stack_arguments(stack: "Image") -> dict[str, Any]:
    """Return how a layer is placed whose coordinates are the stack's array indices."""
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {name: getattr(stack, name) for name in names}
