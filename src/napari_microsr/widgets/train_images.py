"""Choose the images of a training: a folder, a file, or layers of the viewer."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, MicroSRError
from napari_microsr.superres.image_kind import ImageKind, look_at
from napari_microsr.superres.images import Given
from napari_microsr.widgets.evaluate_figures import narrow
from napari_microsr.widgets.evaluate_layers import OptionalLayerPicker
from napari_microsr.widgets.form import ChoiceBox, Labels, form_layout, tooltip
from napari_microsr.widgets.layers import source_from_layer

if TYPE_CHECKING:
    from napari.layers import Image

FILES, LAYERS = "Folder or file", "Layers of the viewer"
_MADE = "is made from it"
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*]+')
_TABLE_PX = 116


class LayerTable(QTableWidget):
    """Image layers with a box each and, beside it, the layer that shows the same at low resolution.

    Attributes
    ----------
    chosen : Signal
        Other layers are checked or paired.
    """

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setObjectName("layers")
        self.setAccessibleName("Layers to train on")
        self.setToolTip(
            tooltip(
                "Check the sharp images. Where another layer shows the same field at low resolution, on a "
                "grid a whole number of times coarser, choose it beside."
            )
        )
        self.setHorizontalHeaderLabels(["Sharp", "Low-resolution image"])
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(26)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.setTabKeyNavigation(False)
        self.setFixedHeight(_TABLE_PX)
        self.itemChanged.connect(lambda _: self.chosen.emit())

    def offer(self, images: "Sequence[Image]") -> None:
        """Offer these layers; what is checked and paired stays so."""
        former = dict(self._rows(checked=False))
        checked = [layer for layer, _ in self._rows(checked=True)]
        self.blockSignals(True)
        self.setRowCount(0)
        for row, layer in enumerate(images):
            self.insertRow(row)
            item = QTableWidgetItem(layer.name)
            item.setData(Qt.ItemDataRole.UserRole, layer)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if layer in checked else Qt.CheckState.Unchecked)
            self.setItem(row, 0, item)
            low = OptionalLayerPicker(f"Low-resolution image of {layer.name}, if there is one.")
            others = [other for other in images if other is not layer]
            low.offer(others, None)
            low.setItemText(0, _MADE)
            if former.get(layer) in others:
                low.setCurrentIndex(others.index(former[layer]) + 1)
            low.currentIndexChanged.connect(lambda _: self.chosen.emit())
            self.setCellWidget(row, 1, low)
        self.blockSignals(False)
        self.chosen.emit()

    def given(self) -> Given:
        """Return what is checked: sources by name, or pairs (low, high), in the order of their names.

        Raises
        ------
        InputError
            If nothing is checked, or a layer cannot be trained on.
        """
        found: dict[str, ImageSource | tuple[ImageSource, ImageSource]] = {}
        for layer, low in self._rows(checked=True):
            name, source = _NOT_IN_NAMES.sub("-", layer.name), source_from_layer(layer)
            if low is None:
                found[f"{name}.tif"] = source  # the name that `keep_images` gives the file
            else:
                found[name] = (source_from_layer(low), source)
        if not found:
            raise InputError("No layer is chosen to train on.", "Check one or several, or choose a folder.")
        return dict(sorted(found.items()))

    def _rows(self, *, checked: bool) -> "list[tuple[Image, Image | None]]":
        rows = [(self.item(row, 0), self.cellWidget(row, 1)) for row in range(self.rowCount())]
        return [
            (item.data(Qt.ItemDataRole.UserRole), low.layer)
            for item, low in rows
            if not checked or item.checkState() == Qt.CheckState.Checked
        ]


class ImagesPicker(QWidget):
    """Where the images come from, and what kind they are.

    Attributes
    ----------
    changed : Signal
        Other images are chosen.
    kind : ImageKind or None
        Of the first of them; None where there are none.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    changed = Signal()

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.kind: ImageKind | None = None
        self.where = ChoiceBox((FILES, LAYERS))
        self.where.setObjectName("where")
        narrow(self.where)
        self.where.setToolTip(tooltip("Where the images to train on come from."))
        self.path = QLineEdit()
        self.path.setObjectName("data")
        self.path.setPlaceholderText("folder of sharp images, or of pairs")
        self.path.setToolTip(
            tooltip(
                "A folder of sharp images, an image or OME-Zarr store, the folder of exported pairs, a "
                "folder with the folders low and high, or an HDF5 file of pairs."
            )
        )
        self.layers = LayerTable()
        self.note = QLabel()
        self.note.setWordWrap(True)
        rows = QWidget()
        form = form_layout(rows)
        labels.add_row(form, "Images", self.where)
        labels.add_row(form, "Folder", self._path_row())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (rows, self.layers, self.note):
            layout.addWidget(widget)
        self._form = form
        self.where.currentTextChanged.connect(self._look)
        self.path.editingFinished.connect(self._look)
        self.layers.chosen.connect(self._look)
        self._look()

    @property
    def from_layers(self) -> bool:
        """Whether layers are trained on."""
        return self.where.get() == LAYERS

    def offer(self, images: "Sequence[Image]") -> None:
        """Offer layers of the viewer."""
        self.layers.offer(images)

    def put(self, path: str) -> None:
        """Take a path as if the user had typed it."""
        self.path.setText(path)
        self._look()

    def data(self) -> Path | None:
        """Return the folder or file, None for layers.

        Raises
        ------
        InputError
            If there is none.
        """
        if self.from_layers:
            return None
        text = str(self.path.text()).strip()
        if not text:
            raise InputError("There are no images to train on.", "Choose a folder, or layers of the viewer.")
        return Path(text).expanduser().absolute()

    def given(self) -> Given | None:
        """Return the chosen layers' images, None for a folder or file.

        Raises
        ------
        InputError
            If there are none.
        """
        return self.layers.given() if self.from_layers else None

    def needed_kind(self) -> ImageKind:
        """Return what kind the first image is.

        Raises
        ------
        InputError
            If there is none, or it cannot be read.
        """
        data = self.data()
        if data is not None:
            return look_at(data)
        first = next(iter(self.layers.given().values()))
        return ImageKind.of(*reversed(first)) if isinstance(first, tuple) else ImageKind.of(first)

    def _look(self, _: object = None) -> None:
        self.layers.setVisible(self.from_layers)
        self._form.setRowVisible(1, not self.from_layers)
        self.kind, text = None, ""
        if self.from_layers or self.path.text().strip():
            try:
                self.kind = self.needed_kind()
                text = describe(self.kind)
            except MicroSRError as error:
                text = str(error)
        self.note.setText(text)
        self.note.setVisible(bool(text))
        self.changed.emit()

    def _path_row(self) -> QWidget:
        browse = QPushButton("…")
        browse.setToolTip(tooltip("Choose a folder or a file."))
        browse.setAccessibleName("Choose the images")
        browse.setMaximumWidth(32)
        menu = QMenu(browse)
        menu.addAction("Folder…", self._browse_folder)
        menu.addAction("File…", self._browse_file)
        browse.setMenu(menu)
        row = QWidget()
        row.setFocusProxy(self.path)
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.path, 1)
        line.addWidget(browse)
        return row

    def _browse_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Images to train on", self.path.text()):
            self.put(folder)

    def _browse_file(self) -> None:
        if file := QFileDialog.getOpenFileName(self, "Images to train on", self.path.text())[0]:
            self.put(file)


def describe(kind: ImageKind) -> str:
    """Say what the images are."""
    size = "" if kind.pixel_um is None else f", {kind.pixel_um:.3g} µm"
    colour = "RGB" if kind.channels == 3 else "single channels"
    if kind.factor is None:
        return f"Sharp images, {colour}{size}; low-resolution ones are made from them."
    return f"Pairs of factor {kind.factor}, {colour}{size} (low)."
