"""The buttons of the widget Register: correct, compare, locate."""

from collections.abc import Callable
from typing import get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_microsr.widgets.compare_views import View
from napari_microsr.widgets.form import CheckBox, tooltip
from napari_microsr.widgets.locate import Hit
from napari_microsr.widgets.placement_table import verdict


def button(text: str, explanation: str, *, checkable: bool = False) -> QPushButton:
    """Return a button with its tooltip, reached by Tab and pressed by Enter."""
    made = QPushButton(text)
    made.setToolTip(tooltip(explanation))
    made.setCheckable(checkable)
    made.setAutoDefault(True)
    return made


class CorrectPanel(QWidget):
    """Move a field by hand or by landmarks, then have it refined or scored."""

    def __init__(self) -> None:
        super().__init__()
        self.move = button(
            "Move by hand",
            "Drag the field, turn it by the round handle, scale it by its corners.",
            checkable=True,
        )
        self.refine = button("Refine from here", "Find the exact place near the present one, and score it.")
        self.score = button("Score here", "Keep the present place, and say how good it is.")
        self.landmarks = button(
            "Landmarks", "Mark the same places on the field and on the overview, in turn.", checkable=True
        )
        self.fit = button("Fit landmarks", "Lay the field where its landmarks say, and score that.")
        self.lock = button("Lock", "Keep this placement as it is in later runs.", checkable=True)
        self.undo = button("Undo", "Take the last step back: a correction, an import or a run.")
        self.note = QLabel()
        self.note.setWordWrap(True)
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 6, 4, 4)
        rows = ((self.move, self.refine), (self.landmarks, self.fit), (self.score, self.lock), (self.undo,))
        for row, buttons in enumerate(rows):
            for column, made in enumerate(buttons):
                grid.addWidget(made, row, column)
        grid.addWidget(self.note, len(rows), 0, 1, 2)
        grid.setRowStretch(len(rows) + 1, 1)


class ComparePanel(QWidget):
    """See whether the chosen field lies right.

    Attributes
    ----------
    viewed : Signal
        Emitted with the chosen view.
    by_verdict : CheckBox
        Whether fields are shown the fainter the less sure they are.
    """

    viewed = Signal(str)

    def __init__(self, mark: Callable[[str], str]) -> None:
        super().__init__()
        explanations = {
            "none": "Show the field as it is.",
            "flicker": "Switch the field on and off, twice a second.",
            "checkerboard": "Show the overview in every other square of the field.",
            "difference": "Show how far field and overview differ, with their brightness matched.",
            "bent": "Show a quadratic placement as bent as it is; the layer shows the nearest straight one.",
        }
        self.buttons: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 6, 4, 4)
        for number, view in enumerate(get_args(View)):
            made = button(
                "Plain" if view == "none" else view.capitalize(), explanations[view], checkable=True
            )
            made.clicked.connect(lambda _=False, view=view: self.viewed.emit(view))
            group.addButton(made)
            grid.addWidget(made, number // 2, number % 2)
            self.buttons[view] = made
        self.buttons["none"].setChecked(True)
        self.by_verdict = CheckBox(mark("Opacity by verdict"))
        self.by_verdict.setToolTip(tooltip("Show fields the fainter the less sure their placement is."))
        rows = grid.rowCount()
        grid.addWidget(self.by_verdict, rows, 0, 1, 2)
        grid.setRowStretch(rows + 1, 1)

    @property
    def view(self) -> str:
        """The view that is on."""
        return next(view for view, made in self.buttons.items() if made.isChecked())

    def reset(self) -> None:
        """Show that no view is on."""
        self.buttons["none"].setChecked(True)


class LocatePanel(QWidget):
    """Click on the overview, and jump to a field that shows the spot.

    Attributes
    ----------
    chosen : Signal
        Emitted with the name of a field to jump to.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.listen = button(
            "Locate on overview",
            "Click on a spot in the canvas to list the fields that show it.",
            checkable=True,
        )
        self.note = QLabel("The fields that show the spot appear here; a click on one jumps to it.")
        self.note.setWordWrap(True)
        self.list = QListWidget()
        self.list.setAccessibleName("Fields that show the spot")
        self.list.setMaximumHeight(110)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        for widget in (self.listen, self.note, self.list):
            layout.addWidget(widget)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)

    def show_hits(self, hits: list[Hit]) -> None:
        """List the fields of a spot."""
        self.list.clear()
        for hit in hits:
            size = "" if hit.placement.field_um is None else f", {hit.placement.field_um:.3g} µm per pixel"
            name = hit.placement.name
            item = QListWidgetItem(f"{name}: {hit.zoom:.1f}× finer{size}, {verdict(hit.placement)}")
            item.setData(256, name)  # Qt.ItemDataRole.UserRole
            self.list.addItem(item)
        self.note.setText(
            f"{len(hits)} fields show the spot." if len(hits) != 1 else "1 field shows the spot."
        )

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(256))
