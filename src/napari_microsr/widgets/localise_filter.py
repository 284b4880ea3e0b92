"""The tab Filter: what was found, frame by frame and by column, and which of it is kept."""

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_microsr.widgets.form import NumberBox, OptionalSpinBox, form_layout, tooltip
from napari_microsr.widgets.localise_findings import Findings
from napari_microsr.widgets.localise_plots import RangePlot

#: Milliseconds between two looks at a growing table, and after a range was dragged.
GROW_MS, DRAG_MS = 500, 120
COLUMNS = {
    "photons": "Photons",
    "uncertainty_nm": "Uncertainty (nm)",
    "sigma_nm": "PSF sigma (nm)",
    "background": "Background",
    "probability": "Probability",
}
#: More points than this along the curve of frames are binned.
_MOST_FRAMES = 2000


class FilterTab(QWidget):
    """Plots of the findings whose ranges filter them.

    Attributes
    ----------
    merge : Signal
        The user wants repeated events merged; emitted with the radius [nm] and the dark frames.

    Parameters
    ----------
    findings : Findings
        What is shown and filtered.
    """

    merge = Signal(float, int)

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self._findings = findings
        self.count = QLabel("Nothing is localised yet.")
        self.count.setWordWrap(True)
        self.frames = RangePlot("frame", "Per frame")
        self.columns = {name: RangePlot(name, title) for name, title in COLUMNS.items()}
        self.reset = QPushButton("Keep all")
        self.reset.setToolTip(tooltip("Take all filters away."))
        self.reset.clicked.connect(self.keep_all)
        layout = QVBoxLayout(self)
        layout.addWidget(self.count)
        for plot in (self.frames, *self.columns.values()):
            layout.addWidget(plot)
            plot.ranged.connect(self._ranged)
        layout.addWidget(self.reset)
        layout.addWidget(self._merging())
        layout.addStretch(1)
        self._drawing = _timer(self, GROW_MS, self.draw)
        self._applying = _timer(self, DRAG_MS, self._apply)
        findings.grew.connect(self._soon)
        findings.replaced.connect(self._soon)
        findings.changed.connect(self.say)
        findings.counted.connect(self.say)

    def keep_all(self) -> None:
        """Take all filters away."""
        for plot in (self.frames, *self.columns.values()):
            plot.reset()

    def draw(self) -> None:
        """Show the findings as they are."""
        frames = self._findings.per_frame()
        step = max(1, -(-len(frames) // _MOST_FRAMES))
        starts = np.arange(0, max(len(frames), 1), step)
        counts = np.add.reduceat(frames, starts) / step if len(frames) else np.zeros(1)
        self.frames.draw_counts(np.append(starts, max(len(frames), 1)), np.append(counts, 0))
        for name, plot in self.columns.items():
            values = self._findings.sample(name)
            plot.setVisible(len(values) > 0)
            plot.draw_histogram(values)
        self.say()

    def say(self) -> None:
        """Say how many localisations there are, and are kept."""
        found, ranges = len(self._findings), self._findings.ranges
        if not found:
            self.count.setText("Nothing is localised yet.")
        elif not ranges:
            self.count.setText(f"{found:,} localisations.")
        elif self._findings.is_counted and (kept := self._findings.kept) is not None:
            self.count.setText(f"{len(kept):,} of {found:,} localisations are kept.")
        else:
            self.count.setText(f"… of {found:,} localisations are kept.")

    def _soon(self) -> None:
        if not self._drawing.isActive():
            self._drawing.start()

    def _ranged(self, _name: str, _limits: object) -> None:
        if not self._applying.isActive():
            self._applying.start()

    def _apply(self) -> None:
        for plot in (self.frames, *self.columns.values()):
            self._findings.limit(plot.name, plot.limits)

    def _merging(self) -> QWidget:
        """Return the rows that merge what shines on over several frames."""
        rows = QWidget()
        layout = form_layout(rows)
        self.radius = NumberBox(0.1, 10_000.0, optional=False)
        self.radius.put(50.0)
        self.radius.setToolTip(tooltip("Farthest step between two localisations of one molecule."))
        self.dark = OptionalSpinBox(1, 1000)
        self.dark.step = 1
        self.dark.setSpecialValueText("none")
        self.dark.put(1)
        self.dark.setToolTip(tooltip("Most frames in between in which the molecule is dark."))
        self.merge_button = QPushButton("Merge repeated events")
        self.merge_button.setToolTip(tooltip("Make one localisation of a molecule that shines over frames."))
        self.merge_button.clicked.connect(lambda: self.merge.emit(self.radius.get(), self.dark.get() or 0))
        layout.addRow("Radius (nm)", self.radius)
        layout.addRow("Dark frames", self.dark)
        layout.addRow(self.merge_button)
        return rows


def _timer(parent: QWidget, milliseconds: int, slot: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
