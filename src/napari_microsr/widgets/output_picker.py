"""Choose where a result goes."""

import os
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QWidget

from napari_microsr.errors import JobError
from napari_microsr.widgets.folder_row import FolderRow
from napari_microsr.widgets.form import CheckBox, Labels, form_layout, tooltip

SUFFIX = ".ome.zarr"
_FORBIDDEN = '<>:"/\\|?*'


class OutputPicker(QWidget):
    """Folder and name of a store or file; the defaults follow the input until the user types.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    endings : tuple of str
        A name ends in one of them; it gets the first if it does not.
    what : str
        What the name is of.
    """

    changed = Signal()

    def __init__(
        self, labels: Labels, endings: tuple[str, ...] = (SUFFIX, ".zarr"), what: str = "an OME-Zarr store"
    ) -> None:
        super().__init__()
        self._typed = {"folder": False, "name": False}
        self._stem = "result"
        row = FolderRow("Folder of the result", "Folder of the result.")
        self.folder, self.name = row.edit, QLineEdit()
        self.replace = CheckBox()
        self.replace.setToolTip(tooltip("Replace a finished or unfinished result of that name."))
        self.note = QLabel()
        self.note.setWordWrap(True)
        layout = form_layout(self)
        labels.add_row(layout, "Folder", row)
        labels.add_row(layout, "Name", self.name)
        labels.add_row(layout, "Replace what is there", self.replace)
        layout.addRow(self.note)
        self.expect(endings, what)
        self.folder.textEdited.connect(self._folder_typed)
        self.name.textEdited.connect(self._name_typed)
        self.replace.toggled.connect(self._check)
        row.chosen.connect(self.choose_folder)

    def expect(self, endings: tuple[str, ...], what: str) -> None:
        """Ask for a result with other endings from now on."""
        self._endings = endings
        self.name.setToolTip(
            tooltip(f"Name of the result, {what}: {' or '.join('NAME' + e for e in endings)}.")
        )
        if not self._typed["name"]:
            self.name.setText(self._free_name())
        self._check()

    def suggest(self, folder: Path, stem: str) -> None:
        """Offer a folder and a name, where the user has typed none; a finished result is not offered."""
        self._stem = "".join("-" if sign in _FORBIDDEN else sign for sign in stem).strip(" .") or "result"
        if not self._typed["folder"]:
            writable = folder.is_dir() and os.access(folder, os.W_OK)
            self.folder.setText(str(folder if writable else Path.home()))
        if not self._typed["name"]:
            self.name.setText(self._free_name())
        self._check()

    def get(self) -> Path:
        """Return the path.

        Raises
        ------
        JobError
            If there is no folder or no name.
        """
        folder, name = str(self.folder.text()).strip(), str(self.name.text()).strip()
        if not folder or not name:
            raise JobError("The output has no folder or no name.", "Fill in both.")
        return Path(folder).expanduser() / (name if name.endswith(self._endings) else name + self._endings[0])

    def choose_folder(self, folder: str) -> None:
        """Take a folder as if the user had typed it."""
        self.folder.setText(folder)
        self._folder_typed()

    def reset(self) -> None:
        """Forget what was typed."""
        self._typed = {"folder": False, "name": False}
        self.replace.setChecked(False)

    def _free_name(self) -> str:
        folder, name, number = Path(self.folder.text()), self._stem, 1
        while (folder / (name + self._endings[0])).exists():
            number += 1
            name = f"{self._stem}-{number}"
        return name

    def _folder_typed(self) -> None:
        self._typed["folder"] = True
        self._check()

    def _name_typed(self) -> None:
        self._typed["name"] = True
        self._check()

    def _check(self) -> None:
        """Say what lies there already; the box to replace it is shown only then."""
        path = None if not (self.folder.text() and self.name.text()) else self.get()
        finished = path is not None and path.exists()
        unfinished = path is not None and path.with_name(path.name + ".partial").exists()
        self.replace.setVisible(finished or unfinished)
        if not (finished or unfinished):
            self.replace.setChecked(False)
        note = ""
        if self.replace.isChecked():
            note = "What is there is replaced."
        elif finished:
            note = "A result of that name exists: give another name, or replace it."
        elif unfinished:
            note = "An unfinished run is there: it is continued."
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.changed.emit()
