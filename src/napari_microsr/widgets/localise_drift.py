"""The tab Drift: its curve, and the correction."""

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_microsr.widgets.form import ChoiceBox, OptionalSpinBox, form_layout, tooltip
from napari_microsr.widgets.localise_findings import Findings
from napari_microsr.widgets.localise_plots import COLOURS, Plot
from napari_microsr.widgets.localise_render import small_button

if TYPE_CHECKING:
    from napari_microsr.smlm.drift import Drift

METHODS = ("aim", "rcc")
#: Shown where no number is typed.
_ENOUGH = "as needed"


class DriftTab(QWidget):
    """Settings of the drift estimate, and what it gave.

    Attributes
    ----------
    estimate : Signal
        The drift is to be taken out; emitted with the method and the frames of a segment, or None.
    undo : Signal
        It is to be put back.

    Parameters
    ----------
    findings : Findings
        Whose drift it is.
    """

    estimate, undo = Signal(str, object), Signal()

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self._findings = findings
        self.method = ChoiceBox(METHODS)
        self.method.setToolTip(
            tooltip("aim: distances between localisations of two times; rcc: correlation of their images.")
        )
        self.segment = OptionalSpinBox(1, 10_000_000)
        self.segment.step = 10
        self.segment.setSpecialValueText(_ENOUGH)
        self.segment.put(None)
        self.segment.setToolTip(tooltip("Frames that are taken together; shorter ones follow faster drift."))
        self.button = small_button(
            "Correct the drift", "Estimate it from what is kept, and take it out of all."
        )
        self.undo_button = small_button(
            "Undo the correction", "Show the localisations where they were found."
        )
        self.undo_button.setEnabled(False)
        self.text = QLabel("The structure itself shows how the sample moved: no markers are needed.")
        self.text.setWordWrap(True)
        self.curve = Plot("frame", height=160)
        self.curve.setLabel("left", "nm")
        self.curve.hide()
        rows = QWidget()
        form = form_layout(rows)
        form.addRow("Method", self.method)
        form.addRow("Segment (frames)", self.segment)
        layout = QVBoxLayout(self)
        for widget in (rows, self.button, self.undo_button, self.text, self.curve):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.button.clicked.connect(lambda: self.estimate.emit(self.method.get(), self.segment.get()))
        self.undo_button.clicked.connect(lambda: self.undo.emit())
        findings.changed.connect(self._look)
        findings.replaced.connect(self._look)

    def show_drift(self, drift: "Drift", pixel_nm: float) -> None:
        """Draw the curve of a drift."""
        x, y = drift.x * pixel_nm, drift.y * pixel_nm
        self.curve.draw(np.arange(len(x)), x, y)
        self.curve.show()
        parts = [
            f"<span style='color:{colour}'>{name}: {np.ptp(values):.0f} nm</span>"
            for name, values, colour in (("x", x, COLOURS[0]), ("y", y, COLOURS[1]))
        ]
        self.text.setText(f"Taken out, from end to end: {', '.join(parts)}.")

    def _look(self) -> None:
        """Follow the findings: what is put back, or of another table, has no curve."""
        self.undo_button.setEnabled(self._findings.corrected)
        if not self._findings.corrected:
            self.curve.hide()
            self.text.setText("The drift is not corrected.")
