"""The tab Watch of a localiser's training: its loss, and how well it localises."""

import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_microsr.core.epoch import Epoch
from napari_microsr.widgets.evaluate_figures import PALETTE, legend
from napari_microsr.widgets.localise_plots import Plot
from napari_microsr.widgets.localise_render import small_button
from napari_microsr.widgets.train_watch import column

_HEIGHT_PX, _AXIS_PX = 150, 46
_NOTHING_YET = "Curves come at the end of each epoch."
#: Columns of `metrics.csv` begin so where they are efficiencies; what follows is the density.
_EFFICIENCY = "E_"


class LocaliserWatchTab(QWidget):
    """Curves over steps: the loss, and the efficiency at some densities on frames that are not trained on.

    Attributes
    ----------
    used : Signal
        The user wants to use the model.
    """

    used = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self._steps = 1
        self.text = QLabel(_NOTHING_YET)
        self.text.setWordWrap(True)
        self.loss, self.efficiency = Plot(height=_HEIGHT_PX), Plot("steps", height=_HEIGHT_PX)
        self.key = QLabel()
        self.key.setWordWrap(True)
        self.use_button = small_button("Use this model", "Install it and choose it in Localise.")
        self.use_button.clicked.connect(lambda _: self.used.emit())
        layout = QVBoxLayout(self)
        for widget in (
            self.text, QLabel("Loss"), self.loss, QLabel("Efficiency (100 is perfect)"), self.efficiency,
            self.key, self.use_button,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)
        for plot in (self.loss, self.efficiency):
            plot.getAxis("left").setWidth(_AXIS_PX)

    def begin(self, rows: list[dict[str, float]], steps: int) -> None:
        """Show the epochs of a training before it goes on; none of a new one."""
        self.rows, self._steps = list(rows), steps
        self._draw()

    def add(self, epoch: Epoch) -> None:
        """Show one more epoch."""
        self.rows.append({"step": float(epoch.step), **epoch.figures})
        self._draw()

    def _draw(self) -> None:
        densities = [
            name
            for name in dict.fromkeys(n for row in self.rows for n in row)
            if name.startswith(_EFFICIENCY)
        ]
        for plot, names in ((self.loss, ["loss"]), (self.efficiency, densities)):
            plot.clear()
            plot.setXRange(0, self._steps, padding=0.02)
            for number, name in enumerate(names if self.rows else ()):
                colour = PALETTE[number % len(PALETTE)]
                # A dot each: a curve of one epoch would not be seen.
                plot.plot(
                    column(self.rows, "step"), column(self.rows, name), pen=pg.mkPen(colour, width=2),
                    connect="finite", symbol="o", symbolSize=4, symbolPen=None, symbolBrush=colour,
                )  # fmt: skip
        titles = [f"{name.removeprefix(_EFFICIENCY)} per µm²" for name in densities]
        self.key.setText(legend(titles) if titles else "")
        self.text.setText(self._summary(dict(zip(densities, titles, strict=True))) or _NOTHING_YET)

    def _summary(self, titles: dict[str, str]) -> str:
        if not self.rows:
            return ""
        row = self.rows[-1]
        told = ", ".join(f"{row[name]:.1f} at {title}" for name, title in titles.items() if name in row)
        return f"Step {row['step']:.0f} of {self._steps}: efficiency {told}; loss {row.get('loss', 0):.4g}"
