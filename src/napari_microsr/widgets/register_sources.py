"""Choose which layers are overviews and which are fields, and a folder of fields."""

from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_microsr.core.placement import UM_PER_UNIT, unit_symbol
from napari_microsr.errors import InputError
from napari_microsr.widgets.compare_views import is_view
from napari_microsr.widgets.folder_row import FolderRow
from napari_microsr.widgets.form import Labels, form_layout, tooltip
from napari_microsr.widgets.layers import source_from_layer

if TYPE_CHECKING:
    import napari

Role = Literal["overview", "field", "–"]
ROLES: tuple[Role, ...] = ("overview", "field", "–")
_ROWS_PX = 200
_SAME_SIZE = 0.99


class SourcePicker(QWidget):
    """A role for each image layer, and a folder that holds fields.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers are offered.
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    changed = Signal()

    def __init__(self, viewer: "napari.viewer.Viewer", labels: Labels) -> None:
        super().__init__()
        self._viewer = viewer
        self._chosen: dict[Image, Role] = {}
        self.boxes: dict[Image, QComboBox] = {}
        rows = QWidget()
        self._grid = QGridLayout(rows)
        self._grid.setContentsMargins(2, 2, 2, 2)
        self._grid.setColumnStretch(0, 1)
        scroll = QScrollArea()
        scroll.setWidget(rows)
        scroll.setWidgetResizable(True)
        scroll.setMaximumHeight(_ROWS_PX)
        self._empty = QLabel("Open the overview and the fields, or File > Open Sample > MicroSR.")
        self._empty.setWordWrap(True)
        line = FolderRow(
            "Folder of the fields",
            "Folder of fields, a file, or a pattern such as fields/*_40x.tif, beside layers.",
        )
        self.folder = line.edit
        self.folder.setPlaceholderText("none: only the layers marked as field")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._empty)
        layout.addWidget(scroll)
        below = QWidget()
        labels.add_row(form_layout(below), "Field folder", line)
        layout.addWidget(below)
        self._scroll = scroll
        line.chosen.connect(self.folder.setText)
        self.folder.textChanged.connect(self.changed)
        self.list_layers()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self.list_layers)

    def list_layers(self, _event: object = None) -> None:
        """Offer the image layers, the lowest first; those without a chosen role get one by pixel size."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image) and not is_view(layer)]
        self._chosen = {layer: role for layer, role in self._chosen.items() if layer in layers}
        for item in [self._grid.itemAt(i).widget() for i in range(self._grid.count())]:
            item.setParent(None)
            item.deleteLater()
        self.boxes = {}
        for row, layer in enumerate(layers):
            name, box = QLabel(layer.name), QComboBox()
            box.addItems(ROLES)
            box.setToolTip(tooltip("Overview: the slide at low magnification. Field: to be found on it."))
            box.setAccessibleName(f"Role of {layer.name}")
            box.activated.connect(partial(self._choose, layer))
            name.setToolTip(tooltip(layer.name))
            self._grid.addWidget(name, row, 0)
            self._grid.addWidget(box, row, 1)
            self.boxes[layer] = box
        self._empty.setVisible(not layers)
        self._scroll.setVisible(bool(layers))
        self._show_roles()

    def give_role(self, layer: Image, role: Role) -> None:
        """Give a layer a role as if the user had chosen it."""
        self._chosen[layer] = role
        self._show_roles()

    def _choose(self, layer: Image, _index: int) -> None:
        self.give_role(layer, self.boxes[layer].currentText())

    def _show_roles(self) -> None:
        """Layers whose role nobody chose: those of the coarsest pixels are overviews if no other one is."""
        sizes = {layer: _pixel_um(layer) for layer in self._viewer.layers if layer in self.boxes}
        coarsest, finest = max(sizes.values(), default=0.0), min(sizes.values(), default=0.0)
        many = finest < _SAME_SIZE * coarsest
        coarse = [layer for layer, size in sizes.items() if size >= _SAME_SIZE * coarsest]
        overviews = [] if "overview" in self._chosen.values() else coarse if many else coarse[:1]
        for layer, box in self.boxes.items():
            role = self._chosen.get(layer, "overview" if layer in overviews else "field")
            box.setCurrentText(role)
        self.changed.emit()

    def of_role(self, role: Role) -> list[Image]:
        """Return the layers of a role, the lowest in napari's list first."""
        return [layer for layer in self._viewer.layers if layer in self.boxes and self.role(layer) == role]

    def role(self, layer: Image) -> str:
        """Return the role of a layer."""
        return str(self.boxes[layer].currentText())

    @property
    def field_folder(self) -> Path | None:
        """What the user gave beside layers."""
        text = str(self.folder.text()).strip()
        return Path(text).expanduser() if text else None

    def overviews(self) -> list[Image]:
        """Return the overview layers.

        Raises
        ------
        InputError
            If there is none, or one is no image with y and x as its last axes.
        """
        layers = self.of_role("overview")
        if not layers:
            raise InputError(
                "There is no overview.", "Open the image of the whole slide and give it the role overview."
            )
        return [_checked(layer) for layer in layers]

    def fields(self) -> list[Image]:
        """Return the field layers.

        Raises
        ------
        InputError
            If there is neither one nor a folder, one is no such image, or the folder is not there.
        """
        layers, folder = self.of_role("field"), self.field_folder
        if folder is not None and not (folder.exists() or has_magic(str(folder))):
            raise InputError(
                f"{folder} does not exist.", "Choose another folder of fields, or leave it empty."
            )
        if not layers and folder is None:
            raise InputError(
                "There is no field.", "Give layers the role field, or choose a folder of fields."
            )
        return [_checked(layer) for layer in layers]


def _checked(layer: Image) -> Image:
    placement = source_from_layer(layer).placement
    n = len(placement.scale)
    if placement.yx != (n - 2, n - 1):
        raise InputError(
            f"The last axes of {layer.name} are not y and x.", "Transpose the layer, or name its axes right."
        )
    return layer


def _pixel_um(layer: Image) -> float:
    """Return the height of a pixel in µm, 0 where the layer does not say."""
    return float(abs(layer.scale[-2])) * UM_PER_UNIT.get(unit_symbol(str(layer.units[-2])), 0.0)
