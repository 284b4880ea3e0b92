"""What a run has found, or a file holds: the table, which of it is kept, and its drift."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_microsr.smlm.filters import by_ranges
from napari_microsr.smlm.localizations import Localizations, concatenate

#: Rows that a histogram is made of while a run goes on.
SAMPLED_ROWS = 200_000
#: More blocks than these are joined, so that plots need not go through thousands of them.
MOST_PARTS = 128
#: Filters of so many rows delay nobody.
QUICK_ROWS = 500_000
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Choice:
    """Some rows of a table.

    Attributes
    ----------
    table : Localizations
        The table.
    ranges : dict
        Lowest and highest value of columns by name; of a column that the table does not know it is left out.
    known : Localizations or None
        The rows, where they have been chosen before.
    """

    table: Localizations
    ranges: dict[str, Range]
    known: Localizations | None = None

    def rows(self) -> Localizations:
        """Choose them."""
        if self.known is not None or not self.ranges:
            return self.table if self.known is None else self.known
        ranges = {name: limits for name, limits in self.ranges.items() if self._has(name)}
        return self.table.select(by_ranges(self.table, ranges))

    def _has(self, name: str) -> bool:
        values = getattr(self.table, name)
        return not len(values) or not bool(np.isnan(values).all())


class Findings(QObject):
    """A table that grows during a run, with the user's filters and correction.

    Attributes
    ----------
    grew : Signal
        Rows were added.
    replaced : Signal
        There is another table, or none.
    changed : Signal
        Other rows are kept, or they lie elsewhere.
    counted : Signal
        It is known which rows are kept.
    ranges : dict
        Lowest and highest value of columns by name; see `by_ranges`.
    """

    grew = Signal()
    replaced = Signal()
    changed = Signal()
    counted = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._parts: list[Localizations] = []
        self._moved: Localizations | None = None
        self._kept: Localizations | None = None
        self.ranges: dict[str, Range] = {}

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def known(self) -> bool:
        """Whether there is a table, be it an empty one."""
        return bool(self._parts)

    @property
    def table(self) -> Localizations | None:
        """All that was found, as it was found."""
        if len(self._parts) > 1:
            self._parts = [concatenate(self._parts)]
        return self._parts[0] if self._parts else None

    @property
    def moved(self) -> Localizations | None:
        """All that was found, free of drift where that is known."""
        return self.table if self._moved is None else self._moved

    @property
    def kept(self) -> Localizations | None:
        """What the filters leave of `moved`."""
        if self._kept is None and self.moved is not None:
            self._kept = self.keep(self.moved)
        return self._kept

    @property
    def is_counted(self) -> bool:
        """Whether `kept` costs no time."""
        return self._kept is not None or len(self) <= QUICK_ROWS

    @property
    def choice(self) -> "Choice | None":
        """What `kept` is computed of, for another thread; None without a table."""
        return None if self.moved is None else Choice(self.moved, dict(self.ranges), self._kept)

    def take(self, choice: "Choice", kept: Localizations) -> None:
        """Take what was computed of a choice, if it is still this one."""
        if choice.table is self.moved and choice.ranges == self.ranges:
            self._kept = kept
            self.counted.emit()

    @property
    def corrected(self) -> bool:
        """Whether the drift is taken out."""
        return self._moved is not None

    def keep(self, rows: Localizations) -> Localizations:
        """Return what the filters leave of some rows."""
        return Choice(rows, self.ranges).rows()

    def begin(self, table: Localizations | None) -> None:
        """Take another table."""
        self._parts = [] if table is None else [table]
        self._moved = self._kept = None
        self.replaced.emit()

    def grow(self, rows: Localizations) -> None:
        """Take more rows."""
        self._parts.append(rows)
        if len(self._parts) > MOST_PARTS:
            self._parts = [concatenate(self._parts)]
        self._kept = None
        self.grew.emit()

    def correct(self, moved: Localizations | None) -> None:
        """Take the same rows free of drift; None goes back."""
        self._moved, self._kept = moved, None
        self.changed.emit()

    def limit(self, name: str, limits: Range | None) -> None:
        """Keep only rows whose column lies between two values; None keeps all."""
        if self.ranges.get(name) == limits:
            return
        if limits is None:
            self.ranges.pop(name)
        else:
            self.ranges[name] = limits
        self._kept = None
        self.changed.emit()

    def sample(self, name: str) -> NDArray[np.float64]:
        """Return the finite values of a column, of every n-th row where there are many."""
        step = max(1, len(self) // SAMPLED_ROWS)
        values = [
            np.asarray(getattr(part.select(slice(None, None, step)), name), float) for part in self._parts
        ]
        joined = np.concatenate(values) if values else np.zeros(0)
        return joined[np.isfinite(joined)]

    def per_frame(self) -> NDArray[np.int64]:
        """Return how many localisations each frame of the stack has, shape (n_frames,)."""
        if not self._parts:
            return np.zeros(0, np.int64)
        frames = max(part.n_frames for part in self._parts)
        total = np.zeros(frames, np.int64)
        for part in self._parts:
            if len(part):
                first = int(part.frame.min())
                counts = np.bincount(part.frame - first)
                total[first : first + len(counts)] += counts
        return total
