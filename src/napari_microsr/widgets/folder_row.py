"""A folder to type, or to choose by the button beside it."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_microsr.widgets.form import tooltip


class FolderRow(QWidget):
    """A line for a path with its button.

    Parameters
    ----------
    what : str
        What the folder is, for the dialog and screen readers: "Folder of the results".
    explanation : str
        For the tooltip.

    Attributes
    ----------
    edit : QLineEdit
        What is typed.
    browse : QPushButton
        Asks for a folder.
    chosen : Signal
        Emitted with the folder that was chosen by the button; the line does not show it by itself.
    """

    chosen = Signal(str)

    def __init__(self, what: str, explanation: str) -> None:
        super().__init__()
        self._what = what
        self.edit = QLineEdit()
        self.edit.setToolTip(tooltip(explanation))
        self.browse = QPushButton("…")
        self.browse.setToolTip(tooltip("Choose the folder."))
        self.browse.setAccessibleName(f"Choose the {what[0].lower()}{what[1:]}")
        self.browse.setMaximumWidth(32)
        self.setFocusProxy(self.edit)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.edit, 1)
        line.addWidget(self.browse)
        self.browse.clicked.connect(self._ask)

    def _ask(self) -> None:
        start = str(self.edit.text()).strip() or str(Path.home())
        if folder := QFileDialog.getExistingDirectory(self, self._what, start):
            self.chosen.emit(folder)
