"""Small plots for a narrow panel: curves, and histograms whose range is dragged."""

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_microsr.widgets.form import tooltip

#: Legible on napari's dark and light themes.
GREY = "#8a8d93"
COLOURS = ("#5aa9e6", "#f4a259")
HEIGHT_PX = 92
BINS = 80
#: A histogram spans what lies between these percentiles; the rest is counted at its ends.
_SPAN = (0.2, 99.8)
_TICKS_PX = 34

Limits = tuple[float, float]


class Plot(pg.PlotWidget):
    """A plot without mouse zoom and menus, as wide as the panel.

    Parameters
    ----------
    bottom : str
        What the horizontal axis shows.
    height : int
        Of the widget in pixels.
    """

    def __init__(self, bottom: str = "", height: int = HEIGHT_PX) -> None:
        super().__init__(background=None)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(GREY)
            axis.setTextPen(GREY)
            axis.enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(_TICKS_PX)
        self.getPlotItem().layout.setContentsMargins(0, 6, 4, 0)
        if bottom:
            self.setLabel("bottom", bottom, color=GREY)

    def draw(self, x: NDArray[Any], *curves: NDArray[Any]) -> None:
        """Show curves over x, in the place of what is shown."""
        for item in self.getPlotItem().listDataItems():
            self.removeItem(item)
        for curve, colour in zip(curves, COLOURS, strict=False):
            self.plot(x, curve, pen=pg.mkPen(colour, width=1.5))


class RangePlot(QWidget):
    """A histogram or curve with a range that is dragged or typed.

    Attributes
    ----------
    ranged : Signal
        The range is another one; emitted with its name and lowest and highest value, or None for all.

    Parameters
    ----------
    name : str
        Of what is ranged.
    title : str
        What the user reads.
    """

    ranged = Signal(str, object)

    def __init__(self, name: str, title: str) -> None:
        super().__init__()
        self.name = name
        self._low, self._high = -math.inf, math.inf
        self._ends = (0.0, 1.0)
        self.low, self.high = QLineEdit(), QLineEdit()
        for edit, end in ((self.low, "Lowest"), (self.high, "Highest")):
            edit.setPlaceholderText(end.lower())
            edit.setToolTip(tooltip(f"{end} value that is kept; empty keeps all."))
            edit.setAccessibleName(f"{end} {title}")
            edit.setMaximumWidth(72)
            edit.editingFinished.connect(self._typed)
        self.plot = Plot()
        self.region = pg.LinearRegionItem(self._ends, brush=(90, 169, 230, 40), swapMode="block")
        self.region.sigRegionChanged.connect(self._dragged)
        self.plot.addItem(self.region, ignoreBounds=True)
        brush = (138, 141, 147, 90)
        self._curve = self.plot.plot([], [], stepMode="right", fillLevel=0, pen=GREY, brush=brush)
        head = QHBoxLayout()
        head.addWidget(QLabel(title), 1)
        head.addWidget(self.low)
        head.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(1)
        layout.addLayout(head)
        layout.addWidget(self.plot)

    @property
    def limits(self) -> Limits | None:
        """Lowest and highest value, None where all are kept."""
        return None if (self._low, self._high) == (-math.inf, math.inf) else (self._low, self._high)

    def draw_histogram(self, values: NDArray[np.float64]) -> None:
        """Show how values are distributed."""
        if not len(values):
            self.draw_counts(np.zeros(1), np.zeros(1))
            return
        low, high = np.percentile(values, _SPAN)
        if low == high:
            low, high = low - 0.5, high + 0.5
        counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
        self.draw_counts(edges, np.append(counts, 0))

    def draw_counts(self, x: NDArray[Any], counts: NDArray[Any]) -> None:
        """Show counts from each x to the next."""
        self._curve.setData(x, counts)
        self._ends = (float(x[0]), float(max(x[-1], x[0] + 1e-9)))
        self.plot.setXRange(*self._ends, padding=0.02)
        self._show()

    def reset(self) -> None:
        """Keep all."""
        self.set_limits(-math.inf, math.inf)

    def set_limits(self, low: float, high: float) -> None:
        """Keep what lies from `low` to `high`."""
        changed = (low, high) != (self._low, self._high)
        self._low, self._high = low, high
        self._show()
        if changed:
            self.ranged.emit(self.name, self.limits)

    def _dragged(self) -> None:
        low, high = self.region.getRegion()
        first, last = self._ends
        # An end of the range at the end of the histogram sets no limit.
        self.set_limits(-math.inf if low <= first else low, math.inf if high >= last else high)

    def _typed(self) -> None:
        values = []
        for edit, free, present in ((self.low, -math.inf, self._low), (self.high, math.inf, self._high)):
            try:
                values.append(float(edit.text().replace(",", ".")) if edit.text().strip() else free)
            except ValueError:
                values.append(present)
        if not values[0] <= values[1]:  # or not a number
            values = [self._low, self._high]
        self.set_limits(*values)

    def _show(self) -> None:
        first, last = self._ends
        self.region.blockSignals(True)
        self.region.setRegion((min(max(self._low, first), last), max(min(self._high, last), first)))
        self.region.blockSignals(False)
        for edit, value in ((self.low, self._low), (self.high, self._high)):
            if not edit.hasFocus() or not math.isinf(value):
                edit.setText("" if math.isinf(value) else f"{value:.4g}")
