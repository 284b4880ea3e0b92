"""The tabs Figures and Curves: what was measured, as a table, as bars and over spatial frequency."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_microsr.errors import MicroSRError
from napari_microsr.superres.metrics import FIGURES
from napari_microsr.superres.report import as_text, best, write_curves, write_table
from napari_microsr.widgets.form import ChoiceBox, tooltip
from napari_microsr.widgets.localise_plots import GREY, Plot
from napari_microsr.widgets.localise_render import small_button

if TYPE_CHECKING:
    from napari_microsr.superres.evaluate_job import Evaluation

#: Legible on napari's dark and light themes; told apart by those who see few colours.
PALETTE = ("#5aa9e6", "#f4a259", "#5fbb7b", "#e56b6f", "#b08cd9", "#c9a227", "#4fc1c0", "#d98ab3")
_NOTHING_YET = "Run first."
_RESULT, _BASELINE = PALETTE[0], GREY


class Number(QTableWidgetItem):
    """A cell that is sorted by its value; what is not known comes last."""

    def __init__(self, key: str, value: float) -> None:
        super().__init__(as_text(key, value))
        self.value = value
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        if not isinstance(other, Number) or math.isnan(self.value):
            return False
        return math.isnan(other.value) or self.value < other.value


class FiguresTable(QTableWidget):
    """One row per image, one column per figure; a click on a title sorts."""

    def __init__(self) -> None:
        super().__init__(0, 1 + len(FIGURES))
        self.setObjectName("figures")
        self.setAccessibleName("Figures of the images")
        self.setHorizontalHeaderLabels(["Image", *(figure.title for figure in FIGURES.values())])
        for column, figure in enumerate(FIGURES.values(), 1):
            text = tooltip(f"{figure.meaning} {figure.better.capitalize()} is better.")
            self.horizontalHeaderItem(column).setToolTip(text)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setMinimumHeight(230)

    def show_figures(self, figures: Mapping[str, Mapping[str, float]], results: tuple[str, ...]) -> None:
        """Show figures; results and the best values are bold."""
        self.setSortingEnabled(False)
        self.setRowCount(len(figures))
        leaders = {key: best(figures, key) for key in FIGURES}
        for row, (name, values) in enumerate(figures.items()):
            cells = [QTableWidgetItem(name), *(Number(key, values[key]) for key in FIGURES)]
            strong = [name in results, *(name in leaders[key] for key in FIGURES)]
            for column, (cell, bold) in enumerate(zip(cells, strong, strict=True)):
                font = cell.font()
                font.setBold(bold)
                cell.setFont(font)
                self.setItem(row, column, cell)
        self.setSortingEnabled(True)
        self.resizeColumnsToContents()


class FiguresTab(QWidget):
    """The table, and one of its columns as bars.

    Attributes
    ----------
    failed : Signal
        A file could not be written; emitted with the sentence.
    """

    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.evaluation: Evaluation | None = None
        self.table = FiguresTable()
        self.figure = QComboBox()
        narrow(self.figure)
        for key, figure in FIGURES.items():
            self.figure.addItem(f"{figure.title}, {figure.better} is better", key)
        self.figure.setToolTip(tooltip("Which figure is drawn."))
        self.figure.setAccessibleName("Figure that is drawn")
        self.bars = Plot(height=190)
        self.bars.getAxis("left").setWidth(110)
        self.text = QLabel(_NOTHING_YET)
        self.text.setWordWrap(True)
        self.save_button = small_button("Save the figures…", "The table as CSV, or the bars as PNG.")
        self.save_button.setEnabled(False)
        layout = QVBoxLayout(self)
        for widget in (self.text, self.table, self.figure, self.bars, self.save_button):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.figure.currentIndexChanged.connect(self._draw)
        self.save_button.clicked.connect(self._save)

    def show_evaluation(self, evaluation: "Evaluation") -> None:
        """Show what a run measured."""
        self.evaluation = evaluation
        self.table.show_figures(evaluation.figures, evaluation.results)
        self.text.setText("\n".join(evaluation.notes))
        self.text.setVisible(bool(evaluation.notes))
        self.save_button.setEnabled(True)
        self._draw()

    def _draw(self, _index: int = 0) -> None:
        self.bars.clear()
        if self.evaluation is None:
            return
        from napari_microsr.superres.chart import span

        key = self.figure.currentData()
        values = {name: row[key] for name, row in self.evaluation.figures.items()}
        finite = [value for value in values.values() if math.isfinite(value)]
        start, stop = span(finite)
        places = np.arange(len(values))[::-1]  # the first on top
        for place, (name, value) in zip(places, values.items(), strict=True):
            if math.isnan(value):
                continue
            colour = _RESULT if name in self.evaluation.results else _BASELINE
            width = min(value, stop) - start
            self.bars.addItem(
                pg.BarGraphItem(x0=start, y=place, width=width, height=0.7, brush=colour, pen=None)
            )
        self.bars.getAxis("left").setTicks([list(zip(places, values, strict=True))])
        self.bars.setXRange(start, stop, padding=0.05)

    def _save(self) -> None:
        if self.evaluation is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Figures", "", "Table (*.csv);;Bar chart (*.png)")
        if not path:
            return
        try:
            self.save(Path(path) if Path(path).suffix else Path(path + ".csv"))
        except MicroSRError as error:
            self.failed.emit(str(error))

    def save(self, path: Path) -> None:
        """Write the table, or the bars of all figures where the name ends in .png.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        assert self.evaluation is not None
        if path.suffix.lower() == ".png":
            from napari_microsr.superres.report import write_reports

            write_reports(self.evaluation, csv=None, curves=None, chart=path)
        else:
            write_table(path, self.evaluation.figures)


class CurvesTab(QWidget):
    """Ring correlation and power spectrum of each image.

    Attributes
    ----------
    failed : Signal
        A file could not be written; emitted with the sentence.
    """

    failed = Signal(str)
    kinds = ("ring correlation (FRC)", "power over the reference's (dB)")

    def __init__(self) -> None:
        super().__init__()
        self.evaluation: Evaluation | None = None
        self.kind = ChoiceBox(self.kinds)
        narrow(self.kind)
        self.kind.setToolTip(
            tooltip(
                "Fourier ring correlation (1/7 is where detail ends), or how much power each frequency has."
            )
        )
        self.kind.setAccessibleName("Curves that are drawn")
        self.plot = Plot("cycles per pixel of the reference", height=240)
        self.legend = QLabel(_NOTHING_YET)
        self.legend.setWordWrap(True)
        self.save_button = small_button("Save the curves…", "Frequencies, powers and correlations as CSV.")
        self.save_button.setEnabled(False)
        layout = QVBoxLayout(self)
        for widget in (self.kind, self.plot, self.legend, self.save_button):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.kind.currentTextChanged.connect(self._draw)
        self.save_button.clicked.connect(self._save)

    def show_evaluation(self, evaluation: "Evaluation") -> None:
        """Show what a run measured."""
        self.evaluation = evaluation
        self.save_button.setEnabled(bool(evaluation.comparison.curves))
        self._draw()

    def _draw(self, _text: str = "") -> None:
        self.plot.clear()
        if self.evaluation is None:
            return
        frc = self.kind.get() == self.kinds[0]
        curves = self.evaluation.comparison.curves
        for number, curve in enumerate(curves.values()):
            with np.errstate(divide="ignore", invalid="ignore"):
                power = 10 * np.log10(curve.power / curve.truth)
            values = curve.correlation if frc else np.where(np.isfinite(power), power, np.nan)
            pen = pg.mkPen(
                PALETTE[number % len(PALETTE)], width=2 if number < len(self.evaluation.results) else 1
            )
            self.plot.plot(curve.frequency, values, pen=pen, connect="finite")
        self.plot.addLine(y=1 / 7 if frc else 0, pen=pg.mkPen(GREY, style=Qt.PenStyle.DashLine))
        self.legend.setText(legend(list(curves)) if curves else "The images are too small for spectra.")

    def _save(self) -> None:
        if self.evaluation is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Curves", "", "Table (*.csv)")
        if not path:
            return
        try:
            write_curves(
                Path(path) if Path(path).suffix else Path(path + ".csv"), self.evaluation.comparison.curves
            )
        except MicroSRError as error:
            self.failed.emit(str(error))


def narrow(box: QComboBox) -> None:
    """Let a box become narrower than its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)


def legend(names: list[str]) -> str:
    """Return names in the colours of their curves, as rich text."""
    from html import escape

    return " &nbsp; ".join(
        f"<span style='color:{PALETTE[number % len(PALETTE)]}'>━ {escape(name)}</span>"
        for number, name in enumerate(names)
    )
