"""The placements that the widget shows, with their history; layers, outlines and table follow it."""

from collections.abc import Iterator
from dataclasses import replace

from qtpy.QtCore import QObject, Signal

from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


class PlacementBook(QObject):
    """The present placement of each field, in the order in which the fields came.

    Attributes
    ----------
    changed : Signal
        Emitted with the name of a field whose placement is new.
    overviews : dict
        What is known of each overview, by its name.
    """

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.overviews: dict[str, OverviewInfo] = {}
        self._fields: dict[str, FieldPlacement] = {}
        self._steps: list[dict[str, FieldPlacement | None]] = []
        self._result = Placements([], [])

    def __iter__(self) -> Iterator[FieldPlacement]:
        return iter(list(self._fields.values()))

    def __len__(self) -> int:
        return len(self._fields)

    def get(self, name: str) -> FieldPlacement | None:
        """Return the placement of a field, None for one that was never searched."""
        return self._fields.get(name)

    def summary(self) -> str:
        """Say how many fields were found."""
        counts = dict.fromkeys(("placed", "uncertain", "not_found"), 0)
        for placement in self:
            counts[placement.status] += 1
        return ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts.items() if n) + "."

    def begin(self) -> None:
        """Begin a step: what is put from now on is taken back together."""
        self._steps.append({})

    def put(self, placement: FieldPlacement) -> None:
        """Note a placement, unless the field is locked."""
        former = self._fields.get(placement.name)
        if former is not None and former.locked:
            return
        if self._steps:
            self._steps[-1].setdefault(placement.name, former)
        self._fields[placement.name] = placement
        self.changed.emit(placement.name)

    def finish(self, result: Placements) -> None:
        """Note the result of a whole run, whose placements may be better than those announced one by one."""
        self._result = result
        self.overviews |= {overview.name: overview for overview in result.overviews}
        for placement in result.fields:
            self.put(placement)
        # They may have come in another order than they were given.
        given = {placement.name: self._fields[placement.name] for placement in result.fields}
        self._fields = given | self._fields
        if given:
            self.changed.emit(next(iter(given)))

    def lock(self, name: str, locked: bool) -> None:
        """Keep a placement as it is in later runs, or not. That is no step of the history."""
        self._fields[name] = replace(self._fields[name], locked=locked)
        self.changed.emit(name)

    def undo(self) -> list[str]:
        """Take the last step back, and return the names of its fields; locked ones stay."""
        while self._steps and not self._steps[-1]:
            self._steps.pop()
        if not self._steps:
            return []
        back = {name: old for name, old in self._steps.pop().items() if not self._fields[name].locked}
        for name, old in back.items():
            if old is None:
                del self._fields[name]
            else:
                self._fields[name] = old
            self.changed.emit(name)
        return list(back)

    def placements(self) -> Placements:
        """Return all of it as the result of a registration, to be exported or built upon."""
        return replace(
            self._result, overviews=list(self.overviews.values()), fields=list(self._fields.values())
        )
