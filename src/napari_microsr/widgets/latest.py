"""Computations in the background of which only the newest counts."""

import contextlib
from collections.abc import Callable
from threading import Thread
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_microsr.errors import MicroSRError


class Latest(QObject):
    """Computes one thing at a time in a thread; of those that wait, only the newest is computed.

    Each computation has a thread of its own, so that none is left when the panel is closed.

    Attributes
    ----------
    done : Signal
        What the newest computation returned; what is out of date by then is not told.
    failed : Signal
        The MicroSRError that it raised.

    Parameters
    ----------
    name : str
        Of its thread.
    parent : QObject
        Ends with it.
    """

    done = Signal(object)
    failed = Signal(object)
    _ended = Signal(object, object)

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._name = name
        self._waiting: Callable[[], Any] | None = None
        self._busy = False
        self._ended.connect(self._take)

    @property
    def busy(self) -> bool:
        """Whether something is computed or waits."""
        return self._busy

    def submit(self, work: Callable[[], Any]) -> None:
        """Compute `work` next, in the place of what waits; it must not touch widgets or layers."""
        if self._busy:
            self._waiting = work
            return
        self._busy = True
        Thread(target=self._compute, args=(work,), name=self._name).start()

    def forget(self) -> None:
        """Drop what waits, and what is being computed."""
        self._waiting = _nothing if self._busy else None

    def _compute(self, work: Callable[[], Any]) -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as fault:  # noqa: BLE001 - shown in the main thread, where it is raised again
            error = fault
        # The panel may have been closed meanwhile.
        with contextlib.suppress(RuntimeError):
            self._ended.emit(result, error)

    def _take(self, result: Any, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, None
        self._busy = False
        if waiting is not None:
            if waiting is not _nothing:
                self.submit(waiting)
        elif isinstance(error, MicroSRError):
            self.failed.emit(error)
        elif error is not None:
            raise error
        else:
            self.done.emit(result)


def _nothing() -> None:
    """Stand for what is dropped."""
