"""The tab Zoom: the same spot of all chosen layers side by side, enlarged, with the values of its pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_microsr.errors import MicroSRError
from napari_microsr.widgets.form import CountBox, form_layout, tooltip
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.layer_sampling import Floats, Sampler
from napari_microsr.widgets.localise_render import small_button

if TYPE_CHECKING:
    import napari

#: Places along each side of a picture.
GRID = 192
_COLUMNS = 2
_SIDE_PX = 24
_WAIT_MS = 40
_CAPTION_PX = 16
_CROSS = "#ffd54a"


@dataclass(frozen=True, eq=False)
class Spot:
    """The same square of the world in several layers.

    Attributes
    ----------
    places : array of shape (GRID, GRID, 2)
        (y, x) in the world.
    samplers : list of Sampler
        The layers.
    values : list of array of shape (GRID, GRID, channels)
        Their intensities, each place that of the pixel in which it lies.
    """

    places: Floats
    samplers: list[Sampler]
    values: list[Floats]

    def told(self, row: int, column: int) -> list[tuple[str, str]]:
        """Return name, and pixel and values, of each layer at a place."""
        lines = []
        for sampler, values in zip(self.samplers, self.values, strict=True):
            here = values[row, column]
            if np.isnan(here).all():
                lines.append((sampler.name, "–"))
                continue
            y, x = np.rint(sampler.pixels_at(self.places[row, column][None])[0]).astype(int)
            numbers = " ".join(f"{value:g}" if value == int(value) else f"{value:.4g}" for value in here)
            lines.append((sampler.name, f"[{y}, {x}]: {numbers}"))
        return lines


def look_at(samplers: list[Sampler], centre: tuple[float, float], side: float) -> Spot:
    """Read a square of the world, `side` wide, from all layers."""
    steps = ((np.arange(GRID) + 0.5) / GRID - 0.5) * side
    places = np.stack(np.meshgrid(centre[0] + steps, centre[1] + steps, indexing="ij"), axis=-1)
    flat = places.reshape(-1, 2)
    values = [sampler.values(flat, order=0).reshape(GRID, GRID, -1) for sampler in samplers]
    return Spot(places, samplers, values)


class Picture(QWidget):
    """One layer's part of a spot, as large as there is room.

    Attributes
    ----------
    pointed : Signal
        The mouse is over a place; emitted with its row and column.
    """

    pointed = Signal(int, int)

    def __init__(self, name: str, colours: NDArray[np.uint8]) -> None:
        super().__init__()
        self.name = name
        self.colours = np.ascontiguousarray(colours)
        self._image = QImage(self.colours.data, GRID, GRID, 4 * GRID, QImage.Format.Format_RGBA8888)
        self._cross: tuple[int, int] | None = None
        self.setMouseTracking(True)
        self.setToolTip(tooltip(escape(name)))
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumHeight(120)

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Be square, with a line for the name."""
        return width + _CAPTION_PX

    def point(self, row: int, column: int) -> None:
        """Show a cross at a place."""
        self._cross = (row, column)
        self.update()

    def square(self) -> QRectF:
        """Return where the picture is drawn."""
        side = float(min(self.width(), self.height() - _CAPTION_PX))
        return QRectF(0, _CAPTION_PX, side, side)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Tell the place under the mouse."""
        square, at = self.square(), event.position()
        column, row = ((at.x() - square.x()) / square.width(), (at.y() - square.y()) / square.height())
        if 0 <= row < 1 and 0 <= column < 1:
            self.pointed.emit(int(row * GRID), int(column * GRID))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw name, picture and cross."""
        painter, square = QPainter(self), self.square()
        text = painter.fontMetrics().elidedText(self.name, Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(QPointF(0, _CAPTION_PX - 4), text)
        painter.drawImage(square, self._image)
        if self._cross is not None:
            painter.setPen(QPen(QColor(_CROSS), 1))
            y, x = ((place + 0.5) / GRID * square.width() for place in self._cross)
            y, x = y + square.y(), x + square.x()
            for dy, dx in ((0, 1), (1, 0)):
                for sign in (-1, 1):
                    start, stop = (QPointF(x + sign * d * dx, y + sign * d * dy) for d in (3, 9))
                    painter.drawLine(start, stop)


class ZoomTab(QWidget):
    """Where to look, the pictures, and the values under the mouse.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        On whose canvas a spot is clicked.
    layers : callable
        Returns the chosen image layers, the reference last.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", layers: Callable[[], list[Image]]) -> None:
        super().__init__()
        self._viewer, self._layers = viewer, layers
        self._centre: tuple[float, float] | None = None
        self.spot: Spot | None = None
        self.pictures: list[Picture] = []
        self.pick_button = small_button(
            "Click a spot", "Then click on the canvas; a drag still moves the view."
        )
        self.pick_button.setCheckable(True)
        self.side = CountBox(2, 512)
        self.side.put(_SIDE_PX)
        self.side.setToolTip(tooltip("How many pixels of the reference are shown from side to side."))
        rows = QWidget()
        form_layout(rows).addRow("Side (px)", self.side)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self.text = QLabel("Click a spot on the canvas; move over a picture to read its pixels.")
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.addWidget(self.pick_button)
        layout.addWidget(rows)
        layout.addWidget(self.text)
        layout.addLayout(self._grid)
        layout.addStretch(1)
        self._latest = Latest("microsr-zoom", self)
        self._latest.done.connect(self._show)
        self._latest.failed.connect(self._say)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._look)
        self.pick_button.toggled.connect(self.listen)
        self.side.valueChanged.connect(self.changed)
        viewer.dims.events.point.connect(self.changed)

    def listen(self, on: bool) -> None:
        """Begin or cease to listen to clicks on the canvas."""
        callbacks = self._viewer.mouse_drag_callbacks
        if on and self._click not in callbacks:
            callbacks.append(self._click)
        elif not on and self._click in callbacks:
            callbacks.remove(self._click)

    def show_spot(self, centre: tuple[float, float]) -> None:
        """Show a spot of the world, (y, x)."""
        self._centre = centre
        self._timer.start()

    def changed(self, _event: object = None) -> None:
        """Look at the same spot again soon."""
        if self._centre is not None:
            self._timer.start()

    def _click(self, _viewer: Any, event: Any) -> Iterator[None]:
        moved = False
        yield
        while event.type == "mouse_move":
            moved = True
            yield
        if not moved:
            y, x = event.position[-2:]
            self.show_spot((float(y), float(x)))

    def _look(self) -> None:
        layers, centre = self._layers(), self._centre
        if not layers or centre is None:
            return
        try:
            samplers = [Sampler.of(layer, self._viewer) for layer in layers]
        except MicroSRError as error:
            self._say(error)
            return
        side = self.side.get() * samplers[-1].pixel
        self._latest.submit(lambda: look_at(samplers, centre, side))

    def _show(self, spot: Any) -> None:
        self.spot = spot
        for picture in self.pictures:
            self._grid.removeWidget(picture)
            picture.deleteLater()
        shown = zip(spot.samplers, spot.values, strict=True)
        self.pictures = [Picture(sampler.name, sampler.look.colours(values)) for sampler, values in shown]
        for number, picture in enumerate(self.pictures):
            self._grid.addWidget(picture, number // _COLUMNS, number % _COLUMNS)
            picture.pointed.connect(self._point)
        self._point(GRID // 2, GRID // 2)

    def _point(self, row: int, column: int) -> None:
        """Show a place in all pictures, and the values there."""
        if self.spot is None:
            return
        for picture in self.pictures:
            picture.point(row, column)
        lines = "".join(
            f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td>{escape(told)}</td></tr>"
            for name, told in self.spot.told(row, column)
        )
        self.text.setText(f"<table>{lines}</table>")

    def _say(self, error: MicroSRError) -> None:
        self.text.setText(escape(str(error)))
