"""What all commands share: the app, the bar that Ctrl-C cancels, the result on standard output."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App, Parameter

from napari_microsr import __version__
from napari_microsr.batch.perform import check_all_done, perform
from napari_microsr.core.job import Job
from napari_microsr.core.progress import Cancelled, ConsoleProgress

app = App(
    name="microsr",
    help="Registration, super-resolution and single-molecule localisation of microscopy images. "
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 cancelled.",
    version=__version__,
    result_action="return_value",
)

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]
DryRun = Annotated[
    bool, Parameter(negative="", help="Only print inputs, outputs, and the time, size and memory expected.")
]
Pattern = Annotated[
    str | None,
    Parameter(
        help="Of the names in a folder, such as {well}_s{field}_w{channel}.tif; or imagexpress, opera or "
        "cellvoyager."
    ),
]
Settings = Parameter(name="*")


class InterruptibleProgress(ConsoleProgress):
    """Turns the first Ctrl-C into a cancel at the next step; a second one stops at once."""

    interrupted = False
    step = "step"

    def interrupt(self, *_: object) -> None:
        """Remember a Ctrl-C (called by the signal)."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        self.warn(f"cancelling after this step ({self.step}); press Ctrl-C again to stop at once.")

    def advance(self, label: str, done: int, total: int) -> None:
        """Redraw the bar, or cancel."""
        if self.interrupted:
            raise Cancelled
        self.step = f"{label}, {done} of {total} done"
        super().advance(label, done, total)


@contextmanager
def console() -> Iterator[ConsoleProgress]:
    """Show progress, and let Ctrl-C cancel."""
    with InterruptibleProgress() as progress:
        before = signal.signal(signal.SIGINT, progress.interrupt)
        try:
            yield progress
        finally:
            signal.signal(signal.SIGINT, before)


def do(job: Job, **options: Any) -> dict[str, Any]:
    """Do a job with a bar.

    Raises
    ------
    MicroSRError
        As the task does.
    Cancelled
        That says what is left.
    """
    with console() as progress:
        try:
            return perform(job, progress, **options)
        except (Cancelled, KeyboardInterrupt) as stop:
            raise Cancelled(str(stop) or f"cancelled; {job.after_cancel}.") from None


def report(result: dict[str, Any], as_json: bool) -> None:
    """Print what was written, or all of the result as JSON.

    Raises
    ------
    BatchError
        If items of a batch failed.
    """
    if as_json:
        print(json.dumps(result))
    else:
        print("\n".join(str(path) for path in result["outputs"]))
    check_all_done(result)


def run_or_foretell(job: Job, dry_run: bool, as_json: bool) -> None:
    """Do a job and print what was written, or what it would do."""
    if not dry_run:
        report(do(job), as_json)
        return
    from napari_microsr.batch.forecast import foretell

    forecast = foretell(job)
    print(json.dumps(forecast.as_dict()) if as_json else "\n".join(forecast.lines()))
