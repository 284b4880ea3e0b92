"""Localisations as points, of a part that napari can draw."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.smlm.localizations import Localizations
from napari_microsr.widgets.layers import visible_region
from napari_microsr.widgets.localise_layers import rendered_arguments, stack_from_layer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

#: Diameter of a point in camera pixels.
_SIZE_PX = 0.5


def add_points(
    viewer: "napari.viewer.Viewer", stack: "Image | None", kept: Localizations, name: str, most: int
) -> str:
    """Show localisations as a 2D Points layer, those in view where there are too many.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where they are shown.
    stack : napari.layers.Image or None
        The layer on which they lie; None lays them at the origin, in nm.
    kept : Localizations
        The rows.
    name : str
        Of the layer; a former one of that name goes.
    most : int
        More points are never made.

    Returns
    -------
    str
        What was done, or why not.
    """
    shown = kept
    if len(kept) > most:
        shown = _in_view(viewer, stack, kept)
    if len(shown) > most:
        return (
            f"{len(shown):,} localisations are in view; more than {most:,} points would stall napari. "
            "The image shows them all: zoom in, or filter, and ask again."
        )
    for layer in [it for it in viewer.layers if it.name == name]:
        viewer.layers.remove(layer)
    viewer.add_points(
        np.column_stack([shown.y, shown.x]),
        name=name,
        size=_SIZE_PX,
        border_width=0,
        face_color="cyan",
        features={column: values for column, values in shown.columns().items() if column not in ("x", "y")},
        **_place(stack, kept.pixel_nm),
    )
    some = f" of {len(kept):,}, those in view," if len(shown) < len(kept) else ""
    return f"{len(shown):,} localisations{some} are shown as points."


def _place(stack: "Image | None", pixel_nm: float) -> dict[str, Any]:
    if stack is not None:
        return rendered_arguments(stack, 1.0)
    return {"scale": (pixel_nm,) * 2, "units": ("nm", "nm")}


def _in_view(viewer: "napari.viewer.Viewer", stack: "Image | None", kept: Localizations) -> Localizations:
    """Return the rows that the canvas shows of the stack; all where it does not show the stack."""
    region = None if stack is None else visible_region(viewer, stack, stack_from_layer(stack))
    if region is None:
        return kept
    inside = (
        (kept.y >= region.y.start - 0.5)
        & (kept.y < region.y.stop - 0.5)
        & (kept.x >= region.x.start - 0.5)
        & (kept.x < region.x.stop - 0.5)
    )
    return kept.select(inside)
