"""Name and folder of a training, and what lies there already."""

import re
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QWidget

from napari_microsr.core.weights import SUFFIX, folders
from napari_microsr.errors import JobError
from napari_microsr.widgets.folder_row import FolderRow
from napari_microsr.widgets.form import CheckBox, Labels, form_layout, tooltip

#: As `core.checkpoint.LAST`, which would import torch.
CHECKPOINT = "last.ckpt"


class TrainingOutput(QWidget):
    """Where checkpoints and weights go; the name follows the images until the user types one.

    Attributes
    ----------
    changed : Signal
        Another training is named.

    Parameters
    ----------
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    changed = Signal()

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self._typed = False
        row = FolderRow(
            "Folder for trainings", "Checkpoints, figures and weights go to a folder NAME in this one."
        )
        self.name, self.folder = QLineEdit(), row.edit
        self.name.setObjectName("name")
        self.name.setToolTip(tooltip("Name of the trained network in lists, jobs and commands."))
        self.afresh = CheckBox()
        self.afresh.setToolTip(tooltip("Train from the first step, and replace what is there."))
        self.note = QLabel()
        self.note.setWordWrap(True)
        layout = form_layout(self)
        labels.add_row(layout, "Name", self.name)
        labels.add_row(layout, "Trainings in", row)
        labels.add_row(layout, "Start afresh", self.afresh)
        layout.addRow(self.note)
        self.name.textEdited.connect(self._name_typed)
        row.chosen.connect(self.folder.setText)
        self.folder.textChanged.connect(self.check)
        self.name.textChanged.connect(self.check)
        self.afresh.toggled.connect(self.check)
        self.reset()

    def reset(self) -> None:
        """Forget what was typed."""
        self._typed = False
        self.afresh.setChecked(False)
        self.folder.setText(str(folders()[0].parent / "trainings"))

    def suggest(self, stem: str) -> None:
        """Offer a name, where the user has typed none."""
        if not self._typed:
            self.name.setText(re.sub(r"[^\w.+-]+", "-", stem).strip("-") or "my-network")

    def choose_name(self, name: str) -> None:
        """Take a name as if the user had typed it."""
        self.name.setText(name)
        self._typed = True

    def get(self) -> tuple[str, Path]:
        """Return the name and the folder for trainings.

        Raises
        ------
        JobError
            If one is missing.
        """
        name, folder = str(self.name.text()).strip(), str(self.folder.text()).strip()
        if not name or not folder:
            raise JobError("The training has no name or no folder.", "Fill in both.")
        return name, Path(folder).expanduser().absolute()

    @property
    def resumes(self) -> bool:
        """Whether a run goes on from a checkpoint."""
        return self._path(CHECKPOINT).is_file() and not self.afresh.get()

    @property
    def weights(self) -> Path | None:
        """The weights of the training that is there; None where there are none, or a run went on since."""
        weights, checkpoint = self._path(f"{self.name.text().strip()}{SUFFIX}"), self._path(CHECKPOINT)
        if not weights.is_file():
            return None
        outdated = checkpoint.is_file() and checkpoint.stat().st_mtime > weights.stat().st_mtime
        return None if outdated else weights

    def check(self, _: object = None) -> None:
        """Say what lies there already; the box to start afresh is shown only then."""
        there = self._path(CHECKPOINT).is_file()
        self.afresh.setVisible(there)
        if not there:
            self.afresh.setChecked(False)
        note = ""
        if self.afresh.isChecked():
            note = "What is there is replaced."
        elif there and self.weights is not None:
            note = "A finished training of that name is there: give another name, or start afresh."
        elif there:
            note = "A stopped training is there: Run continues it. It must have the same settings."
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.changed.emit()

    def _path(self, file: str) -> Path:
        folder = Path(str(self.folder.text()).strip() or ".").expanduser()
        return folder / (str(self.name.text()).strip() or "-") / file

    def _name_typed(self) -> None:
        self._typed = True
