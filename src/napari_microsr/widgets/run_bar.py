"""The bar of a run: how far it is, and how long the rest takes."""

import time

from qtpy.QtWidgets import QProgressBar


class RunBar(QProgressBar):
    """A bar that is there while something runs."""

    def __init__(self) -> None:
        super().__init__()
        self._began = (0.0, 0)
        self._label = ""
        self.setTextVisible(True)
        self.hide()

    def begin(self) -> None:
        """Show that something starts."""
        self._label = ""
        self.setRange(0, 0)
        self.setFormat("starting")
        self.show()

    def advance(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps are finished."""
        if label != self._label:
            self._label, self._began = label, (time.monotonic(), done)
        since, first = self._began
        self.setRange(0, total)
        self.setValue(done)
        self.setFormat(progress_text(label, done, total, time.monotonic() - since, first))


def progress_text(label: str, done: int, total: int, seconds: float, first: int) -> str:
    """Say how far a run is and how long the rest takes: "tiles 12/340, 3 min left".

    Parameters
    ----------
    label : str
        What is counted.
    done, total : int
        How much of it.
    seconds : float
        Since the count stood at `first`.
    first : int
        What was done before this run.
    """
    text = f"{label} {done}/{total}"
    if done <= first or done >= total:
        return text
    left = seconds / (done - first) * (total - done)
    if left < 60:
        return f"{text}, {max(round(left), 1)} s left"
    if left < 3600:
        return f"{text}, {round(left / 60)} min left"
    return f"{text}, {left / 3600:.1f} h left"
