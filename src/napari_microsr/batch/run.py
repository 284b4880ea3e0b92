"""The loop of a batch: one job after the other, what is done is noted, what fails does not stop the rest."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from napari_microsr import __version__
from napari_microsr.batch.figures import figures_of
from napari_microsr.batch.fingerprint import fingerprint, model_of
from napari_microsr.batch.inputs import Item
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.jobs import make_jobs, plate_of
from napari_microsr.batch.manifest import MANIFEST, ItemState, Manifest
from napari_microsr.batch.plate import write_plate
from napari_microsr.batch.report import REPORT, write_report
from napari_microsr.batch.summary import write_summary
from napari_microsr.core.job import Job
from napari_microsr.core.lock import Lock
from napari_microsr.core.output import is_there, whole, writing
from napari_microsr.core.progress import Cancelled, Progress, SilentProgress
from napari_microsr.core.remote import is_remote, is_url, place_of
from napari_microsr.errors import MicroSRError, OutputError
from napari_microsr.tasks import TRAININGS, Result, perform

Watch = Callable[[ItemState], None]
SETTINGS = "batch.yaml"
#: Tasks whose result has its name only when it is complete.
WHOLE_OR_NOTHING = frozenset({"upscale", "localize", "merge", "pairs"})
#: Least time between two reports of one item's share.
SHARE_SECONDS = 0.25


def run_batch(
    batch: BatchJob,
    progress: Progress | None = None,
    watch: Watch | None = None,
    only: Collection[str] | None = None,
) -> list[ItemState]:
    """Do a task with every input that is not done yet.

    What the manifest says is done with the same settings, input and model, and whose result is there, is not
    done again. An interrupted item is resumed as its task does.

    Parameters
    ----------
    batch : BatchJob
        What to do.
    progress : Progress, optional
        Told of the items done, and within one of its steps; may cancel.
    watch : callable, optional
        Told of each item when its state changes, of all of them at the beginning, and of the share of the
        running one; in the thread of the run.
    only : collection of str, optional
        Keys of the items to do; the others stay as they are. None does all.

    Returns
    -------
    list of ItemState
        The end of each item. Manifest, summary and report lie in `batch.output`.

    Raises
    ------
    MicroSRError
        If inputs or settings are wrong, or the folder cannot be written or is in use.
    Cancelled
        If the progress asked to stop; what is done stays.
    """
    progress, watch = progress or SilentProgress(), watch or (lambda _: None)
    jobs = make_jobs(batch)
    with held(batch.output):
        manifest = Manifest(batch.output)
        with writing(batch.output), whole(batch.output / SETTINGS) as partial:
            partial.write_text(batch.to_yaml(), encoding="utf-8")
        run = BatchRun(manifest, [(item.key, job) for item, job in jobs], {i.key: i.group for i, _ in jobs})
        items = [item for item, _ in jobs]
        if manifest.last and not _is_reported(batch.output):
            _write_ends(
                batch, items, {key: run.as_noted(key) for key in run.states}
            )  # of a run that was killed
        try:
            return run.run(progress, watch, only)
        finally:
            _write_ends(batch, items, run.states)


class BatchRun:
    """Jobs that are done one after the other, in any order the same.

    Parameters
    ----------
    manifest : Manifest
        Of the run folder.
    jobs : sequence of (str, Job)
        Each under its key.
    groups : dict, optional
        What is known of each key, for tables.
    do : callable
        What does a job, as `tasks.perform` does.

    Attributes
    ----------
    states : dict
        How far each is, by key, in the order of the jobs.
    """

    def __init__(
        self,
        manifest: Manifest,
        jobs: Sequence[tuple[str, Job]],
        groups: dict[str, dict[str, str]] | None = None,
        do: Callable[..., Result] = perform,
    ) -> None:
        self.manifest, self.jobs, self._perform = manifest, dict(jobs), do
        self.states: dict[str, ItemState] = {}
        for key, job in jobs:
            now = ItemState(
                key,
                task=job.task,
                source=str(getattr(job, "source", "")),
                group=(groups or {}).get(key, {}),
                version=__version__,
            )
            self.states[key] = self._known(key, job, now)

    def run(self, progress: Progress, watch: Watch, only: Collection[str] | None = None) -> list[ItemState]:
        """Do what is not done; see `run_batch`."""
        ahead = [key for key, state in self.states.items() if state.state != "done"]
        if only is not None:
            self.states |= {key: self.as_noted(key) for key in ahead if key not in only}
            ahead = [key for key in ahead if key in only]
        for state in self.states.values():
            watch(state)
        total = len(self.jobs)
        for number, key in enumerate(ahead):
            done = total - len(ahead) + number
            self._do(key, self.jobs[key], ItemProgress(progress, key, done, total), watch)
        progress.advance("items", total, total)
        return list(self.states.values())

    def as_noted(self, key: str) -> ItemState:
        """Return how an item ended the last time, where that was no success and nothing has changed since."""
        state, last = self.states[key], self.manifest.last.get(key)
        ended = last is not None and last.state in ("failed", "cancelled")
        if last is None or not ended or last.fingerprint != state.fingerprint:
            return state
        return replace(last, group=state.group)

    def _known(self, key: str, job: Job, now: ItemState) -> ItemState:
        """Return what is left to do: nothing where the manifest and the result say so."""
        last = self.manifest.last.get(key)
        model = model_of(job)
        now = replace(now, fingerprint=fingerprint(job, model), model=model)
        outputs = outputs_of(job)
        if getattr(job, "restart", False) or isinstance(job, BatchJob):
            return now  # a batch in a chain knows by itself what is left of it
        if last is None or last.fingerprint != now.fingerprint or not all(map(_complete, outputs)):
            return now
        if last.state == "done":
            return replace(last, group=now.group)
        if job.task not in WHOLE_OR_NOTHING:
            return now
        # Stopped after the result got its name and before it was noted.
        found = replace(now, state="done", outputs=tuple(map(str, outputs)), time=_now())
        self.manifest.note(found)
        return found

    def _do(self, key: str, job: Job, progress: "ItemProgress", watch: Watch) -> None:
        last = self.manifest.last.get(key)
        state = replace(self.states[key], state="running", time=_now())
        if last is not None and last.fingerprint != state.fingerprint and "restart" in type(job).model_fields:
            job = job.model_copy(update={"restart": True})  # made by this batch, with other settings
        self._note(state, watch)
        progress.shown = lambda share: watch(replace(state, share=share))
        begun = time.monotonic()
        try:
            result = self._perform(job, progress, **self._options(job))
            outputs = tuple(result["outputs"])
            state = replace(state, state="done", outputs=outputs, figures=figures_of(job, result))
        except MicroSRError as error:
            state = replace(state, state="failed", error=error.cause, remedy=error.remedy)
            progress.said(f"failed. {error}")
        except BaseException as error:
            stopped = isinstance(error, Cancelled | KeyboardInterrupt)
            why = "" if stopped else f"{type(error).__name__}: {error}"
            state = replace(state, state="cancelled" if stopped else "failed", error=why)
            raise
        finally:
            seconds = round(time.monotonic() - begun, 3)
            self._note(replace(state, seconds=seconds, warnings=tuple(progress.warnings), time=_now()), watch)

    def _options(self, job: Job) -> dict[str, bool]:
        """Let a training go on from the checkpoint of an earlier start."""
        folder: Path = getattr(job, "folder", Path())
        return {"resume": True} if job.task in TRAININGS and (folder / "last.ckpt").exists() else {}

    def _note(self, state: ItemState, watch: Watch) -> None:
        self.manifest.note(state)
        self.states[state.key] = state
        watch(state)


class ItemProgress:
    """The progress of one item as a step of the batch's.

    Attributes
    ----------
    warnings : list of str
        What was said.
    shown : callable
        Told of the share that is done, now and then.
    """

    def __init__(self, whole: Progress, key: str, done: int, total: int) -> None:
        self._whole, self._key, self._done, self._total = whole, key, done, total
        self._reported = 0.0
        self.warnings: list[str] = []
        self.shown: Callable[[float], None] = lambda _: None

    def advance(self, label: str, done: int, total: int) -> None:
        """Pass a step on; may cancel."""
        self._whole.advance(f"{self._key}: {label} {done} of {total}; items", self._done, self._total)
        now = time.monotonic()
        if now - self._reported > SHARE_SECONDS:
            self._reported = now
            self.shown(done / total if total else 0.0)

    def warn(self, message: str) -> None:
        """Keep a warning, and pass it on."""
        self.warnings.append(message)
        self.said(message)

    def said(self, message: str) -> None:
        """Pass on what is kept elsewhere."""
        self._whole.warn(f"{self._key}: {message}")


def outputs_of(job: Job) -> tuple[Path, ...]:
    """Return what a job writes, as far as its settings say."""
    output = getattr(job, "output", None)
    return tuple(getattr(job, "outputs", ())) or ((output,) if output is not None else ())


def _complete(output: Path) -> bool:
    """Say whether a result is there; in an object store it gets its metadata when all else is."""
    output = place_of(output)
    return is_there(output) and (is_remote(output) or not output.with_name(output.name + ".partial").exists())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder.

    Raises
    ------
    OutputError
        If one is in it, or the folder cannot be made.
    """
    if is_url(folder):
        raise OutputError(
            f"The run folder {folder} is a URL.",
            "Give a folder of this computer; results of single jobs and of steps of a chain may have URLs.",
        )
    with writing(folder):
        lock = Lock(folder, folder)
    with lock:
        yield


def _is_reported(folder: Path) -> bool:
    """Say whether the report has all that the manifest has."""
    report, manifest = folder / REPORT, folder / MANIFEST
    return report.exists() and report.stat().st_mtime_ns >= manifest.stat().st_mtime_ns


def _write_ends(batch: BatchJob, items: Sequence[Item], states: dict[str, ItemState]) -> None:
    """Write all that says how the items ended, but for the manifest."""
    ends = list(states.values())
    _write_plates(batch, items, states)
    write_summary(batch.output, ends)
    write_report(batch.output, f"{batch.do}: {batch.output.name}", ends)


def _write_plates(batch: BatchJob, items: Sequence[Item], states: dict[str, ItemState]) -> None:
    """Write the metadata of the plates that results were written into: the fields that are there."""
    plates: dict[Path, list[Item]] = {}
    for item in items:
        outputs = states[item.key].outputs if item.key in states else ()
        if item.place is not None and any(".zarr" in Path(path).parent.as_posix() for path in outputs[:1]):
            plates.setdefault(plate_of(batch, item), []).append(item)
    for path, members in plates.items():
        there = [item.place for item in members if item.place and (path / item.place.place).exists()]
        write_plate(path, str(members[0].plate), there, members[0].origin)
