"""The tab Profile: intensities along a line, of all chosen layers at the same places of the world."""

import csv as csv_files
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.layers import Image, Layer, Points, Shapes
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_microsr.core.output import whole, writing
from napari_microsr.errors import InputError, MicroSRError
from napari_microsr.widgets.evaluate_figures import PALETTE, legend, narrow
from napari_microsr.widgets.form import ChoiceBox, form_layout, tooltip
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.layer_sampling import Floats, Sampler
from napari_microsr.widgets.localise_plots import Plot
from napari_microsr.widgets.localise_render import small_button

if TYPE_CHECKING:
    import napari

CHANNELS = ("brightness", "red", "green", "blue")
_WAIT_MS = 40
_MOST_PLACES = 2000
_LINE = "profile line"
_EVENTS = ("data", "set_data", "affine", "scale", "translate", "rotate", "shear")


@dataclass(frozen=True, eq=False)
class Profile:
    """Intensities along a line.

    Attributes
    ----------
    distance : array of shape (n,)
        From the first point, in units of the world.
    unit : str
        That unit.
    values : dict of array of shape (n, channels)
        Of each layer by name; NaN beside it.
    """

    distance: Floats
    unit: str
    values: dict[str, Floats]

    def channel(self, name: str) -> dict[str, Floats]:
        """Return one of `CHANNELS` of each layer; layers without colours have only their brightness."""
        number = CHANNELS.index(name) - 1
        return {
            layer: values[:, number] if number >= 0 and values.shape[1] == 3 else values.mean(1)
            for layer, values in self.values.items()
        }


def measure(samplers: list[Sampler], ends: Floats, unit: str) -> Profile:
    """Read all layers along a line of the world, in steps of the finest pixel."""
    length = float(np.hypot(*(ends[1] - ends[0])))
    steps = length / min(sampler.pixel for sampler in samplers)
    share = np.linspace(0, 1, int(np.clip(np.ceil(steps) + 1, 2, _MOST_PLACES)))
    places = ends[0] + share[:, None] * (ends[1] - ends[0])
    return Profile(share * length, unit, {s.name: s.values(places, order=1) for s in samplers})


def line_of(layer: Layer) -> Floats:
    """Return the ends of the line that a layer holds, (2, 2) in the world.

    Raises
    ------
    InputError
        If it holds no line: the two last points of a Points layer, the last shape of a Shapes layer.
    """
    data = list(layer.data)
    vertices = (
        (np.asarray(data[-1]) if data else np.zeros((0, 2))) if isinstance(layer, Shapes) else layer.data
    )
    if len(vertices) < 2:
        raise InputError(f"{layer.name} holds no line.", "Click two points, or draw a line.")
    first, last = (0, -1) if isinstance(layer, Shapes) else (-2, -1)
    begin, end = (np.asarray(layer.data_to_world(vertices[i]), float)[-2:] for i in (first, last))
    if np.allclose(begin, end):
        raise InputError(f"The two points of {layer.name} are one.", "Move one of them.")
    return np.array([begin, end])


class ProfileTab(QWidget):
    """Choice of the line and the channel, and the curves, which follow when anything is moved.

    Attributes
    ----------
    failed : Signal
        A file could not be written; emitted with the sentence.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers they are.
    layers : callable
        Returns the chosen image layers.
    """

    failed = Signal(str)

    def __init__(self, viewer: "napari.viewer.Viewer", layers: Callable[[], list[Image]]) -> None:
        super().__init__()
        self._viewer, self._layers = viewer, layers
        self._watched: list[Layer] = []
        self.profile: Profile | None = None
        self.line = QComboBox()
        narrow(self.line)
        self.line.setToolTip(tooltip("Points or Shapes layer: the last two points, or the last shape."))
        self.line.setAccessibleName("Layer of the line")
        self.channel = ChoiceBox(CHANNELS)
        self.channel.setToolTip(tooltip("Which channel of RGB layers is drawn."))
        self.draw_button = small_button("Draw a line", "Add a line across the view; drag its ends.")
        self.plot = Plot("distance", height=240)
        self.plot.getAxis("bottom").setHeight(42)  # the descender of µ is not cut
        self.legend = QLabel("Draw a line, or click two points in a Points layer.")
        self.legend.setWordWrap(True)
        self.save_button = small_button("Save the profile…", "Distances and intensities as CSV.")
        self.save_button.setEnabled(False)
        rows = QWidget()
        form = form_layout(rows)
        form.addRow("Line", self.line)
        form.addRow("Channel", self.channel)
        layout = QVBoxLayout(self)
        for widget in (rows, self.draw_button, self.plot, self.legend, self.save_button):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._latest = Latest("microsr-profile", self)
        self._latest.done.connect(self._show)
        self._latest.failed.connect(self._say)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._measure)
        self.line.currentIndexChanged.connect(self.changed)
        self.channel.currentTextChanged.connect(self._draw)
        self.draw_button.clicked.connect(self.add_line)
        self.save_button.clicked.connect(self._save)
        viewer.dims.events.point.connect(self.changed)

    def list_lines(self) -> None:
        """Offer the viewer's layers of points and shapes; a new one is chosen."""
        chosen = self.line.currentData()
        known = [self.line.itemData(row) for row in range(self.line.count())]
        layers = [layer for layer in self._viewer.layers if isinstance(layer, (Points, Shapes))]
        new = [layer for layer in layers if layer not in known]
        self.line.blockSignals(True)
        self.line.clear()
        for layer in layers:
            self.line.addItem(layer.name, layer)
        wanted = new[-1] if new else chosen
        self.line.setCurrentIndex(layers.index(wanted) if wanted in layers else len(layers) - 1)
        self.line.blockSignals(False)
        self.changed()

    def add_line(self) -> None:
        """Add a line over the middle of the reference, or of what there is."""
        images = self._layers()
        if not images:
            self._say(InputError("There is no image layer.", "Open the results and the truth."))
            return
        world = images[-1].extent.world[:, -2:]
        middle, half = world.mean(0), (world[1] - world[0]) * (0, 0.25)
        around = list(self._viewer.dims.point[:-2])
        ends = np.array([[*around, *(middle - half)], [*around, *(middle + half)]])
        width = float(np.ptp(world, axis=0).max()) / 250
        layer = self._viewer.add_shapes(
            [ends],
            shape_type="line",
            name=_LINE,
            edge_color="#ffd54a",
            edge_width=width,
            units=_units(images[-1], ends),
        )
        layer.selected_data = {0}
        layer.mode = "direct"

    def changed(self, _event: object = None) -> None:
        """Read the layers soon; several changes in a row are one."""
        self._watch()
        self._timer.start()

    def _watch(self) -> None:
        """Listen to the line and to the layers, and no more to those of before."""
        line = self.line.currentData()
        wanted: list[Layer] = [*([] if line is None else [line]), *self._layers()]
        for layer in self._watched:
            if layer not in wanted:
                for event in _EVENTS:
                    if hasattr(layer.events, event):
                        getattr(layer.events, event).disconnect(self._moved)
        for layer in wanted:
            if layer not in self._watched:
                for event in _EVENTS:
                    if hasattr(layer.events, event):
                        getattr(layer.events, event).connect(self._moved)
        self._watched = wanted

    def _moved(self, _event: object = None) -> None:
        self._timer.start()

    def _measure(self) -> None:
        line, layers = self.line.currentData(), self._layers()
        if line is None or not layers:
            return
        try:
            ends = line_of(line)
            samplers = [Sampler.of(layer, self._viewer) for layer in layers]
        except MicroSRError as error:
            self._say(error)
            return
        unit = f"{layers[-1].units[-1]:~}" if hasattr(layers[-1].units[-1], "dimensionality") else ""
        self._latest.submit(lambda: measure(samplers, ends, unit))

    def _show(self, profile: Any) -> None:
        self.profile = profile
        self.save_button.setEnabled(True)
        self._draw()

    def _draw(self, _text: str = "") -> None:
        if self.profile is None:
            return
        self.plot.clear()
        curves = self.profile.channel(self.channel.get())
        for number, values in enumerate(curves.values()):
            pen = pg.mkPen(PALETTE[number % len(PALETTE)], width=1.5)
            self.plot.plot(self.profile.distance, values, pen=pen, connect="finite")
        self.plot.setLabel("bottom", f"distance ({self.profile.unit or 'pixel'})")
        self.legend.setText(legend(list(curves)))

    def _say(self, error: MicroSRError) -> None:
        self.profile = None
        self.save_button.setEnabled(False)
        self.plot.clear()
        self.legend.setText(str(error))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Profile", "", "Table (*.csv)")
        if not path:
            return
        try:
            self.save(Path(path) if Path(path).suffix else Path(path + ".csv"))
        except MicroSRError as error:
            self.failed.emit(str(error))

    def save(self, path: Path) -> None:
        """Write distances and the intensities of all channels.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        assert self.profile is not None
        head, columns = [f"distance [{self.profile.unit or 'pixel'}]"], [self.profile.distance]
        for name, values in self.profile.values.items():
            colours = CHANNELS[1:] if values.shape[1] == 3 else ("",)
            head += [f"{name} {colour}".strip() for colour in colours]
            columns += list(values.T)
        with writing(path), whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv_files.writer(file)
            writer.writerow(head)
            writer.writerows([f"{value:.6g}" for value in row] for row in np.column_stack(columns))


def _units(image: Image, ends: Floats) -> Any:
    """Return units for a layer of the line: those of the image, where it has as many axes."""
    return image.units if len(image.units) == ends.shape[1] else None
