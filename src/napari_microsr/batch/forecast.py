"""What a job would read, write and take, from a trial on a small part of it; nothing is written."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_microsr.batch.chain import ChainJob, check, job_of
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.jobs import make_jobs
from napari_microsr.batch.manifest import Manifest
from napari_microsr.batch.run import BatchRun, outputs_of
from napari_microsr.batch.trial import TRIALS, Rate, fields_of, placed_fields
from napari_microsr.core.image import open_image
from napari_microsr.core.job import Job
from napari_microsr.errors import MicroSRError
from napari_microsr.superres.job import UpscaleJob, image_of
from napari_microsr.tasks import TRAININGS

#: A pyramid has a third more pixels than its finest level.
PYRAMID = 4 / 3

State = Literal["todo", "done", "unreadable", "later"]
Count = tuple[int, tuple[int, ...]]
_AHEAD = ("todo", "later")


@dataclass(frozen=True)
class Expected:
    """What one job would do.

    Attributes
    ----------
    key, task, source : str
        Which.
    outputs : tuple of str
        What it writes.
    shape : tuple of int
        Of the input, as far as there is one image.
    size_bytes : int or None
        Of what is written, at most: before it is compressed; None where nobody knows.
    seconds : float or None
        That it takes, about, as the trial says; None where there is none.
    state : str
        "todo", "done", "unreadable", or "later": it reads what another step of a chain has yet to write.
    error : str
        Why it is unreadable.
    """

    key: str
    task: str
    source: str
    outputs: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    size_bytes: int | None = None
    seconds: float | None = None
    state: State = "todo"
    error: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes
    ----------
    items : list of Expected
        Its jobs.
    memory_bytes : int or None
        The most that the trial held; a run's memory does not grow with the image. None on systems that do
        not tell.
    free_bytes : int
        Left on the disk of the output.
    """

    items: list[Expected] = field(default_factory=list)
    memory_bytes: int | None = None
    free_bytes: int = 0

    @property
    def seconds(self) -> float | None:
        """All that is to do, None where nobody knows."""
        return _sum([item.seconds for item in self.items if item.state in _AHEAD])

    @property
    def size_bytes(self) -> int | None:
        """All that is to be written, None where nobody knows."""
        total = _sum([item.size_bytes for item in self.items if item.state in _AHEAD])
        return None if total is None else int(total)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "seconds": self.seconds, "size_bytes": self.size_bytes}

    def lines(self) -> list[str]:
        """Return it in words."""
        found = []
        for item in self.items:
            size = " × ".join(map(str, item.shape))
            what = item.error or f"{size or '?'} -> {', '.join(item.outputs) or '?'}"
            cost = f", {_time(item.seconds)}, {_size(item.size_bytes)}" if item.state in _AHEAD else ""
            found.append(f"{item.key}: {item.state}: {item.source}: {what}{cost}")
        todo = [item for item in self.items if item.state in _AHEAD]
        known = [item.seconds for item in todo if item.seconds is not None]
        time = _time(sum(known)) if known or not todo else _time(None)
        if 0 < len(known) < len(todo):
            time += f" without {len(todo) - len(known)} of which nothing is known yet"
        return [
            *found,
            f"{len(todo)} of {len(self.items)} to do; time: {time}; "
            f"size: {_size(self.size_bytes)}, {_size(self.free_bytes)} free; "
            f"memory: {_size(self.memory_bytes)}",
        ]


def foretell(job: Job) -> Forecast:
    """Return what a job, a batch or a chain would do.

    The first job of each task is tried on a part: one tile, a few frames, fields or steps, see `batch.trial`;
    the others are taken to be as fast.

    Raises
    ------
    MicroSRError
        If inputs or settings are wrong.
    """
    trials: dict[str, Rate | None] = {}
    items = []
    for key, one, state in _jobs(job):
        outputs = tuple(str(path) for path in outputs_of(one))
        item = Expected(key, one.task, _source(one), outputs, state=state)
        try:
            items.append(_expected(item, one, trials))
        except MicroSRError as error:
            items.append(replace(item, state="unreadable", error=str(error)))
    return Forecast(items, _peak_bytes(), _free(job))


def _jobs(job: Job) -> list[tuple[str, Job, State]]:
    """Return the single jobs of a job, and how far each is."""
    if isinstance(job, ChainJob):
        return _steps(job)
    if not isinstance(job, BatchJob):
        return [(job.task, job, "todo")]
    pairs = [(item.key, one) for item, one in make_jobs(job)]
    states = BatchRun(Manifest(job.output, read_only=True), pairs).states
    return [(key, one, "done" if states[key].state == "done" else "todo") for key, one in pairs]


def _steps(chain: ChainJob) -> list[tuple[str, Job, State]]:
    """Return the jobs of a chain; what a step reads that is not written yet is named as in the job file."""
    manifest, found = Manifest(chain.output, read_only=True), []
    written: dict[str, str] = {}
    for name, settings in zip(check(chain), chain.steps, strict=True):
        step = job_of(chain, settings, written)
        run = BatchRun(manifest, [(name, step)])
        state: State = "done" if run.states[name].state == "done" else "todo"
        if any(place in str(step.model_dump(mode="json")) for place in written.values() if place[0] == "{"):
            state = "later"
        if state == "todo" and isinstance(step, BatchJob):
            found += [(f"{name}/{key}", one, how) for key, one, how in _jobs(step)]
        else:
            found.append((name, step, state))
        outputs = run.states[name].outputs
        written[name] = outputs[0] if state == "done" and outputs else f"{{{name}}}"
    return found


def _expected(item: Expected, job: Job, trials: dict[str, Rate | None]) -> Expected:
    """Say what a job takes, by a trial on a part of the first one of its task."""
    if item.state != "todo" or job.task not in _UNITS:
        return item
    units, shape = _UNITS[job.task](job)
    if job.task not in trials:
        trials[job.task] = TRIALS[job.task](job)
    rate = trials[job.task]
    if rate is None:
        return replace(item, shape=shape)
    size = _upscaled_bytes(job) if isinstance(job, UpscaleJob) else int(rate.bytes_once + rate.bytes * units)
    return replace(item, shape=shape, seconds=rate.once + rate.each * units, size_bytes=size)


def _planes(job: Any) -> Count:
    image = image_of(job)
    return image.n_planes * image.height * image.width, tuple(image.array.shape)


def _frames(job: Any) -> Count:
    image = open_image(job.source)
    return len(job.frames(image)), tuple(image.array.shape)


#: How much there is to do, in what a trial's rate counts, and the shape of the input where it is one image.
_UNITS: dict[str, Callable[[Any], Count]] = {
    "upscale": _planes,
    "localize": _frames,
    "register": lambda job: (len(fields_of(job)), ()),
    "pairs": lambda job: (len(placed_fields(job)[1]), ()),
    **dict.fromkeys(TRAININGS, lambda job: (job.steps, ())),
}


def _upscaled_bytes(job: UpscaleJob) -> int:
    """Return the size of the stores of a job before compression."""
    from napari_microsr.superres.foreign import find_model

    image, (card, _) = image_of(job), find_model(job.model, job.overlap_px)
    pixels = image.n_planes * image.channels * image.height * image.width
    stored = {
        "result": image.dtype.itemsize * card.factor**2,
        "residual": 4 * card.factor**2,
        "consistency": 4,
    }
    return int(PYRAMID * pixels * sum(stored.get(name, 4 * card.factor**2) for name in job.contents))


def _source(job: Job) -> str:
    names = ("source", "overviews", "placements", "data")
    return str(next((getattr(job, name) for name in names if getattr(job, name, None)), ""))


def _free(job: Job) -> int:
    folder = Path(str(getattr(job, "output", None) or getattr(job, "folder", "."))).absolute()
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def _peak_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _sum(values: list[Any]) -> float | None:
    return None if any(value is None for value in values) else sum(values)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "time unknown"
    if seconds < 120:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"


def _size(size: float | None) -> str:
    if size is None:
        return "size unknown"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
