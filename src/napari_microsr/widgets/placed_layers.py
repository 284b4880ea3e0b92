"""The layers of overviews and fields, which follow the placements; and the user's hand on them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.registration.formats.exchange import best_affine
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.placement import FieldPlacement, Placements
from napari_microsr.widgets.outlines import Outlines
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.placement_layers import (
    Transform,
    matrix_between,
    place_layer,
    plane_to_world,
)

if TYPE_CHECKING:
    import napari

#: Milliseconds after a change until the outlines are drawn again; a run or a drag changes often.
_DRAW_MS = 50
#: Shift of a corner, in pixels of the overview, from which on a field counts as moved by hand.
_MOVED_PX = 1e-3


class PlacedLayers(QObject):
    """Keeps each field's layer where the book says, and notices when the user moves one.

    Attributes
    ----------
    moved : Signal
        Emitted with the name of a field whose layer was moved by hand.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers they are.
    book : PlacementBook
        The placements.
    parent : QObject
        Ends with it.
    """

    moved = Signal(str)

    def __init__(self, viewer: "napari.viewer.Viewer", book: PlacementBook, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._book = viewer, book
        self._overviews: dict[str, Image] = {}
        self._fields: dict[str, Image] = {}
        self._before: dict[str, Transform] = {}
        self._laid: set[str] = set()
        self._placing = False
        self.outlines = Outlines(viewer)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_MS)
        self._timer.timeout.connect(self.draw)
        book.changed.connect(self.show)

    def take_overview(self, name: str, layer: Image) -> None:
        """Take a layer as an overview; when it is moved, its fields go with it."""
        if self._overviews.get(name) is layer:
            return
        self._overviews[name] = layer
        for event in ("scale", "translate", "rotate", "shear", "affine"):
            getattr(layer.events, event).connect(self._overview_moved)

    def take_field(self, name: str, layer: Image) -> None:
        """Take a layer as that of a field."""
        if self._fields.get(name) is layer:
            return
        self._fields[name] = layer
        self._before[name] = Transform.of(layer)
        layer.events.affine.connect(self._field_moved)

    def overview(self, name: str | None) -> Image | None:
        """Return the layer of an overview, None where it is unknown or gone."""
        return self._present(self._overviews.get(name or ""))

    def field(self, name: str) -> Image | None:
        """Return the layer of a field, None where it has none or it is gone."""
        return self._present(self._fields.get(name))

    @property
    def overview_names(self) -> list[str]:
        """Names of the overviews whose layers are there."""
        return [name for name in self._overviews if self.overview(name) is not None]

    def above_overviews(self) -> list[Layer]:
        """Return the layers of all fields, and the outlines."""
        layers: list[Layer] = [layer for name in self._fields if (layer := self.field(name)) is not None]
        return [*layers, *([self.outlines.layer] if self.outlines.layer is not None else [])]

    def hide_lost(self) -> None:
        """Hide the fields that have no place: they lie where they do not belong."""
        for placement in self._book:
            layer = self.field(placement.name)
            if layer is not None and placement.matrix_yx is None:
                layer.visible = False

    def show_overview_of(self, name: str) -> None:
        """Of several overviews show the chosen field's with its fields: they may lie on each other."""
        chosen = self._book.get(name)
        overviews = {n: layer for n in self.overview_names if (layer := self.overview(n))}
        if chosen is None or chosen.overview not in overviews or len(overviews) < 2:
            return
        for overview, layer in overviews.items():
            layer.visible = overview == chosen.overview
        for placement in self._book:
            field = self.field(placement.name)
            if field is not None and placement.overview in overviews:
                field.visible = placement.overview == chosen.overview

    def placed(self) -> list[tuple[FieldPlacement, Image]]:
        """Return the fields that have a place on an overview that is there."""
        found = [(p, self.overview(p.overview)) for p in self._book if p.matrix_yx is not None]
        return [(placement, layer) for placement, layer in found if layer is not None]

    def matrix(self, name: str, overview: str) -> Matrix | None:
        """Return where the layers now show a field on an overview; None if one of them is gone."""
        field, below = self.field(name), self.overview(overview)
        return None if field is None or below is None else matrix_between(field, below)

    def is_moved(self, name: str) -> bool:
        """Whether the field's layer lies elsewhere than its placement says."""
        placement = self._book.get(name)
        if placement is None or placement.overview is None or placement.matrix_yx is None:
            return name in self._laid
        now = self.matrix(name, placement.overview)
        if now is None:
            return False
        corners = np.array([[0, 0, 1], [0, placement.shape_yx[1], 1], [placement.shape_yx[0], 0, 1]])
        shift = corners @ (now - best_affine(placement)).T
        return bool(np.abs(shift).max() > _MOVED_PX)

    def show(self, name: str) -> None:
        """Lay a field's layer where its placement says, or back where it was before there was one."""
        placement, layer = self._book.get(name), self.field(name)
        self._laid.discard(name)
        if layer is not None:
            below = None if placement is None else self.overview(placement.overview)
            self._placing = True
            if placement is None or placement.matrix_yx is None:
                self._before[name].restore(layer)
            elif below is not None:
                place_layer(layer, below, best_affine(placement))
                self._raise(layer, below)
            self._placing = False
        self._timer.start()

    def lay(self, name: str, overview: str, matrix_yx: Matrix) -> None:
        """Lay a field's layer on an overview before there is a placement that says so."""
        layer, below = self.field(name), self.overview(overview)
        if layer is not None and below is not None:
            self._placing = True
            place_layer(layer, below, matrix_yx)
            self._raise(layer, below)
            self._placing = False
            self._laid.add(name)

    def add(self, name: str, arguments: dict[str, Any]) -> Image:
        """Add the layer of a field; `show` lays it in its place."""
        layer = self.add_image(name, arguments)
        self.take_field(name, layer)
        return layer

    def add_image(self, name: str, arguments: dict[str, Any]) -> Image:
        """Add an image that is neither overview nor field, such as all of them merged, below the outlines."""
        layer = self._viewer.add_image(name=name, **arguments)
        if (outlines := self.outlines.layer) in self._viewer.layers:
            self._viewer.layers.move(len(self._viewer.layers) - 1, self._viewer.layers.index(outlines))
        return layer

    def adopt(self, placements: Placements, arguments: dict[str, Any]) -> None:
        """Find the layers of placements by their names, or add them.

        Parameters
        ----------
        placements : Placements
            What comes from a file.
        arguments : dict
            Arguments of `add_image` for images that no layer shows yet, by their names; None for those that
            cannot be opened.
        """
        layers = {layer.name: layer for layer in self._viewer.layers if isinstance(layer, Image)}
        for overview in placements.overviews:
            if arguments.get(overview.name) is not None:
                layers[overview.name] = self.add_image(overview.name, arguments[overview.name])
            if overview.name in layers and self.overview(overview.name) is None:
                self.take_overview(overview.name, layers[overview.name])
        for field in placements.fields:
            if arguments.get(field.name) is not None:
                self.add(field.name, arguments[field.name])
            elif field.name in layers and self.field(field.name) is None:
                self.take_field(field.name, layers[field.name])

    def draw(self) -> None:
        """Draw the outlines."""
        self._timer.stop()
        self.outlines.draw(self.placed())

    def zoom_to(self, name: str) -> None:
        """Select a field's layer and show it in the canvas; where it has none, its overview."""
        placement = self._book.get(name)
        layer = self.field(name) or self.overview(placement.overview if placement else None)
        if layer is None:
            return
        layer.visible = True
        self._viewer.layers.selection.active = layer
        self._viewer.fit_to_view(layers=[layer], margin=0.15)

    def _raise(self, layer: Image, below: Image) -> None:
        """Move a field's layer above its overview, and above the fields of coarser pixels."""
        layers, size = self._viewer.layers, _pixel_area(layer)
        others = (self._present(other) for other in self._fields.values() if other is not layer)
        coarser = [below, *(other for other in others if other is not None and _pixel_area(other) > size)]
        wanted = max(layers.index(other) for other in coarser)
        if layers.index(layer) < wanted:
            layers.move(layers.index(layer), wanted + 1)

    def _present(self, layer: Image | None) -> Image | None:
        return layer if layer is not None and layer in self._viewer.layers else None

    def _field_moved(self, event: Any) -> None:
        if self._placing:
            return
        for name, layer in self._fields.items():
            if layer is event.source:
                self.moved.emit(name)

    def _overview_moved(self, event: Any) -> None:
        for placement in list(self._book):
            if self._overviews.get(placement.overview or "") is event.source:
                self.show(placement.name)


def _pixel_area(layer: Image) -> float:
    return float(abs(np.linalg.det(plane_to_world(layer)[:2, :2])))
