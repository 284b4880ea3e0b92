"""The table of placements: sortable; a click selects a field and shows it."""

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHeaderView

from napari_microsr.registration.formats.exchange import best_affine
from napari_microsr.registration.geometry import apply, parts
from napari_microsr.registration.mosaic import outline
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.form import tooltip
from napari_microsr.widgets.outlines import COLOURS
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.table_model import Column, SortedTable, TableModel

#: How the verdicts are called.
VERDICTS = {"placed": "placed", "uncertain": "uncertain", "not_found": "not found"}


def zoom(placement: FieldPlacement) -> float | None:
    """Return how many times finer a field's pixels are than those of its overview."""
    return None if placement.matrix_yx is None else 1 / parts(placement.matrix_yx).scale


def verdict(placement: FieldPlacement) -> str:
    """Return the verdict in words, with what a person did."""
    marks = [VERDICTS[placement.status], "by hand" * placement.manual, "🔒" * placement.locked]
    return ", ".join(filter(None, marks))


def remark(placement: FieldPlacement) -> str:
    """Return the reason of a verdict, and what a layer cannot show of the placement."""
    if placement.quadratic_yx is None or placement.matrix_yx is None:
        return placement.reason
    edge = outline(placement.shape_yx)
    off = np.linalg.norm(placement.to_overview(edge) - apply(best_affine(placement), edge), axis=1).max()
    bow = f"Bent: the layer shows the nearest straight placement, up to {off:.2g} px of the overview off."
    return f"{placement.reason} {bow}".strip()


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "" if value is None else f"{value:.{digits}f}{sign}"


def _last(value: float | None) -> float:
    """Sort what is not known behind the rest."""
    return float("inf") if value is None else value


_COLUMNS: list[Column[FieldPlacement]] = [
    Column("Field", "Name of the field.", lambda p: p.name, lambda p: p.name.casefold()),
    Column("Verdict", "Whether the field was found on an overview.", verdict, verdict),
    Column(
        "Score",
        "Correlation of field and overview in their fine structure; 1 is best.",
        lambda p: _number(p.score, 2),
        lambda p: _last(p.score),
    ),
    Column(
        "Error (µm)",
        "How far off the placement is expected to be.",
        lambda p: _number(p.expected_error_um, 2),
        lambda p: _last(p.expected_error_um),
    ),
    Column(
        "Zoom",
        "How many times finer than the overview.",
        lambda p: _number(zoom(p), 1, "×"),
        lambda p: _last(zoom(p)),
    ),
    Column(
        "Pixel (µm)",
        "Size of the field's pixels, as found.",
        lambda p: _number(p.field_um, 3),
        lambda p: _last(p.field_um),
    ),
    Column("Overview", "On which overview it lies.", lambda p: p.overview or "", lambda p: p.overview or ""),
    Column("Reason", "What to know or to do.", remark, remark),
]


class PlacementModel(TableModel[FieldPlacement]):
    """One row per field, one column per thing to know."""

    def __init__(self, book: PlacementBook) -> None:
        super().__init__(_COLUMNS, coloured=1)
        self._book = book
        book.changed.connect(self._changed)

    def explain(self, row: FieldPlacement, column: Column[FieldPlacement]) -> str:
        """Return the reason of the verdict, or what the cell shows."""
        return tooltip(remark(row) or column.text(row))

    def colour(self, row: FieldPlacement) -> str:
        """Return the colour of the verdict."""
        return COLOURS[row.status]

    def _changed(self, name: str) -> None:
        rows = list(self._book)
        if [p.name for p in rows] != [p.name for p in self.rows]:
            self.replace(rows)
            return
        self.rows = rows
        self.changed(next(i for i, placement in enumerate(rows) if placement.name == name))


class PlacementTable(SortedTable[FieldPlacement]):
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
        super().__init__(PlacementModel(book))
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.setObjectName("placements")
        self.setAccessibleName("Placements of the fields")
        self._rows.modelReset.connect(self._choose_kept)
        self._kept: str | None = None
        self._quiet = False
        self.selectionModel().selectionChanged.connect(self._chosen)

    def current(self) -> str | None:
        """Return the name of the chosen field."""
        row = self.current_row()
        return None if row is None else row.name

    def choose(self, name: str, *, quiet: bool = False) -> None:
        """Choose a field as if the user had clicked on it; `quiet` leaves the view as it is."""
        before, self._quiet = self._quiet, quiet or self._quiet
        for row, placement in enumerate(self._rows.rows):
            if placement.name == name:
                self.choose_row(row)
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
