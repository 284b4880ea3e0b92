"""Training of super-resolution and restoration networks from folders of sharp images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from napari_microsr.core.progress import Progress
from napari_microsr.core.training_job import TrainingOptions
from napari_microsr.errors import JobError
from napari_microsr.superres.degrade import DEGRADATIONS
from napari_microsr.superres.registry import build_network

if TYPE_CHECKING:
    from torch import nn


class TrainJob(TrainingOptions):
    """Settings of one training. Lengths in pixels are those of the network's input."""

    task: ClassVar[str] = "train"
    execution_fields: ClassVar[frozenset[str]] = TrainingOptions.execution_fields | {"data", "report"}

    data: Path
    """Folder of sharp 8-bit images."""
    exclude: tuple[str, ...] = ()
    """File-name prefixes (slides) to leave out."""
    hold_out: tuple[str, ...] = Field(min_length=1)
    """File-name prefixes (slides) that are not trained on but watched."""
    architecture: str
    """Name of the network, see `microsr models`."""
    degradation: str = "bicubic"
    """How low-resolution images are made from sharp ones."""
    factor: int = Field(default=2, ge=2)
    """Of the degradation."""
    smallest_scale: float = Field(default=1.0, gt=0, le=1)
    """Patches are also taken from images shrunk by a random factor down to this one."""
    loss: str = "charbonnier"
    """Pixel loss."""
    patch_px: int = Field(default=48, ge=16)
    """Side of a patch."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest rate of the cosine schedule."""
    report: Path | None = None
    """Folder of images of slides that were not trained on, for the card's figures; else the held-out ones."""
    report_slides: tuple[str, ...] = ()
    """File-name prefixes (slides) to report one by one."""
    report_sample: bool = False
    """Also report on the shipped slide (histology only; leave it out of the training images)."""


def train(job: TrainJob, progress: Progress, resume: bool = False) -> Path:
    """Train a network, export it with its card and return the path of the weights.

    Raises
    ------
    JobError, InputError, ModelError
        For settings, images or names that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    import torch

    from napari_microsr.core.training import fit
    from napari_microsr.superres.datasets import PatchDataset, list_images, read_image
    from napari_microsr.superres.evaluation import score
    from napari_microsr.superres.export import export_run, read_reported
    from napari_microsr.superres.losses import LOSSES

    _check_name(job.degradation, DEGRADATIONS, "degradation")
    _check_name(job.loss, LOSSES, "loss")
    channels = job.arguments.get("channels", 3)
    held_out = list_images(job.data, job.hold_out, job.exclude)
    watched = [read_image(path, channels) for path in held_out]
    trained_on = list_images(job.data, exclude=[*job.exclude, *job.hold_out])
    pairs = PatchDataset(
        [read_image(path, channels) for path in trained_on],
        job.degradation,
        job.factor,
        job.patch_px,
        job.smallest_scale,
        job.seed,
    )

    def validate(module: "nn.Module") -> dict[str, float]:
        psnr, ssim = score(module, watched, job.degradation, job.factor)
        return {"score": psnr, "psnr": psnr, "ssim": ssim}

    schedule = job.schedule(job.steps, job.learning_rate)
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network(job.architecture, **job.arguments)
        fit(network, pairs, LOSSES[job.loss], validate, schedule, job.folder, progress, resume)
    reported = list_images(job.report) if job.report is not None else held_out
    groups = read_reported(reported, job.report_slides, channels, job.report_sample)
    return export_run(network, job, groups, job.folder)


def _check_name(name: str, table: dict[str, Any], what: str) -> None:
    if name not in table:
        raise JobError(f"There is no {what} named {name!r}.", f"Known are {', '.join(table)}.")
