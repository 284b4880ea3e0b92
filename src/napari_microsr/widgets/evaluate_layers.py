"""Which layers are compared: results, the reference, and perhaps the input."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_microsr.errors import InputError
from napari_microsr.widgets.form import Labels, form_layout, tooltip
from napari_microsr.widgets.layer_picker import LayerPicker

if TYPE_CHECKING:
    from napari.layers import Image

NONE = "none"
_LIST_PX = 92


class OptionalLayerPicker(LayerPicker):
    """Offers image layers, and none of them."""

    def offer(self, images: "Sequence[Image]", active: object) -> bool:
        """Offer these layers; without a former choice it is none."""
        chosen = self.layer
        self.blockSignals(True)
        self.clear()
        self.addItem(NONE, None)
        for layer in images:
            self.addItem(layer.name, layer)
        self.setCurrentIndex(images.index(chosen) + 1 if chosen in images else 0)
        self.blockSignals(False)
        return self.layer is not chosen


class ResultList(QListWidget):
    """Image layers with a box each; those of the reference's size are checked where the user did not choose.

    Attributes
    ----------
    changed : Signal
        Other ones are checked.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("results")
        self.setAccessibleName("Results")
        self.setToolTip(tooltip("Layers to judge: check one or several."))
        self.setMaximumHeight(_LIST_PX)
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self._wanted: dict[Image, bool] = {}
        self.itemChanged.connect(self._toggled)

    @property
    def layers(self) -> "list[Image]":
        """The checked layers, from the top of the list."""
        items = (self.item(row) for row in range(self.count()))
        checked = [item for item in items if item.checkState() == Qt.CheckState.Checked]
        return [item.data(Qt.ItemDataRole.UserRole) for item in checked]

    def offer(self, images: "Sequence[Image]", reference: "Image | None") -> None:
        """Offer these layers; what the user checked or unchecked stays so."""
        self._wanted = {layer: wanted for layer, wanted in self._wanted.items() if layer in images}
        self.blockSignals(True)
        self.clear()
        for layer in images:
            fits = reference is not None and _size(layer) == _size(reference)
            item = QListWidgetItem(layer.name)
            item.setData(Qt.ItemDataRole.UserRole, layer)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            checked = self._wanted.get(layer, fits)
            item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.blockSignals(False)
        self.changed.emit()

    def _toggled(self, item: QListWidgetItem) -> None:
        layer = item.data(Qt.ItemDataRole.UserRole)
        self._wanted[layer] = item.checkState() == Qt.CheckState.Checked
        self.changed.emit()


class LayerChoice(QWidget):
    """The three choices.

    Attributes
    ----------
    changed : Signal
        Other layers are chosen.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    changed = Signal()

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self._images: list[Image] = []
        self.reference_box = LayerPicker("The truth: an image of the pixels that the results should have.")
        self.results = ResultList()
        self.input_box = OptionalLayerPicker(
            "The image that the results were made from. It, its enlargements and its sharpened forms are "
            "measured beside them."
        )
        rows = form_layout(self)
        labels.add_row(rows, "Reference", self.reference_box)
        labels.add_row(rows, "Results", self.results)
        labels.add_row(rows, "Input", self.input_box)
        self.reference_box.currentIndexChanged.connect(self._chosen)
        self.input_box.currentIndexChanged.connect(self._chosen)
        self.results.changed.connect(self.changed)

    def offer(self, images: "Sequence[Image]", active: object) -> None:
        """Offer the image layers of the viewer."""
        self._images = list(images)
        self.reference_box.offer(images, active)
        self.input_box.offer(images, None)
        self._chosen()

    @property
    def layers(self) -> "list[Image]":
        """All chosen layers: input, results and reference."""
        chosen = [self.input_box.layer, *self.results.layers, self.reference_box.layer]
        return [layer for layer in chosen if layer is not None]

    def needed(self) -> "tuple[list[Image], Image, Image | None]":
        """Return results, reference and input.

        Raises
        ------
        InputError
            If there is no reference or no result.
        """
        reference, results = self.reference_box.layer, self.results.layers
        if reference is None:
            raise InputError("There is no image layer.", "Open the results and the truth.")
        if not results:
            raise InputError("No result is chosen.", "Check one or several layers to judge.")
        return results, reference, self.input_box.layer

    def _chosen(self, _index: int = 0) -> None:
        taken = (self.reference_box.layer, self.input_box.layer)
        others = [layer for layer in self._images if not any(layer is it for it in taken)]
        self.results.offer(others, self.reference_box.layer)


def _size(layer: "Image") -> tuple[int, ...]:
    shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
    return tuple(int(size) for size in shape)
