"""The tab Progress: the table of a batch, and what can be done with one of its images or all."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_microsr.batch.manifest import ItemState
from napari_microsr.widgets.batch_table import BatchTable, count_text, note, state_text
from napari_microsr.widgets.form import Labels
from napari_microsr.widgets.localise_render import small_button


class ProgressTab(QWidget):
    """Counts, table, what to know of the chosen image, and buttons.

    Attributes
    ----------
    opened : Signal
        The result of the chosen image is to be shown.
    retried, reported : Signal
        What failed is to be tried again; the report is to be shown.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    opened = Signal()
    retried = Signal()
    reported = Signal()

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.count = QLabel()
        self.table = BatchTable()
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.PlainText)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_button = small_button(
            labels.mark("Open result"),
            "Show what the chosen image became: as layer, or in Register or Localise. A double click, too.",
        )
        self.retry_button = small_button(
            labels.mark("Try failures again"), "Do what failed; the rest stays as it is."
        )
        self.report_button = small_button(
            labels.mark("Open report"), "The page with a small picture of each result, figures and warnings."
        )
        rows = QVBoxLayout(self)
        rows.addWidget(self.count)
        rows.addWidget(self.table, 1)
        rows.addWidget(self.details)
        rows.addWidget(self.open_button)
        both = QHBoxLayout()
        both.addWidget(self.retry_button)
        both.addWidget(self.report_button)
        rows.addLayout(both)
        self.table.chosen.connect(self._show)
        self.table.opened.connect(self._open)
        self.open_button.clicked.connect(self._open)
        self.retry_button.clicked.connect(lambda _: self.retried.emit())
        self.report_button.clicked.connect(lambda _: self.reported.emit())
        self.look(busy=False, report=False)
        self._show()

    @property
    def states(self) -> list[ItemState]:
        """What the table shows, in the order of the batch."""
        return self.table.states.rows

    def look(self, *, busy: bool, report: bool) -> None:
        """Say what can be done now.

        Parameters
        ----------
        busy : bool
            Whether something runs.
        report : bool
            Whether there is a report.
        """
        self.retry_button.setEnabled(not busy and any(state.state == "failed" for state in self.states))
        self.report_button.setEnabled(report)

    def _show(self) -> None:
        state = self.table.current()
        self.count.setText(count_text(self.states))
        self.open_button.setEnabled(state is not None and state.state == "done")
        text = "" if state is None else f"{state.key}: {state_text(state)}. {note(state)}".strip()
        self.details.setText(text)
        self.details.setVisible(bool(text))

    def _open(self) -> None:
        state = self.table.current()
        if state is not None and state.state == "done":
            self.opened.emit()
