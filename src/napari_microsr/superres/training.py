"""Training of super-resolution and restoration networks from folders of sharp images."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from napari_microsr.core.epoch import Watch
from napari_microsr.core.progress import Progress
from napari_microsr.core.training_job import TrainingOptions
from napari_microsr.errors import JobError
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.loss_options import LossOptions
from napari_microsr.superres.registry import build_network, load_network

if TYPE_CHECKING:
    from torch import nn

    from napari_microsr.core.fitting import Fit, Loss, Schedule, Validate
    from napari_microsr.superres.images import Given


class TrainJob(DataOptions, LossOptions, TrainingOptions):
    """Settings of one training. Lengths in pixels are those of the network's input."""

    task: ClassVar[str] = "train"
    execution_fields: ClassVar[frozenset[str]] = (
        DataOptions.execution_fields | TrainingOptions.execution_fields
    )

    architecture: str
    """Name of the network, see `microsr models`."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest rate of the cosine schedule."""
    show: tuple[str, ...] = ()
    """Held-out images that are drawn each epoch, by file-name prefix; empty draws the first four."""


def train(
    job: TrainJob,
    progress: Progress,
    resume: bool = False,
    watch: Watch | None = None,
    given: "Given | None" = None,
) -> Path:
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
    given : mapping, optional
        Images from Python in the place of `job.data`, as `datasets.open_training_data` takes them.

    Raises
    ------
    JobError, InputError, ModelError
        For settings, images or names that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    import torch

    from napari_microsr.core.training import fit
    from napari_microsr.superres.datasets import open_training_data
    from napari_microsr.superres.export import export_run
    from napari_microsr.superres.fits import check_fits
    from napari_microsr.superres.losses import make_loss
    from napari_microsr.superres.validation import Validation

    schedule, loss = job.schedule(job.steps, job.learning_rate), make_loss(job)
    data = open_training_data(job, job.arguments.get("channels", 3), job.seed, given)
    validate = Validation(data.watched, job.show)
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network(job.architecture, **job.arguments)
        check_fits(network, data)
        if job.start is not None:
            load_start(network, job)
        identity = {
            "network": f"{job.architecture} {job.arguments}",
            "data": data.summary,
            "degradation": data.degradation,
        }
        module = make_fit(job, network, loss, schedule, validate, identity)
        fit(module, data.pairs, job.folder, progress, resume, watch)
    return export_run(network, job, data)


def load_start(network: "nn.Module", job: TrainJob) -> None:
    """Load the weights of the network that the training goes on from.

    A conditioned network may also start from a plain one.

    Raises
    ------
    JobError
        If it is another network.
    ModelError
        If it is missing or damaged.
    """
    from napari_microsr.core.networks import load_weights
    from napari_microsr.core.weights import find
    from napari_microsr.superres.networks.conditioned import ConditionedResidual
    from napari_microsr.superres.networks.fast import FastResidual

    card, weights = find(str(job.start))
    if isinstance(network, ConditionedResidual) and card.architecture == "fast-residual":
        plain = load_network(card, weights)
        assert isinstance(plain, FastResidual)
        network.start_from(plain)
        return
    if card.architecture != job.architecture:
        raise JobError(
            f"The network to start from, {card.id}, is a {card.architecture}, not a {job.architecture}.",
            f"Set architecture: {card.architecture} and arguments: {card.arguments}, or another start.",
        )
    load_weights(network, card, weights)


def make_fit(
    job: TrainJob,
    network: "nn.Module",
    loss: "Loss",
    schedule: "Schedule",
    validate: "Validate",
    identity: dict[str, str],
) -> "Fit":
    """Return what is to be fitted: with a discriminator where the job weighs one.

    Raises
    ------
    ModelError
        If there is no such discriminator.
    """
    from napari_microsr.core.fitting import Fit
    from napari_microsr.superres.adversarial import GAMES, AdversarialFit
    from napari_microsr.superres.registry import build_discriminator

    if not job.adversarial_weight:
        return Fit(network, loss, schedule, validate, identity)
    return AdversarialFit(
        network,
        loss,
        schedule,
        validate,
        identity,
        discriminator=build_discriminator(job.discriminator, channels=job.arguments.get("channels", 3)),
        game=GAMES[job.adversarial],
        weight=job.adversarial_weight,
        rate=job.discriminator_rate,
        critic_steps=job.critic_steps,
        penalty=job.gradient_penalty if job.adversarial == "wgan-gp" else 0.0,
    )
