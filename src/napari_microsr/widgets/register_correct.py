"""What the buttons of the panel Correct do."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_microsr.core.progress import Progress
from napari_microsr.errors import MicroSRError
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.correction import HandCorrection
from napari_microsr.widgets.layers import source_from_layer
from napari_microsr.widgets.placement_table import VERDICTS
from napari_microsr.widgets.register_work import Correction, Corrector, How
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    from napari_microsr.widgets.register import RegisterWidget


class CorrectDesk(QObject):
    """Takes what a person does with the chosen field to the hand, the method and the book.

    Parameters
    ----------
    widget : RegisterWidget
        With the panel, the table and the placements.
    hand : HandCorrection
        Moves fields.
    """

    def __init__(self, widget: "RegisterWidget", hand: HandCorrection) -> None:
        super().__init__(widget)
        self._widget, self.hand = widget, hand
        self._corrector = Corrector()
        panel = widget.correct
        panel.move.clicked.connect(self._move)
        panel.landmarks.clicked.connect(self._landmarks)
        panel.fit.clicked.connect(self._fit)
        panel.refine.clicked.connect(lambda: self._correct("refine"))
        panel.score.clicked.connect(lambda: self._correct("score"))
        panel.lock.clicked.connect(self._lock)
        panel.undo.clicked.connect(self._undo)
        widget.book.changed.connect(self._changed)
        widget.placed.moved.connect(self._moved)
        self._enable()

    def choose(self, name: str) -> None:
        """End what was going on with another field."""
        if self.hand.landmarks.name != name:
            self._end_landmarks()
        self._end_move()
        self._enable()

    def rest(self) -> None:
        """End what is going on in the canvas."""
        self._end_landmarks()
        self._end_move()

    def _move(self, on: bool) -> None:
        name = self._widget.table.current()
        try:
            self._end_landmarks()
            if on and name is not None:
                self.hand.move(name)
                self._widget.say(f"Drag {name} to its place, then press Refine from here.")
            else:
                self._end_move()
        except MicroSRError as error:
            self._widget.correct.move.setChecked(False)
            self._widget.say(str(error))

    def _landmarks(self, on: bool) -> None:
        name = self._widget.table.current()
        try:
            self._end_move()
            if on and name is not None:
                self.hand.mark(name)
                self._widget.say("Click on a place of the field, then on the same place of the overview.")
            else:
                self._end_landmarks()
        except MicroSRError as error:
            self._widget.correct.landmarks.setChecked(False)
            self._widget.say(str(error))

    def _end_move(self) -> None:
        self.hand.rest()
        self._widget.correct.move.setChecked(False)

    def _end_landmarks(self) -> None:
        self.hand.landmarks.end()
        self._widget.correct.landmarks.setChecked(False)
        self._widget.correct.note.clear()

    def _fit(self) -> None:
        name = self._widget.table.current()
        if name is None:
            return
        try:
            affine = self._widget.form.get()["transform"] != "similarity"
            residuals = self.hand.fit(name, affine=affine)
        except MicroSRError as error:
            self._widget.say(str(error))
            return
        unit = self._unit(name)
        each = ", ".join(f"{number}: {value:.2g}" for number, value in enumerate(residuals, 1))
        mean = float(np.sqrt(np.mean(np.square(residuals))))
        self._widget.correct.note.setText(f"Residuals in {unit}: {each}. Root mean square: {mean:.2g}.")
        self._correct("score")

    def _correct(self, how: How) -> None:
        """Have the present place of the field refined or scored."""
        widget, name = self._widget, self._widget.table.current()
        if name is None or widget.task is not None:
            return
        try:
            overview, matrix = self.hand.here(name)
            options = widget.options()
            field, below = widget.placed.field(name), widget.placed.overview(overview)
            assert field is not None
            assert below is not None
            images = source_from_layer(field), replace(source_from_layer(below), name=overview)
        except MicroSRError as error:
            widget.say(str(error))
            return
        former = widget.book.get(name)
        assert former is not None
        task = Correction(*images, matrix, how)

        def work(progress: Progress) -> FieldPlacement:
            return self._corrector(task, former, options, lambda: progress.advance("preparing", 0, 0))

        widget.do(f"Register: {name}", work, self._corrected)

    def _corrected(self, task: Task) -> str:
        placement: FieldPlacement | None = task.result
        if placement is None:
            return "Cancelled." if task.cancelled else ""
        self._widget.book.begin()
        self._widget.book.put(placement)
        error = placement.expected_error_um
        sure = "" if error is None else f", expected error {error:.2g} µm"
        text = f"{placement.name}: {VERDICTS[placement.status]}, score {placement.score:.2f}{sure}."
        return f"{text} {placement.reason}".strip()

    def _lock(self, on: bool) -> None:
        name = self._widget.table.current()
        if name is not None:
            self._widget.book.lock(name, on)

    def _undo(self) -> None:
        """Put a moved field back or, where none was moved, take the last step back."""
        name = self._widget.table.current()
        if name is not None and self._widget.placed.is_moved(name):
            self._widget.placed.show(name)
            self._widget.say(f"{name} is back where it was.")
        else:
            names = self._widget.book.undo()
            self._widget.say(
                f"Taken back: {', '.join(names)}." if names else "There is nothing to take back."
            )
        self.hand.landmarks.follow()

    def _moved(self, name: str) -> None:
        if self._widget.table.current() != name:
            self._widget.table.choose(name, quiet=True)
        self.hand.landmarks.follow()
        self._widget.say(f"{name} was moved by hand: Refine from here, Score here, or Undo.")
        self._enable()

    def _changed(self, _name: str) -> None:
        self._enable()

    def _enable(self) -> None:
        """Offer what can be done with the chosen field."""
        name = self._widget.table.current()
        placement = None if name is None else self._widget.book.get(name)
        panel = self._widget.correct
        free = placement is not None and not placement.locked
        for made in (panel.move, panel.landmarks, panel.fit, panel.refine, panel.score):
            made.setEnabled(free)
        panel.lock.setEnabled(placement is not None)
        panel.lock.setChecked(placement is not None and placement.locked)

    def _unit(self, name: str) -> str:
        layer = self._widget.placed.field(name)
        return "pixels" if layer is None else f"{layer.units[-1]:~P}"
