"""The loop of a batch: one job after the other, what is done is noted, what fails does not stop the rest."""

import time
from collections.abc import Callable, Iterator, Sequence
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
from napari_microsr.batch.manifest import ItemState, Manifest
from napari_microsr.batch.plate import write_plate
from napari_microsr.batch.report import REPORT, write_report
from napari_microsr.batch.summary import write_summary
from napari_microsr.core.job import Job
from napari_microsr.core.lock import Lock
from napari_microsr.core.output import writing
from napari_microsr.core.progress import Cancelled, Progress, SilentProgress
from napari_microsr.errors import MicroSRError
from napari_microsr.tasks import TRAININGS, Result, perform

Watch = Callable[[ItemState], None]
SETTINGS = "batch.yaml"
#: Tasks whose result has its name only when it is complete.
WHOLE_OR_NOTHING = frozenset({"upscale", "localize", "merge", "pairs"})
#: Least time between two reports of one item's share.
SHARE_SECONDS = 0.25


def run_batch(
    batch: BatchJob, progress: Progress | None = None, watch: Watch | None = None
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
        with writing(batch.output):
            (batch.output / SETTINGS).write_text(batch.to_yaml(), encoding="utf-8")
        run = BatchRun(manifest, [(item.key, job) for item, job in jobs], {i.key: i.group for i, _ in jobs})
        try:
            return run.run(progress, watch)
        finally:
            ends = list(run.states.values())
            if run.changed or not (batch.output / REPORT).exists():
                _write_plates(batch, [item for item, _ in jobs], run.states)
                write_summary(batch.output, ends)
                write_report(batch.output, f"{batch.do}: {batch.output.name}", ends)


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
    changed : bool
        Whether anything was done.
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
        self.changed = False
        for key, job in jobs:
            now = ItemState(
                key,
                task=job.task,
                source=str(getattr(job, "source", "")),
                group=(groups or {}).get(key, {}),
                version=__version__,
            )
            self.states[key] = self._known(key, job, now)

    def run(self, progress: Progress, watch: Watch) -> list[ItemState]:
        """Do what is not done; see `run_batch`."""
        for state in self.states.values():
            watch(state)
        total = len(self.jobs)
        for key, job in self.jobs.items():
            done = sum(state.state in ("done", "failed") for state in self.states.values())
            if self.states[key].state != "done":
                self._do(key, job, ItemProgress(progress, key, done, total), watch)
        progress.advance("items", total, total)
        return list(self.states.values())

    def _known(self, key: str, job: Job, now: ItemState) -> ItemState:
        """Return what is left to do: nothing where the manifest and the result say so."""
        last = self.manifest.last.get(key)
        model = model_of(job)
        now = replace(now, fingerprint=fingerprint(job, model), model=model)
        outputs = [str(path) for path in outputs_of(job)]
        if getattr(job, "restart", False) or isinstance(job, BatchJob):
            return now  # a batch in a chain knows by itself what is left of it
        if last is None or last.fingerprint != now.fingerprint or not all(map(_complete, outputs)):
            return now
        if last.state == "done":
            return replace(last, group=now.group)
        # Stopped after the result got its name and before it was noted.
        found = replace(now, state="done", outputs=tuple(outputs), time=_now())
        self.manifest.note(found)
        self.changed = True
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
        self.changed = True
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


def _complete(output: str) -> bool:
    return Path(output).exists() and not Path(output + ".partial").exists()


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
    with writing(folder):
        lock = Lock(folder, folder)
    with lock:
        yield


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
