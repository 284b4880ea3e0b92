"""Choose the many images of a batch, and the folder of its results."""

import os
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QMimeData, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_microsr.batch.manifest import MANIFEST
from napari_microsr.core.image import name_of
from napari_microsr.errors import JobError
from napari_microsr.widgets.folder_row import FolderRow
from napari_microsr.widgets.form import Labels, form_layout, tooltip
from napari_microsr.widgets.localise_render import small_button

_LINES = 4
#: Signs that make a path a pattern.
_WILD = "*?[{"


class PathsEdit(QPlainTextEdit):
    """Paths, one per line; files and folders can be dropped on it."""

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText("Drop files or a folder here, or type one per line")
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFixedHeight(_LINES * self.fontMetrics().lineSpacing() + 24)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:  # noqa: N802 - Qt's name
        """Take files as well as text."""
        return bool(source.hasUrls() or super().canInsertFromMimeData(source))

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802 - Qt's name
        """Add files that are dropped or pasted as further lines."""
        if source.hasUrls():
            self.add([url.toLocalFile() or url.toString() for url in source.urls()])
        else:
            super().insertFromMimeData(source)

    def get(self) -> list[str]:
        """Return the lines that are not empty."""
        return [line.strip() for line in str(self.toPlainText()).splitlines() if line.strip()]

    def put(self, paths: Sequence[str]) -> None:
        """Show these paths only."""
        self.setPlainText("\n".join(paths))

    def add(self, paths: Sequence[str]) -> None:
        """Show these paths, too."""
        self.put(list(dict.fromkeys([*self.get(), *paths])))


class InputsPicker(QWidget):
    """Paths, with buttons that ask for files and for a folder.

    Attributes
    ----------
    changed : Signal
        Other images are chosen.

    Parameters
    ----------
    what : str
        What the images are, for file dialogs and screen readers.
    explanation : str
        For the tooltip.
    """

    changed = Signal()

    def __init__(self, what: str, explanation: str) -> None:
        super().__init__()
        self.edit = PathsEdit()
        self.edit.setToolTip(tooltip(explanation))
        self.files_button = small_button("Files…", f"Add files: {what}.")
        self.folder_button = small_button("Folder or plate…", f"Add a folder, or an OME-Zarr plate: {what}.")
        self._what = what
        self.setToolTip(self.edit.toolTip())
        self.setFocusProxy(self.edit)
        buttons = QHBoxLayout()
        buttons.addWidget(self.files_button)
        buttons.addWidget(self.folder_button)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.edit)
        rows.addLayout(buttons)
        self.files_button.clicked.connect(self._files)
        self.folder_button.clicked.connect(self._folder)
        self.edit.textChanged.connect(self.changed)

    def get(self) -> list[str]:
        """Return what is chosen, as absolute paths; addresses of other places stay as they are."""
        return [t if "://" in t else str(Path(t).expanduser().absolute()) for t in self.edit.get()]

    def _files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, f"Files: {self._what}", self._start())
        self.edit.add(names)

    def _folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, f"Folder: {self._what}", self._start())
        if folder:
            self.edit.add([folder])

    def _start(self) -> str:
        chosen = self.edit.get()
        return str(folder_of(chosen[-1]) if chosen else Path.home())


class RunFolder(QWidget):
    """The folder of a batch: beside its images until the user chooses another one.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self._typed = False
        row = FolderRow(
            "Folder of the results", "Folder of the results, with a table and a report of all of them."
        )
        self.folder, self.browse = row.edit, row.browse
        self.folder.setObjectName("output")
        self.note = QLabel()
        self.note.setWordWrap(True)
        layout = form_layout(self)
        labels.add_row(layout, "Results in", row)
        layout.addRow(self.note)
        self.folder.textEdited.connect(self._edited)
        self.folder.textChanged.connect(self.check)
        row.chosen.connect(self.put)
        self.check()

    def get(self) -> Path:
        """Return the folder.

        Raises
        ------
        JobError
            If there is none.
        """
        text = str(self.folder.text()).strip()
        if not text:
            raise JobError("The batch has no folder for its results.", "Choose one.")
        return Path(text).expanduser().absolute()

    def put(self, folder: str) -> None:
        """Show a folder as if the user had typed it; none lets it follow the images."""
        self._typed = bool(folder)
        self.folder.setText(folder)

    def suggest(self, inputs: Sequence[str], task: str) -> None:
        """Offer a folder beside that of the first image, where the user has typed none."""
        if self._typed:
            return
        if not inputs:
            self.folder.clear()
            return
        base = folder_of(inputs[0])
        beside = base.parent if os.access(base.parent, os.W_OK) else Path.home()
        self.folder.setText(str(beside / f"{name_of(base) or 'batch'}-{task}"))

    def check(self, _: object = None) -> None:
        """Say what lies there already."""
        text = str(self.folder.text()).strip()
        known = bool(text) and (Path(text).expanduser() / MANIFEST).is_file()
        self.note.setText("A batch is there: what is done and unchanged is not done again." if known else "")
        self.note.setVisible(known)

    def _edited(self, text: str) -> None:
        self._typed = bool(text)


def folder_of(text: str) -> Path:
    """Return the folder that a path means: itself, that of a file, or where a pattern begins."""
    path = Path(text).expanduser().absolute()
    while any(sign in part for part in path.parts[1:] for sign in _WILD) and not path.exists():
        path = path.parent
    return path if path.is_dir() else path.parent
