"""The table of a batch: one row per image, with how far it is and what to know of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_microsr.batch.manifest import ItemState
from napari_microsr.widgets.form import tooltip

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
_COLOUR_PX, _MARGIN_PX = 10, 20


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


#: Title, explanation, text, and what to sort by.
_COLUMNS: list[tuple[str, str, Callable[[ItemState], str], Callable[[ItemState], Any]]] = [
    ("Image", "Its name in the run, and that of its result.", lambda s: s.key, lambda s: s.key.casefold()),
    ("State", "How far it is.", state_text, lambda s: _ORDER.index(s.state)),
    (
        "Time (s)",
        "What it took.",
        lambda s: f"{s.seconds:.1f}" if s.seconds else "",
        lambda s: float(s.seconds),
    ),
    ("Note", "Why it failed and what to do; warnings; figures.", note, note),
]


class BatchModel(QAbstractTableModel):
    """One row per image, one column per thing to know.

    Attributes
    ----------
    rows : list of ItemState
        In the order of the batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ItemState] = []
        self._places: dict[str, int] = {}

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the images."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802 - Qt's name
        """Return title and explanation of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section][0]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return tooltip(_COLUMNS[section][1])
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows, or what it is sorted by."""
        state = self.rows[index.row()]
        _, _, text, key = _COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text(state)
        if role == Qt.ItemDataRole.UserRole:
            return key(state)
        if role == Qt.ItemDataRole.ToolTipRole:
            # Names of files are not ours: a sign of rich text in one is shown as it is.
            return tooltip(escape(note(state) or state.source or state.key))
        if role == Qt.ItemDataRole.DecorationRole and index.column() == _STATE:
            colour = QPixmap(_COLOUR_PX, _COLOUR_PX)
            colour.fill(QColor(COLOURS[state.state]))
            return colour
        return None

    def begin(self, states: Iterable[ItemState] = ()) -> None:
        """Show these images only."""
        self.beginResetModel()
        self.rows = list(states)
        self._places = {state.key: row for row, state in enumerate(self.rows)}
        self.endResetModel()

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
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(_COLUMNS) - 1))


class BatchTable(QTableView):
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
        super().__init__()
        self.states = BatchModel()
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.states)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        # As they came, until a title is clicked.
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setStretchLastSection(True)
        self.setMinimumHeight(150)
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
        rows = self.selectionModel().selectedRows()
        return self.states.rows[self._sorted.mapToSource(rows[0]).row()] if rows else None

    def take(self, states: list[ItemState]) -> None:
        """Show new states; the first ones make the columns as wide as what they show."""
        first = not self.states.rows
        self.states.take(states)
        if not first or not states:
            return
        self.resizeColumnsToContents()
        self.setColumnWidth(0, min(self.columnWidth(0), max(self.viewport().width() // 2, 90)))
        widest = self.fontMetrics().horizontalAdvance("running 100 %") + _COLOUR_PX + _MARGIN_PX
        self.setColumnWidth(_STATE, max(self.columnWidth(_STATE), widest))
