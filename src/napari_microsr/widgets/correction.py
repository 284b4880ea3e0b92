"""Placements that a person makes: a field moved by hand or by landmarks."""

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_microsr.core.placement import UM_PER_UNIT, unit_symbol
from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix, parts, similarity
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.landmarks import Landmarks
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.placement_layers import place_layer, plane_to_world
from napari_microsr.widgets.register_work import shown_file
from napari_microsr.widgets.solo import Solo

if TYPE_CHECKING:
    import napari

#: Overview pixels per field pixel where nothing is known: 40x on 4x.
_USUAL_SCALE = 0.1


class HandCorrection(QObject):
    """Lets a person move a field, and says where it lies then.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        In which it is moved.
    layers : PlacedLayers
        The layers of fields and overviews.
    book : PlacementBook
        The placements.
    parent : QObject
        Ends with it.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", layers: PlacedLayers, book: PlacementBook, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._layers, self._book = viewer, layers, book
        self._moving: Image | None = None
        self._others = Solo(viewer)
        self.landmarks = Landmarks(viewer, layers, self)

    def move(self, name: str) -> None:
        """Switch a field's layer to napari's transform mode; one without a place goes to the view's middle.

        Raises
        ------
        InputError
            If the field is locked, or it or its overview cannot be shown.
        """
        layer, _ = self.shown(name)
        self.rest()
        layer.visible = True
        # What else covers the overview here would be in the way.
        self._others.hide(other for other in self._layers.above_overviews() if other is not layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "transform"
        self._moving = layer

    def rest(self) -> None:
        """End the moving: the mouse pans and zooms again."""
        if self._moving is not None and self._moving in self._viewer.layers:
            self._moving.mode = "pan_zoom"
        self._moving = None
        self._others.restore()

    def mark(self, name: str) -> None:
        """Begin to set landmarks on a field and its overview.

        Raises
        ------
        InputError
            As `move`.
        """
        layer, overview = self.shown(name)
        layer.visible = True
        below = self._layers.overview(overview)
        assert below is not None
        self.landmarks.begin(name, layer, below)

    def fit(self, name: str, *, affine: bool) -> NDArray[np.float64]:
        """Lay a field where its landmarks say, and return their residuals in units of the world.

        Raises
        ------
        InputError
            If the field is locked, or it has no such landmarks.
        """
        layer, overview = self.shown(name)
        if self.landmarks.name != name:
            raise InputError(f"There are no landmarks on {name}.", "Press Landmarks and mark places on both.")
        matrix, residuals = self.landmarks.fit(affine=affine)
        below = self._layers.overview(overview)
        assert below is not None
        place_layer(layer, below, matrix)
        self.landmarks.follow()
        return residuals

    def here(self, name: str) -> tuple[str, Matrix]:
        """Return on which overview a field's layer lies now, and where.

        Raises
        ------
        InputError
            As `move`.
        """
        _, overview = self.shown(name)
        matrix = self._layers.matrix(name, overview)
        assert matrix is not None
        return overview, matrix

    def shown(self, name: str) -> tuple[Image, str]:
        """Return the layer of a field, added and laid into the view if need be, and its overview's name."""
        placement = self._book.get(name)
        if placement is None:
            raise InputError(f"{name} was never registered.", "Run the registration first.")
        if placement.locked:
            raise InputError(f"{name} is locked.", "Press Lock to unlock it.")
        overview = self._overview_of(placement)
        layer = self._layers.field(name)
        if layer is None:
            arguments = shown_file(placement.path)
            if arguments is None:
                raise InputError(f"The layer of {name} is gone.", "Add it again, and run.")
            layer = self._layers.add(name, arguments)
            self._layers.show(name)
        if placement.matrix_yx is None and not self._layers.is_moved(name):
            self._lay_into_view(placement, layer, overview)
        return layer, overview

    def _overview_of(self, placement: FieldPlacement) -> str:
        """Return the overview that a field lies on or, without a place, the uppermost one that is shown."""
        if self._layers.overview(placement.overview) is not None:
            return str(placement.overview)
        layers = self._viewer.layers
        names = {name: self._layers.overview(name) for name in self._layers.overview_names}
        if not names:
            raise InputError("The layer of the overview is gone.", "Add it again, and run.")
        return max(names, key=lambda name: (names[name].visible, layers.index(names[name])))  # type: ignore[union-attr]

    def _lay_into_view(self, placement: FieldPlacement, layer: Image, overview: str) -> None:
        below = self._layers.overview(overview)
        assert below is not None
        to_world = plane_to_world(below)
        middle = np.asarray(getattr(self._viewer, "scene", self._viewer).camera.center[-2:], float)
        y, x, _ = np.linalg.solve(to_world, (*middle, 1.0))
        h, w = placement.shape_yx
        matrix = similarity(
            self._scale_of(layer, below), 0.0, centre=((h - 1) / 2, (w - 1) / 2), onto=(float(y), float(x))
        )
        self._layers.lay(placement.name, overview, matrix)

    def _scale_of(self, layer: Image, overview: Image) -> float:
        """Return overview pixels per field pixel: as the pixel sizes say, or as other fields have it."""
        units = [unit_symbol(str(it.units[-1])) for it in (layer, overview)]
        if set(units) <= set(UM_PER_UNIT):
            own, below = (
                abs(it.scale[-1]) * UM_PER_UNIT[unit]
                for it, unit in zip((layer, overview), units, strict=True)
            )
            return float(own / below)
        others = [parts(p.matrix_yx).scale for p in self._book if p.matrix_yx is not None]
        return float(np.median(others)) if others else _USUAL_SCALE
