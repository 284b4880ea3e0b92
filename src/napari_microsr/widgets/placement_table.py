"""The table of placements: sortable; a click selects a field and shows it."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_microsr.registration.geometry import parts
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.form import tooltip
from napari_microsr.widgets.outlines import COLOURS
from napari_microsr.widgets.placement_book import PlacementBook

#: How the verdicts are called.
VERDICTS = {"placed": "placed", "uncertain": "uncertain", "not_found": "not found"}
Key = str | float


def zoom(placement: FieldPlacement) -> float | None:
    """Return how many times finer a field's pixels are than those of its overview."""
    return None if placement.matrix_yx is None else 1 / parts(placement.matrix_yx).scale


def verdict(placement: FieldPlacement) -> str:
    """Return the verdict in words, with what a person did."""
    marks = [VERDICTS[placement.status], "by hand" * placement.manual, "🔒" * placement.locked]
    return ", ".join(filter(None, marks))


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "" if value is None else f"{value:.{digits}f}{sign}"


#: Title, explanation, text, and what to sort by.
_COLUMNS: list[tuple[str, str, Callable[[FieldPlacement], str], Callable[[FieldPlacement], Key | None]]] = [
    ("Field", "Name of the field.", lambda p: p.name, lambda p: p.name.casefold()),
    ("Verdict", "Whether the field was found on an overview.", verdict, verdict),
    (
        "Score",
        "Correlation of field and overview in their fine structure; 1 is best.",
        lambda p: _number(p.score, 2),
        lambda p: p.score,
    ),
    (
        "Error (µm)",
        "How far off the placement is expected to be.",
        lambda p: _number(p.expected_error_um, 2),
        lambda p: p.expected_error_um,
    ),
    ("Zoom", "How many times finer than the overview.", lambda p: _number(zoom(p), 1, "×"), zoom),
    (
        "Pixel (µm)",
        "Size of the field's pixels, as found.",
        lambda p: _number(p.field_um, 3),
        lambda p: p.field_um,
    ),
    ("Overview", "On which overview it lies.", lambda p: p.overview or "", lambda p: p.overview or ""),
    ("Reason", "What to know or to do.", lambda p: p.reason, lambda p: p.reason),
]


class PlacementModel(QAbstractTableModel):
    """One row per field, one column per thing to know."""

    def __init__(self, book: PlacementBook) -> None:
        super().__init__()
        self._book = book
        self.rows: list[FieldPlacement] = []
        book.changed.connect(self._changed)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the fields."""
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
        placement = self.rows[index.row()]
        _, _, text, key = _COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text(placement)
        if role == Qt.ItemDataRole.UserRole:
            value = key(placement)
            return float("inf") if value is None else value
        if role == Qt.ItemDataRole.ToolTipRole:
            return tooltip(placement.reason or text(placement))
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 1:
            colour = QPixmap(10, 10)
            colour.fill(QColor(COLOURS[placement.status]))
            return colour
        return None

    def _changed(self, name: str) -> None:
        rows = list(self._book)
        if [p.name for p in rows] != [p.name for p in self.rows]:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()
            return
        self.rows = rows
        row = next(i for i, placement in enumerate(rows) if placement.name == name)
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(_COLUMNS) - 1))


class PlacementTable(QTableView):
    """The table.

    Attributes
    ----------
    chosen : Signal
        Emitted with the name of the field that the user chose, by mouse or keyboard.

    Parameters
    ----------
    book : PlacementBook
        What it shows.
    """

    chosen = Signal(str)

    def __init__(self, book: PlacementBook) -> None:
        super().__init__()
        self._model = PlacementModel(book)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        # As they came, until a title is clicked.
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setStretchLastSection(True)
        self.setMinimumHeight(150)
        self.setObjectName("placements")
        self.setAccessibleName("Placements of the fields")
        self._model.modelReset.connect(self._choose_kept)
        self._kept: str | None = None
        self._quiet = False
        self.selectionModel().selectionChanged.connect(self._chosen)

    def current(self) -> str | None:
        """Return the name of the chosen field."""
        rows = self.selectionModel().selectedRows()
        return self._model.rows[self._sorted.mapToSource(rows[0]).row()].name if rows else None

    def choose(self, name: str, *, quiet: bool = False) -> None:
        """Choose a field as if the user had clicked on it; `quiet` leaves the view as it is."""
        before, self._quiet = self._quiet, quiet or self._quiet
        for row, placement in enumerate(self._model.rows):
            if placement.name == name:
                self.selectRow(self._sorted.mapFromSource(self._model.index(row, 0)).row())
        self._quiet = before

    def _chosen(self, *_: object) -> None:
        name = self.current()
        self._kept = name or self._kept
        if name is not None and not self._quiet:
            self.chosen.emit(name)

    def _choose_kept(self) -> None:
        """Choose the same field after the rows have changed; the view stays as it is."""
        if self._kept is not None:
            self.choose(self._kept, quiet=True)
