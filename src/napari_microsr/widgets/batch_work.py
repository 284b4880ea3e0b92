"""What the widget Batch computes in the worker thread."""

from dataclasses import replace
from typing import NamedTuple

from napari_microsr.batch.forecast import foretell
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.jobs import make_jobs
from napari_microsr.batch.manifest import ItemState, Manifest
from napari_microsr.batch.run import BatchRun
from napari_microsr.core.progress import Progress


class ImagesProgress:
    """Counts the images of a batch only; what happens within one, the table says.

    Parameters
    ----------
    whole : Progress
        Told how many images are done; may cancel.
    """

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def advance(self, label: str, done: int, total: int) -> None:
        """Pass the count on. Its label stays the same, so that the time left can be told."""
        self._whole.advance("images", done, total)

    def warn(self, message: str) -> None:
        """Leave a warning to the table, which has it beside its image."""


def preview(batch: BatchJob) -> list[ItemState]:
    """Return the images of a batch: what is done and what failed as the manifest says, else waiting.

    Parameters
    ----------
    batch : BatchJob
        What to do; nothing is done or written.

    Raises
    ------
    MicroSRError
        If inputs or settings are wrong.
    """
    jobs = make_jobs(batch)
    manifest = Manifest(batch.output, read_only=True)
    run = BatchRun(manifest, [(item.key, job) for item, job in jobs], {i.key: i.group for i, _ in jobs})
    return [run.as_noted(key) for key in run.states]


class Estimate(NamedTuple):
    """What a batch would do, and what that takes in words."""

    states: list[ItemState]
    cost: str


def estimate(batch: BatchJob) -> Estimate:
    """Try a tile or a few frames, and return what the batch takes; images that cannot be read have failed.

    Raises
    ------
    MicroSRError
        As `preview` does.
    """
    forecast = foretell(batch)
    faults = {item.key: item.error for item in forecast.items if item.error}
    states = [
        replace(state, state="failed", error=faults[state.key], remedy="") if state.key in faults else state
        for state in preview(batch)
    ]
    return Estimate(states, forecast.lines()[-1])
