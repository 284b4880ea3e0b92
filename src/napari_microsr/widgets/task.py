"""One computation in napari's worker thread, with its progress, its cancel and its end."""

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.core.progress import Cancelled

#: Milliseconds between two looks at the progress.
REPORT_MS = 100


class Task(QObject):
    """A computation in the background; it is the `Progress` that the computation reports to.

    The worker runs a plain function: napari's generator workers swallow RuntimeError, which is what every
    torch error is. Signals arrive in the main thread, and `ended` is emitted however the computation ends.
    It knows no widget, so a widget may be closed while it runs.

    Parameters
    ----------
    title : str
        What napari calls it when it asks whether to close the window.
    work : callable
        Called in the worker thread with this task.
    """

    advanced = Signal(str, int, int)
    warned = Signal(str)
    announced = Signal(object)
    ended = Signal()

    def __init__(self, title: str, work: "Callable[[Task], Any]") -> None:
        super().__init__()
        self._title = title
        self._work: Callable[[Task], Any] | None = work
        self._step: tuple[str, int, int] | None = None
        # The worker only notes its steps: a signal for each would fill the event loop.
        self._timer = QTimer(self)
        self._timer.setInterval(REPORT_MS)
        self._timer.timeout.connect(self._report)
        self.result: Any = None
        self.error: Exception | None = None
        self.cancelled = False
        # napari registers the worker with its window: closing asks first, and then cancels.
        self._worker = create_worker(self, _ignore_errors=True)
        self._worker.errored.connect(self._failed)
        self._worker.finished.connect(self._finished)

    def start(self) -> None:
        """Begin."""
        self._timer.start()
        self._worker.start()

    def cancel(self) -> None:
        """Ask the computation to stop at its next step."""
        self._worker.quit()

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return bool(self._worker.abort_requested)

    def __call__(self) -> None:
        """Compute. Called in the worker thread."""
        assert self._work is not None
        try:
            self.result = self._work(self)
        except Cancelled:
            self.cancelled = True
        finally:
            # napari keeps finished workers in its list; the image must not stay with them.
            self._work = None

    def __repr__(self) -> str:
        return self._title

    def advance(self, label: str, done: int, total: int) -> None:
        """Note a step. Called in the worker thread.

        Raises
        ------
        Cancelled
            If the user asked to stop.
        """
        if self.cancelling:
            raise Cancelled
        self._step = (label, done, total)

    def warn(self, message: str) -> None:
        """Pass a warning on. Called in the worker thread."""
        self.warned.emit(message)

    def _report(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self.advanced.emit(*step)

    def _failed(self, error: Exception) -> None:
        self.error = error

    def _finished(self) -> None:
        self._timer.stop()
        self.ended.emit()
