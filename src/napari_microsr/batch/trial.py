"""How long a job takes, from doing a small part of it in a folder that is thrown away."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_microsr.core.image import open_image
from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.registration.inputs import find_files
from napari_microsr.registration.job import RegisterJob
from napari_microsr.registration.pairs import PairsJob
from napari_microsr.registration.placement import FieldPlacement, Placements
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.superres.job import UpscaleJob, image_of
from napari_microsr.tasks import TRAININGS, perform

#: What is done on trial: frames of a stack, fields of a registration, steps of a training.
FRAMES, FIELDS, STEPS = 8, 8, 3


@dataclass(frozen=True)
class Rate:
    """What a job takes.

    Attributes
    ----------
    once, bytes_once : float
        Seconds and bytes, however much there is to do.
    each, bytes : float
        Of each pixel, frame, field or step.
    """

    once: float
    each: float
    bytes_once: float = 0.0
    bytes: float = 0.0


class Clock(SilentProgress):
    """Notes when the steps of one label were done."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label
        self.begun = time.perf_counter()
        self.times: list[float] = []

    def advance(self, label: str, done: int, total: int) -> None:
        """Note the time."""
        if label == self._label:
            self.times.append(time.perf_counter())


def try_upscale(job: UpscaleJob) -> Rate:
    """Compute one tile, twice for the first is slower."""
    from napari_microsr.core.tiles import read_windows
    from napari_microsr.superres.run import prepare

    progress, image = SilentProgress(), image_of(job)
    run = prepare(job, image, progress)
    tile = run.plan.tile(len(run.plan) // 2)
    with run.process(progress) as process:
        for _ in range(2):
            begun = time.perf_counter()
            process(read_windows(run.source, run.plan, [tile]), run.source.channel_of(tile.plane))
    seconds = (time.perf_counter() - begun) * len(run.plan)
    return Rate(0, seconds / (image.n_planes * image.height * image.width))


def try_localize(job: LocalizeJob) -> Rate:
    """Localise some frames."""
    frames = job.frames(open_image(job.source))
    last = min(frames.start + FRAMES, frames.stop) - 1
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / job.output.name
        few = job.model_copy(update={"output": output, "first_frame": frames.start, "last_frame": last})
        begun = time.perf_counter()
        perform(few, SilentProgress())
        seconds, size = time.perf_counter() - begun, _size(Path(folder))
    count = last - frames.start + 1
    return Rate(0, seconds / count, 0, size / count)


def try_register(job: RegisterJob) -> Rate:
    """Register as many fields as are searched at a time."""
    fields = fields_of(job)[: min(FIELDS, os.cpu_count() or 1)]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "placements.json"
        few = {"fields": [str(file) for file in fields], "output": output, "cluster": None}
        clock = Clock("overviews")
        perform(job.model_copy(update=few), clock)
        ended, size = time.perf_counter(), _size(Path(folder))
    return Rate(clock.times[-1] - clock.begun, (ended - clock.times[-1]) / len(fields), 0, size / len(fields))


def fields_of(job: RegisterJob) -> list[Path]:
    """Return the files of the fields."""
    overviews = find_files(job.overviews)
    return [file for file in find_files(job.fields) if file not in overviews] or find_files(job.fields)


def try_pairs(job: PairsJob) -> Rate | None:
    """Export the pair of one field; None where it gives none."""
    from napari_microsr.registration.pairs import export_pairs

    placements, fields = placed_fields(job)
    one = replace(placements, fields=[fields[len(fields) // 2]])
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        try:
            export_pairs(job.model_copy(update={"output": Path(folder) / "pairs"}), placements=one)
        except InputError:  # another field may give one
            return None
        return Rate(0, time.perf_counter() - begun, 0, _size(Path(folder)))


def placed_fields(job: PairsJob) -> tuple[Placements, list[FieldPlacement]]:
    """Return placements, and those of their fields that pairs are made of."""
    from napari_microsr.registration.formats import read_placements
    from napari_microsr.registration.selection import chosen, overview_of

    placements = read_placements(job.placements)
    return placements, chosen(placements, overview_of(placements, job.overview), job.uncertain)


def try_training(job: Any) -> Rate:
    """Train some steps, and validate and write as at the end of an epoch."""
    few: dict[str, Any] = {"steps": STEPS, "check_every": STEPS, "devices": 1, "workers": 0}
    with tempfile.TemporaryDirectory() as folder:
        few |= {"out": Path(folder), "batch": max(1, job.batch // job.devices), "tensorboard": False}
        clock = Clock("Training")
        perform(job.model_copy(update=few), clock)
        ended, size = time.perf_counter(), _size(Path(folder))
    first, last = clock.times[0], clock.times[-1]
    step = (last - first) / (STEPS - 1)
    # The first step is slower; validation and checkpoint come once an epoch.
    return Rate(first - clock.begun - step, step + (ended - last) / job.check_every, size)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


TRIALS: dict[str, Callable[[Any], Rate | None]] = {
    UpscaleJob.task: try_upscale,
    LocalizeJob.task: try_localize,
    RegisterJob.task: try_register,
    PairsJob.task: try_pairs,
    **dict.fromkeys(TRAININGS, try_training),
}
