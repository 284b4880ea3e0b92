"""What the sortable tables share: one row per thing, one column per thing to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_microsr.widgets.form import tooltip

Row = TypeVar("Row")
COLOUR_PX = 10
_ROW_PX, _HEIGHT_PX = 22, 150


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its title, its explanation, what a cell shows, and what it is sorted by."""

    title: str
    explanation: str
    text: Callable[[Row], str]
    key: Callable[[Row], Any]


class TableModel(QAbstractTableModel, Generic[Row]):
    """The table; a subclass says how a row is explained and coloured.

    Parameters
    ----------
    columns : list of Column
        What is shown of a row.
    coloured : int
        The column beside whose text the row's colour stands.

    Attributes
    ----------
    rows : list
        What is shown.
    """

    def __init__(self, columns: list[Column[Row]], coloured: int) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._columns, self._coloured = columns, coloured

    def explain(self, row: Row, column: Column[Row]) -> str:
        """Return the tooltip of a cell, as rich text."""
        raise NotImplementedError

    def colour(self, row: Row) -> str:
        """Return the colour of a row."""
        raise NotImplementedError

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the rows."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802 - Qt's name
        """Return title and explanation of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section].title
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return tooltip(self._columns[section].explanation)
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows, or what it is sorted by."""
        row, column = self.rows[index.row()], self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.UserRole:
            return column.key(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.explain(row, column)
        if role == Qt.ItemDataRole.DecorationRole and index.column() == self._coloured:
            colour = QPixmap(COLOUR_PX, COLOUR_PX)
            colour.fill(QColor(self.colour(row)))
            return colour
        return None

    def replace(self, rows: list[Row]) -> None:
        """Show these rows only."""
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def changed(self, row: int) -> None:
        """Tell the views that a row is another one."""
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(self._columns) - 1))


class SortedTable(QTableView, Generic[Row]):
    """A table that is sorted by a click on a title, of which one row is chosen.

    Parameters
    ----------
    model : TableModel
        What is shown, in the order in which it comes until a title is clicked.
    """

    def __init__(self, model: TableModel[Row]) -> None:
        super().__init__()
        self._rows = model
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.horizontalHeader().setStretchLastSection(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_PX)
        self.setMinimumHeight(_HEIGHT_PX)

    def current_row(self) -> Row | None:
        """Return what the chosen row shows."""
        rows = self.selectionModel().selectedRows()
        return self._rows.rows[self._sorted.mapToSource(rows[0]).row()] if rows else None

    def choose_row(self, row: int) -> None:
        """Choose a row, by its place before sorting."""
        self.selectRow(self._sorted.mapFromSource(self._rows.index(row, 0)).row())
