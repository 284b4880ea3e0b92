"""What a job would read, write and take, from a trial on a small part of it; nothing is written."""

import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_microsr.batch.chain import ChainJob, check, job_of
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.jobs import make_jobs
from napari_microsr.batch.manifest import MANIFEST, Manifest
from napari_microsr.batch.run import BatchRun, outputs_of
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.job import Job
from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import MicroSRError
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.superres.job import UpscaleJob, image_of

#: Frames of a stack that are localised on trial.
TRIAL_FRAMES = 8
#: A pyramid has a third more pixels than its finest level.
PYRAMID = 4 / 3


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
        That it takes, as the trial says; None where there is none.
    state : str
        "todo", "done" or "unreadable".
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
    state: str = "todo"
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
        return _sum([item.seconds for item in self.items if item.state == "todo"])

    @property
    def size_bytes(self) -> int | None:
        """All that is to be written, None where nobody knows."""
        total = _sum([item.size_bytes for item in self.items if item.state == "todo"])
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
            cost = f", {_time(item.seconds)}, {_size(item.size_bytes)}" if item.state == "todo" else ""
            found.append(f"{item.key}: {item.state}: {item.source}: {what}{cost}")
        todo = sum(item.state == "todo" for item in self.items)
        return [
            *found,
            f"{todo} of {len(self.items)} to do; time: {_time(self.seconds)}; "
            f"size: {_size(self.size_bytes)}, {_size(self.free_bytes)} free; "
            f"memory: {_size(self.memory_bytes)}",
        ]


def foretell(job: Job) -> Forecast:
    """Return what a job, a batch or a chain would do.

    The first job of each task is tried on one tile or a few frames; the others are taken to be as fast.

    Raises
    ------
    MicroSRError
        If inputs or settings are wrong.
    """
    trials: dict[str, float | None] = {}
    items = []
    for key, one, done in _jobs(job):
        item = Expected(key, one.task, _source(one), tuple(str(path) for path in outputs_of(one)))
        try:
            items.append(replace(item, state="done") if done else _expected(item, one, trials))
        except MicroSRError as error:
            items.append(replace(item, state="unreadable", error=str(error)))
    return Forecast(items, _peak_bytes(), _free(job))


def _jobs(job: Job) -> list[tuple[str, Job, bool]]:
    """Return the single jobs of a job, and whether each is done."""
    if isinstance(job, ChainJob):
        names = check(job)
        written = {name: f"{{{name}}}" for name in names}
        jobs = [(name, job_of(job, step, written)) for name, step in zip(names, job.steps, strict=True)]
        return [
            (f"{name}/{key}" if isinstance(step, BatchJob) else key, one, done)
            for name, step in jobs
            for key, one, done in (_jobs(step) if _ready(step) else [(name, step, False)])
        ]
    if not isinstance(job, BatchJob):
        return [(job.task, job, False)]
    pairs = [(item.key, one) for item, one in make_jobs(job)]
    if not (job.output / MANIFEST).exists():
        return [(key, one, False) for key, one in pairs]
    states = BatchRun(Manifest(job.output), pairs).states
    return [(key, one, states[key].state == "done") for key, one in pairs]


def _ready(job: Job) -> bool:
    """Say whether what a step of a chain reads is there already."""
    return "{" not in str(job.model_dump(mode="json"))


def _expected(item: Expected, job: Job, trials: dict[str, float | None]) -> Expected:
    if isinstance(job, UpscaleJob):
        image = image_of(job)
        pixels = image.n_planes * image.height * image.width
        if job.task not in trials:
            trials[job.task] = _try_upscale(job, image) / pixels
        rate, size = trials[job.task] or 0.0, _upscaled_bytes(job, image)
        return replace(item, shape=tuple(image.array.shape), seconds=rate * pixels, size_bytes=size)
    if isinstance(job, LocalizeJob):
        image = open_image(job.source)
        frames = len(job.frames(image))
        if job.task not in trials:
            trials[job.task], trials["bytes"] = _try_localize(job, image)
        per_frame, written = (trials[name] or 0.0 for name in (job.task, "bytes"))
        item = replace(item, shape=tuple(image.array.shape), size_bytes=int(written * frames))
        return replace(item, seconds=per_frame * frames)
    return item


def _try_upscale(job: UpscaleJob, image: ImageSource) -> float:
    """Compute one tile, twice for the first is slower, and return what the whole image would take."""
    from napari_microsr.core.tiles import read_windows
    from napari_microsr.superres.run import prepare

    progress = SilentProgress()
    run = prepare(job, image, progress)
    tile = run.plan.tile(len(run.plan) // 2)
    with run.process(progress) as process:
        for _ in range(2):
            begun = time.perf_counter()
            process(read_windows(run.source, run.plan, [tile]), run.source.channel_of(tile.plane))
    return (time.perf_counter() - begun) * len(run.plan)


def _upscaled_bytes(job: UpscaleJob, image: ImageSource) -> int:
    """Return the size of the stores of a job before compression."""
    from napari_microsr.superres.foreign import find_model

    card, _ = find_model(job.model, job.overlap_px)
    pixels = image.n_planes * image.channels * image.height * image.width
    stored = {
        "result": image.dtype.itemsize * card.factor**2,
        "residual": 4 * card.factor**2,
        "consistency": 4,
    }
    return int(PYRAMID * pixels * sum(stored.get(name, 4 * card.factor**2) for name in job.contents))


def _try_localize(job: LocalizeJob, image: ImageSource) -> tuple[float, float]:
    """Localise some frames into a folder that is thrown away; return seconds and bytes per frame."""
    from napari_microsr.tasks import perform

    frames = job.frames(image)
    last = min(frames.start + TRIAL_FRAMES, frames.stop) - 1
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / job.output.name
        few = job.model_copy(update={"output": output, "first_frame": frames.start, "last_frame": last})
        begun = time.perf_counter()
        perform(few, SilentProgress())
        seconds = time.perf_counter() - begun
        size = output.stat().st_size if output.is_file() else 0
    count = last - frames.start + 1
    return seconds / count, size / count


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
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _size(size: float | None) -> str:
    if size is None:
        return "size unknown"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
