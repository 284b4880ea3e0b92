"""Click on the overview, and see which fields show that spot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_microsr.registration.formats.exchange import best_affine
from napari_microsr.registration.geometry import parts
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_layers import plane_to_world

if TYPE_CHECKING:
    import napari


@dataclass(frozen=True, eq=False)
class Hit:
    """A field that shows the spot.

    Attributes
    ----------
    placement : FieldPlacement
        The field's.
    zoom : float
        How many times finer it is than the overview.
    """

    placement: FieldPlacement
    zoom: float


def fields_at(layers: PlacedLayers, world_yx: tuple[float, float]) -> list[Hit]:
    """Return the fields that cover a spot of the world, the finest first.

    Parameters
    ----------
    layers : PlacedLayers
        The placed fields with their overviews.
    world_yx : tuple of float
        The spot.
    """
    hits = []
    for placement, overview in layers.placed():
        matrix = best_affine(placement)
        y, x, _ = np.linalg.solve(plane_to_world(overview) @ matrix, (*world_yx, 1.0))
        if -0.5 <= y <= placement.shape_yx[0] - 0.5 and -0.5 <= x <= placement.shape_yx[1] - 0.5:
            hits.append(Hit(placement, 1 / parts(matrix).scale))
    return sorted(hits, key=lambda hit: -hit.zoom)


class Locator(QObject):
    """Listens to clicks on the canvas while it is on; a drag still moves the view.

    Attributes
    ----------
    located : Signal
        Emitted with the list of `Hit` of a click.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose canvas it is.
    layers : PlacedLayers
        The placed fields.
    parent : QObject
        Ends with it.
    """

    located = Signal(object)

    def __init__(self, viewer: "napari.viewer.Viewer", layers: PlacedLayers, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._layers = viewer, layers

    def listen(self, on: bool) -> None:
        """Begin or cease to listen."""
        callbacks = self._viewer.mouse_drag_callbacks
        if on and self._click not in callbacks:
            callbacks.append(self._click)
        elif not on and self._click in callbacks:
            callbacks.remove(self._click)

    def _click(self, _viewer: Any, event: Any) -> Iterator[None]:
        moved = False
        yield
        while event.type == "mouse_move":
            moved = True
            yield
        if not moved:
            y, x = event.position[-2:]
            self.located.emit(fields_at(self._layers, (float(y), float(x))))
