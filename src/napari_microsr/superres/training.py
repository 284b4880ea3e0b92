"""Training of super-resolution and restoration networks from folders of sharp images."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from napari_microsr.core.epoch import Watch
from napari_microsr.core.progress import Progress
from napari_microsr.core.training_job import TrainingOptions
from napari_microsr.errors import JobError
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.registry import build_network


class TrainJob(DataOptions, TrainingOptions):
    """Settings of one training. Lengths in pixels are those of the network's input."""

    task: ClassVar[str] = "train"
    execution_fields: ClassVar[frozenset[str]] = (
        DataOptions.execution_fields | TrainingOptions.execution_fields
    )

    architecture: str
    """Name of the network, see `microsr models`."""
    loss: str = "charbonnier"
    """Pixel loss."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest rate of the cosine schedule."""
    show: tuple[str, ...] = ()
    """Held-out images that are drawn each epoch, by file-name prefix; empty draws the first four."""


def train(job: TrainJob, progress: Progress, resume: bool = False, watch: Watch | None = None) -> Path:
    """Train a network, export it with its card and return the path of the weights.

    Parameters
    ----------
    job : TrainJob
        The settings.
    progress : Progress
        Told after each step; may cancel.
    resume : bool
        Continue from the last checkpoint in `job.folder`.
    watch : callable, optional
        Told after each epoch (`check_every` steps) of its figures and pictures, as `core.epoch.Epoch` says,
        in the thread that trains.

    Raises
    ------
    JobError, InputError, ModelError
        For settings, images or names that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    import torch

    from napari_microsr.core.fitting import Fit
    from napari_microsr.core.training import fit
    from napari_microsr.superres.datasets import open_training_data
    from napari_microsr.superres.export import export_run, reported_samples
    from napari_microsr.superres.losses import LOSSES
    from napari_microsr.superres.validation import Validation

    _check_name(job.loss, LOSSES, "loss")
    schedule = job.schedule(job.steps, job.learning_rate)
    data = open_training_data(job, job.arguments.get("channels", 3), job.seed)
    validate = Validation(data.watched, job.show)
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network(job.architecture, **job.arguments)
        module = Fit(network, LOSSES[job.loss], schedule, validate, {"data": data.summary})
        fit(module, data.pairs, job.folder, progress, resume, watch)
    return export_run(network, job, data.degradation, reported_samples(job, data.watched), job.folder)


def _check_name(name: str, table: dict[str, Any], what: str) -> None:
    if name not in table:
        raise JobError(f"There is no {what} named {name!r}.", f"Known are {', '.join(table)}.")
