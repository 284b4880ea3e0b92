"""The table of a batch: one row per image, with how far it is and what to know of it."""

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHeaderView

from napari_microsr.batch.manifest import ItemState
from napari_microsr.widgets.form import tooltip
from napari_microsr.widgets.table_model import COLOUR_PX, Column, SortedTable, TableModel

#: Colour of each state; sorted by it, the first come first.
COLOURS = {
    "failed": "#d9534f",
    "cancelled": "#e0a030",
    "running": "#4a90d9",
    "waiting": "#9a9a9a",
    "done": "#4caf50",
}
_ORDER = list(COLOURS)
_STATE = 1
_MARGIN_PX = 20


def state_text(state: ItemState) -> str:
    """Say how far an image is: "running 42 %"."""
    return f"running {state.share:.0%}".replace("%", " %") if state.state == "running" else state.state


def note(state: ItemState) -> str:
    """Say what to know of an image: why it failed and what to do, what was warned of, its figures."""
    shown = [f"{name.replace('_', ' ')} {_short(value)}" for name, value in state.figures.items()]
    parts = [state.error, state.remedy, *state.warnings, ", ".join(shown)]
    return " ".join(filter(None, parts))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def count_text(states: Iterable[ItemState]) -> str:
    """Say how many images are how far: "12 images: 1 failed, 8 waiting, 3 done"."""
    counts = Counter[str](state.state for state in states)
    total = counts.total()
    said = ", ".join(f"{counts[name]} {name}" for name in _ORDER if counts[name])
    return f"{total} image{'s' * (total != 1)}: {said}" if total else "No images yet: press Preview."


_COLUMNS: list[Column[ItemState]] = [
    Column(
        "Image", "Its name in the run, and that of its result.", lambda s: s.key, lambda s: s.key.casefold()
    ),
    Column("State", "How far it is.", state_text, lambda s: _ORDER.index(s.state)),
    Column(
        "Time (s)",
        "What it took.",
        lambda s: f"{s.seconds:.1f}" if s.seconds else "",
        lambda s: float(s.seconds),
    ),
    Column("Note", "Why it failed and what to do; warnings; figures.", note, note),
]


class BatchModel(TableModel[ItemState]):
    """One row per image, one column per thing to know."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS, coloured=_STATE)
        self._places: dict[str, int] = {}

    def explain(self, row: ItemState, column: Column[ItemState]) -> str:
        """Return what to know of an image; a sign of rich text in a file's name is shown as it is."""
        return tooltip(escape(note(row) or row.source or row.key))

    def colour(self, row: ItemState) -> str:
        """Return the colour of the state."""
        return COLOURS[row.state]

    def begin(self, states: Iterable[ItemState] = ()) -> None:
        """Show these images only."""
        rows = list(states)
        self._places = {state.key: row for row, state in enumerate(rows)}
        self.replace(rows)

    def take(self, states: Iterable[ItemState]) -> None:
        """Show new states of images; those that are not there yet come below the others."""
        latest = {state.key: state for state in states}
        new = [state for key, state in latest.items() if key not in self._places]
        if new:
            self.begin([*(latest.get(state.key, state) for state in self.rows), *new])
            return
        for key, state in latest.items():
            row = self._places[key]
            self.rows[row] = state
            self.changed(row)


class BatchTable(SortedTable[ItemState]):
    """The table.

    Attributes
    ----------
    chosen : Signal
        Another row is chosen, or what it says has changed.
    opened : Signal
        A row was double-clicked.
    """

    chosen = Signal()
    opened = Signal()

    def __init__(self) -> None:
        self.states = BatchModel()
        super().__init__(self.states)
        self.setWordWrap(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setObjectName("batch")
        self.setAccessibleName("Images of the batch")
        for event in (
            self.selectionModel().selectionChanged,
            self.states.dataChanged,
            self.states.modelReset,
        ):
            event.connect(lambda *_: self.chosen.emit())
        self.doubleClicked.connect(lambda _: self.opened.emit())

    def current(self) -> ItemState | None:
        """Return the state of the chosen image."""
        return self.current_row()

    def take(self, states: list[ItemState]) -> None:
        """Show new states; the first ones make the columns as wide as what they show."""
        first = not self.states.rows
        self.states.take(states)
        if not first or not states:
            return
        self.resizeColumnsToContents()
        self.setColumnWidth(0, min(self.columnWidth(0), max(self.viewport().width() // 2, 90)))
        widest = self.fontMetrics().horizontalAdvance("running 100 %") + COLOUR_PX + _MARGIN_PX
        self.setColumnWidth(_STATE, max(self.columnWidth(_STATE), widest))
