"""The tab Watch: curves and figures of a training while it runs."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_microsr.core.epoch import Epoch, Picture
from napari_microsr.widgets.evaluate_figures import PALETTE, legend, narrow
from napari_microsr.widgets.form import CheckBox, ChoiceBox, Labels, tooltip
from napari_microsr.widgets.localise_plots import Plot
from napari_microsr.widgets.localise_render import small_button

_HEIGHT_PX, _AXIS_PX = 150, 46
#: What the second plot can show: title and column of `metrics.csv`.
FIGURES = {"PSNR (dB)": "psnr", "SSIM": "ssim"}
_NOTHING_YET = "Curves and pictures come at the end of each epoch."


class WatchTab(QWidget):
    """Curves over steps, the figures of the last epoch, and which picture is shown.

    Attributes
    ----------
    pictured : Signal
        Another picture is to be shown.
    used, looked : Signal
        The user wants to use the model; to see the pictures.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    pictured = Signal()
    used = Signal()
    looked = Signal()

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self._pictures: dict[str, Picture] = {}
        self._steps = 1
        self.text = QLabel(_NOTHING_YET)
        self.text.setWordWrap(True)
        self.loss, self.quality = Plot(height=_HEIGHT_PX), Plot("steps", height=_HEIGHT_PX)
        self.loss_legend, self.quality_legend = QLabel(), QLabel()
        for plot, key in ((self.loss, self.loss_legend), (self.quality, self.quality_legend)):
            plot.getAxis("left").setWidth(_AXIS_PX)
            key.setWordWrap(True)
        self.figure = ChoiceBox(tuple(FIGURES))
        self.figure.setToolTip(tooltip("Which figure of the held-out images is drawn; higher is better."))
        self.figure.setAccessibleName("Figure that is drawn")
        self.live = CheckBox(labels.mark("Pictures in the viewer"))
        self.live.setChecked(True)
        self.live.setToolTip(tooltip("Show input, result and truth of a held-out image as layers, live."))
        self.picture = QComboBox()
        self.picture.setToolTip(tooltip("Which held-out image is shown."))
        self.picture.setAccessibleName("Held-out image that is shown")
        self.look_button = small_button("Go to the pictures", "Bring the three layers into view.")
        self.use_button = small_button(
            "Use this model",
            "Install it and choose it in Super-resolve; of a stopped training, its last checkpoint.",
        )
        for box in (self.figure, self.picture):
            narrow(box)
        layout = QVBoxLayout(self)
        for widget in (
            self.text, self.loss, self.loss_legend, self.figure, self.quality, self.quality_legend,
            self.live, self.picture, self.look_button, self.use_button,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)
        self.figure.currentTextChanged.connect(self._draw)
        self.live.toggled.connect(lambda _: self.pictured.emit())
        self.picture.activated.connect(lambda _: self.pictured.emit())
        self.look_button.clicked.connect(lambda _: self.looked.emit())
        self.use_button.clicked.connect(lambda _: self.used.emit())
        self._offer()

    @property
    def shown(self) -> Picture | None:
        """The picture to show, None where none is wanted or there."""
        return self._pictures.get(self.picture.currentText()) if self.live.get() else None

    def begin(self, rows: list[dict[str, float]], steps: int) -> None:
        """Show the epochs of a training before it goes on; none of a new one."""
        self.rows, self._steps = list(rows), steps
        if not rows:
            self._pictures = {}
        self._offer()
        self._draw()

    def add(self, epoch: Epoch) -> None:
        """Show one more epoch."""
        self.rows.append({"step": float(epoch.step), **epoch.figures})
        self._pictures = {picture.name: picture for picture in epoch.pictures}
        self._offer()
        self._draw()
        self.pictured.emit()

    def _offer(self) -> None:
        names = list(self._pictures)
        if [self.picture.itemText(row) for row in range(self.picture.count())] != names:
            former = self.picture.currentText()
            self.picture.clear()
            self.picture.addItems(names)
            self.picture.setCurrentIndex(max(self.picture.findText(former), 0))
        for widget in (self.picture, self.look_button):
            widget.setVisible(bool(names))

    def _draw(self, _: str = "") -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        terms = [name for name in columns if name.startswith("loss_")]
        losses = {"loss": "loss"} | ({name: name[5:] for name in terms} if len(terms) > 1 else {})
        self._curves(self.loss, self.loss_legend, losses)
        figure = FIGURES[self.figure.get()]
        beside = {name: name.removeprefix(figure)[1:] for name in columns if name.startswith(f"{figure}_")}
        self._curves(self.quality, self.quality_legend, {figure: "network"} | beside)
        self.text.setText(summary(self.rows[-1], self._steps) if self.rows else _NOTHING_YET)

    def _curves(self, plot: Plot, key: QLabel, names: dict[str, str]) -> None:
        plot.clear()
        steps = column(self.rows, "step")
        for number, name in enumerate(names):
            style = Qt.PenStyle.SolidLine if number == 0 or plot is self.loss else Qt.PenStyle.DashLine
            pen = pg.mkPen(PALETTE[number % len(PALETTE)], width=2, style=style)
            # A dot each: a curve of one epoch would not be seen.
            plot.plot(
                steps, column(self.rows, name), pen=pen, connect="finite", symbol="o", symbolSize=4,
                symbolPen=None, symbolBrush=PALETTE[number % len(PALETTE)],
            )  # fmt: skip
        plot.setXRange(0, self._steps, padding=0.02)
        key.setText(legend(list(names.values())) if self.rows else "")


def column(rows: list[dict[str, float]], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a figure of all epochs, NaN where one has none."""
    return np.array([row.get(name, np.nan) for row in rows], np.float64)


def summary(row: dict[str, float], steps: int) -> str:
    """Say how good the network is after an epoch: "Step 400 of 4000: PSNR 31.20 dB (bicubic 29.81) ..."."""
    parts = []
    for title, name, unit, digits in (("PSNR", "psnr", " dB", 2), ("SSIM", "ssim", "", 4)):
        if name in row:
            beside = [f"{other.removeprefix(name)[1:]} {row[other]:.{digits}f}" for other in row
                      if other.startswith(f"{name}_")]  # fmt: skip
            parts.append(f"{title} {row[name]:.{digits}f}{unit} ({', '.join(beside)})")
    return f"Step {row['step']:.0f} of {steps}: " + ", ".join([*parts, f"loss {row.get('loss', np.nan):.4g}"])
