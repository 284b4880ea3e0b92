"""Ways to see whether a field lies right: flicker, checkerboard, difference, bent, opacity by verdict."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.errors import InputError, MicroSRError
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.placement import FieldPlacement, Status
from napari_microsr.widgets.compare_pictures import bent, checkerboard, difference
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.layers import source_from_layer
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.placement_layers import plane_to_world
from napari_microsr.widgets.solo import Solo

if TYPE_CHECKING:
    import napari

View = Literal["none", "flicker", "checkerboard", "difference", "bent"]
OPACITIES: dict[Status, float] = {"placed": 1.0, "uncertain": 0.5, "not_found": 0.25}
FLICKER_MS = 500
_REDRAW_MS = 100
#: Largest difference shown, in standard deviations of the field.
_DIFFERENCE_SPAN = 3.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture of a view, and where its pixels lie in the world."""

    view: View
    name: str
    pixels: NDArray[Any]
    affine: Matrix


def is_view(layer: Image) -> bool:
    """Whether a layer is the picture of a view, and not an image of the user."""
    return bool(layer.metadata.get("microsr", {}).get("view"))


class CompareViews(QObject):
    """Shows one field against its overview, until another view is chosen.

    Attributes
    ----------
    failed : Signal
        Emitted with the MicroSRError for which a view had to end.

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

    failed = Signal(object)

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
        self._latest = Latest("microsr-compare", self)
        self._latest.done.connect(self._put)
        self._latest.failed.connect(self._fail)
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
            If the field has no place, its layer is gone, or it is not bent and should be shown so.
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

    def _needed(self) -> tuple[Image, Image, FieldPlacement]:
        """Return the layers of the field and of its overview, and where the field lies now."""
        placement = self._book.get(self._name or "")
        field = self._layers.field(self._name or "")
        overview = self._layers.overview(placement.overview if placement else None)
        matrix = None
        if placement is not None and placement.overview is not None:
            matrix = self._layers.matrix(placement.name, placement.overview)
        if placement is None or field is None or overview is None or matrix is None:
            raise InputError(f"{self._name} lies on no overview.", "Choose a field that has a place.")
        if placement.quadratic_yx is None or self._layers.is_moved(placement.name):
            placement = replace(placement, matrix_yx=matrix, quadratic_yx=None)
        if self._view == "bent" and placement.quadratic_yx is None:
            raise InputError(
                f"{self._name} is not bent: its layer shows its placement as it is.",
                "Choose a field that was placed with the transform quadratic and not moved by hand since.",
            )
        return field, overview, placement

    def _draw(self) -> None:
        """Have the picture of the view computed in the background."""
        try:
            self._latest.submit(self._drawing(*self._needed()))
        except InputError as error:
            self._fail(error)

    def _drawing(self, field: Image, overview: Image, placement: FieldPlacement) -> Callable[[], Drawn]:
        """Return what computes the picture; everything of the viewer is gathered here, in the main thread."""
        view, name = self._view, placement.name
        above, below = source_from_layer(field), source_from_layer(overview)
        field_to_world, overview_to_world = plane_to_world(field), plane_to_world(overview)

        def draw() -> Drawn:
            if view == "bent":
                picture, to_overview = bent(above, placement)
                return Drawn(view, name, picture, overview_to_world @ to_overview)
            pixels, to_field = (
                checkerboard(above) if view == "checkerboard" else difference(above, below, placement)
            )
            return Drawn(view, name, pixels, field_to_world @ to_field)

        return draw

    def _fail(self, error: MicroSRError) -> None:
        """End a view whose field, place or file has gone meanwhile."""
        self.show("none", None)
        self.failed.emit(error)

    def _put(self, drawn: Drawn) -> None:
        """Add the picture of the view, or bring it up to date."""
        if (drawn.view, drawn.name) != (self._view, self._name):
            return
        try:
            field, overview, _ = self._needed()
        except InputError as error:
            self._fail(error)
            return
        if self._picture is not None and self._picture in self._viewer.layers:
            self._picture.data, self._picture.affine = drawn.pixels, drawn.affine
            return
        active = self._viewer.layers.selection.active
        self._solo.hide([field])
        coloured = drawn.view != "difference"
        look = {"colormap": "magma", "contrast_limits": (0.0, _DIFFERENCE_SPAN)}
        self._picture = self._viewer.add_image(
            drawn.pixels,
            name=f"{drawn.name} {drawn.view}",
            affine=drawn.affine,
            units=overview.units[-2:],
            axis_labels=overview.axis_labels[-2:],
            rgb=coloured,
            metadata={"microsr": {"view": drawn.view}},
            **({} if coloured else look),
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
        self._latest.forget()
        self._solo.restore()
        self._others.restore()
        if self._picture is not None and self._picture in self._viewer.layers:
            self._viewer.layers.remove(self._picture)
        self._picture = None

    def _moved(self, name: str) -> None:
        """Follow a field that is placed anew or moved by hand."""
        if name == self._name and self._view in ("checkerboard", "difference", "bent"):
            self._redraw.start()
        placement = self._book.get(name)
        if self._by_verdict and placement is not None:
            self._fade(placement)

    def _fade(self, placement: FieldPlacement) -> None:
        layer = self._layers.field(placement.name)
        if layer is not None:
            self._opacities.setdefault(layer, layer.opacity)
            layer.opacity = OPACITIES[placement.status]
