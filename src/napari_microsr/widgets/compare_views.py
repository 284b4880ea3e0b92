"""Ways to see whether a field lies right: flicker, checkerboard, difference, opacity by verdict."""

from typing import TYPE_CHECKING, Literal

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.placement import FieldPlacement, Status
from napari_microsr.widgets.compare_pictures import checkerboard, difference
from napari_microsr.widgets.layers import source_from_layer
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.placement_layers import plane_to_world
from napari_microsr.widgets.solo import Solo

if TYPE_CHECKING:
    import napari

View = Literal["none", "flicker", "checkerboard", "difference"]
OPACITIES: dict[Status, float] = {"placed": 1.0, "uncertain": 0.5, "not_found": 0.25}
FLICKER_MS = 500
_REDRAW_MS = 100
#: Largest difference shown, in standard deviations of the field.
_DIFFERENCE_SPAN = 3.0


def is_view(layer: Image) -> bool:
    """Whether a layer is the picture of a view, and not an image of the user."""
    return bool(layer.metadata.get("microsr", {}).get("view"))


class CompareViews(QObject):
    """Shows one field against its overview, until another view is chosen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        To which the pictures are added as a layer, and from which that is taken again.
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
        self._view: View = "none"
        self._name: str | None = None
        self._solo, self._others = Solo(viewer), Solo(viewer)
        self._picture: Image | None = None
        self._opacities: dict[Image, float] = {}
        self._by_verdict = False
        self._flicker = QTimer(self)
        self._flicker.setInterval(FLICKER_MS)
        self._flicker.timeout.connect(self._blink)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._draw)
        layers.moved.connect(self._moved)
        book.changed.connect(self._moved)

    def show(self, view: View, name: str | None) -> None:
        """Show a field in a view; "none" and no field end the views.

        Raises
        ------
        InputError
            If the field has no place, or its layer is gone.
        """
        self._clear()
        self._view, self._name = ("none", None) if name is None else (view, name)
        if self._view == "none":
            return
        try:
            field, _, _ = self._needed()
        except InputError:
            self._view, self._name = "none", None
            raise
        # What else covers the overview here would be compared, too.
        self._others.hide(layer for layer in self._layers.above_overviews() if layer is not field)
        if self._view == "flicker":
            self._flicker.start()
        else:
            self._draw()

    def by_verdict(self, on: bool) -> None:
        """Show fields the fainter the less sure their placement is, or as they were before."""
        self._by_verdict = on
        if on:
            for placement in self._book:
                self._fade(placement)
            return
        for layer, opacity in self._opacities.items():
            layer.opacity = opacity
        self._opacities.clear()

    def _needed(self) -> tuple[Image, Image, Matrix]:
        """Return the layers of the field and of its overview, and the placement that they show."""
        placement = self._book.get(self._name or "")
        field = self._layers.field(self._name or "")
        overview = self._layers.overview(placement.overview if placement else None)
        matrix = None
        if placement is not None and placement.overview is not None:
            matrix = self._layers.matrix(placement.name, placement.overview)
        if field is None or overview is None or matrix is None:
            raise InputError(f"{self._name} lies on no overview.", "Choose a field that has a place.")
        return field, overview, matrix

    def _draw(self) -> None:
        """Add the picture of the view, or bring it up to date."""
        try:
            field, overview, matrix = self._needed()
            above, below = source_from_layer(field), source_from_layer(overview)
            board = self._view == "checkerboard"
            pixels, to_field = checkerboard(above) if board else difference(above, below, matrix)
        except InputError:
            # The field, its place or its file has gone meanwhile, and the view with it.
            self.show("none", None)
            return
        affine = plane_to_world(field) @ to_field
        if self._picture is not None and self._picture in self._viewer.layers:
            self._picture.data, self._picture.affine = pixels, affine
            return
        active = self._viewer.layers.selection.active
        self._solo.hide([field])
        look = {"colormap": "magma", "contrast_limits": (0.0, _DIFFERENCE_SPAN)}
        self._picture = self._viewer.add_image(
            pixels,
            name=f"{self._name} {self._view}",
            affine=affine,
            units=overview.units[-2:],
            axis_labels=overview.axis_labels[-2:],
            rgb=board,
            metadata={"microsr": {"view": self._view}},
            **({} if board else look),
        )
        if active is not None:
            self._viewer.layers.selection.active = active

    def _blink(self) -> None:
        field = self._layers.field(self._name or "")
        if field is None:
            self.show("none", None)
        elif field.visible:
            self._solo.hide([field])
        else:
            self._solo.restore()

    def _clear(self) -> None:
        self._flicker.stop()
        self._redraw.stop()
        self._solo.restore()
        self._others.restore()
        if self._picture is not None and self._picture in self._viewer.layers:
            self._viewer.layers.remove(self._picture)
        self._picture = None

    def _moved(self, name: str) -> None:
        """Follow a field that is placed anew or moved by hand."""
        if name == self._name and self._view in ("checkerboard", "difference"):
            self._redraw.start()
        placement = self._book.get(name)
        if self._by_verdict and placement is not None:
            self._fade(placement)

    def _fade(self, placement: FieldPlacement) -> None:
        layer = self._layers.field(placement.name)
        if layer is not None:
            self._opacities.setdefault(layer, layer.opacity)
            layer.opacity = OPACITIES[placement.status]
