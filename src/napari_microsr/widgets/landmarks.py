"""Landmarks: the same places marked on a field and on its overview, in two Points layers."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Points
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix
from napari_microsr.widgets.landmark_fit import fit_points
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_layers import plane_to_world
from napari_microsr.widgets.solo import Solo

if TYPE_CHECKING:
    import napari

#: Size of a mark, as a share of the field's shorter side.
_SIZE = 0.03
_LOOKS = (("field", "cross", "#56B4E9"), ("overview", "x", "#F0E442"))


class Landmarks(QObject):
    """Two Points layers, in pixels of the field and of the overview, that are filled in turn.

    The marks of the field have the transform of its layer, so that they move with it.

    Attributes
    ----------
    name : str or None
        The field whose landmarks are being set.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        To which the layers are added.
    layers : PlacedLayers
        The layers of fields and overviews.
    parent : QObject
        Ends with it.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", layers: PlacedLayers, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._layers = viewer, layers
        self.name: str | None = None
        self._images: list[Image] = []
        self._marks: list[Points] = []
        self._counts = [0, 0]
        self._solo, self._others = Solo(viewer), Solo(viewer)
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._next)

    def begin(self, name: str, field: Image, overview: Image) -> None:
        """Add the layers, empty, and let the user mark the field first.

        Parameters
        ----------
        name : str
            Of the field.
        field, overview : napari.layers.Image
            On which the marks are set.
        """
        self.end()
        self.name, self._images, self._counts = name, [field, overview], [0, 0]
        self._others.hide(layer for layer in self._layers.above_overviews() if layer is not field)
        world = _SIZE * float(np.ptp(field.extent.world[:, -2:], axis=0).min())
        for image, (where, symbol, colour) in zip(self._images, _LOOKS, strict=True):
            to_world = plane_to_world(image)
            marks = self._viewer.add_points(
                np.empty((0, 2)),
                name=f"{name}: landmarks on the {where}",
                affine=to_world,
                units=overview.units[-2:],
                axis_labels=overview.axis_labels[-2:],
                size=world / np.sqrt(abs(np.linalg.det(to_world[:2, :2]))),
                symbol=symbol,
                face_color=colour,
                border_color="black",
                features={"label": np.empty(0, str)},
                text={"string": "{label}", "size": 11, "color": colour, "anchor": "upper_left"},
            )
            marks.events.data.connect(self._set)
            self._marks.append(marks)
        self._next()

    def end(self) -> None:
        """Take the layers away."""
        for marks in self._marks:
            if marks in self._viewer.layers:
                self._viewer.layers.remove(marks)
        self._solo.restore()
        self._others.restore()
        self.name, self._images, self._marks = None, [], []

    @property
    def present(self) -> bool:
        """Whether both layers are there."""
        return bool(self._marks) and all(marks in self._viewer.layers for marks in self._marks)

    def follow(self) -> None:
        """Move the marks with their images."""
        for image, marks in zip(self._images, self._marks, strict=True):
            marks.affine = plane_to_world(image)

    def fit(self, *, affine: bool = False) -> tuple[Matrix, NDArray[np.float64]]:
        """Return the placement through the marks, and how far each lies off it in units of the world.

        Raises
        ------
        InputError
            If the layers are gone, or the marks do not determine a placement.
        """
        if not self.present:
            raise InputError("There are no landmarks.", "Press Landmarks and mark places on both images.")
        field, overview = (np.asarray(marks.data, float)[:, -2:] for marks in self._marks)
        matrix, residuals = fit_points(field, overview, affine=affine)
        to_world = plane_to_world(self._images[1])
        residuals = residuals * np.sqrt(abs(np.linalg.det(to_world[:2, :2])))
        for marks in self._marks:
            labels = [f"{n}: {r:.2g}" for n, r in enumerate(residuals, 1)]
            marks.features = {"label": np.array(labels)}
        return matrix, residuals

    def _set(self, _event: Any) -> None:
        counts = [len(marks.data) for marks in self._marks]
        if counts == self._counts:
            return
        if sum(counts) > sum(self._counts):
            # Later: napari is still busy with the click that set the mark.
            self._turn.start()
        self._counts = counts
        for marks in self._marks:
            labels = [str(n) for n in range(1, len(marks.data) + 1)]
            marks.features = {"label": np.array(labels, dtype=str)}

    def _next(self) -> None:
        """Let the user mark the image that has fewer marks, the field first; it hides the overview."""
        if not self.present:
            return
        below = len(self._marks[0].data) > len(self._marks[1].data)
        if below:
            self._solo.hide([self._images[0]])
        else:
            self._solo.restore()
        behind = self._marks[below]
        self._viewer.layers.selection.active = behind
        behind.mode = "add"
