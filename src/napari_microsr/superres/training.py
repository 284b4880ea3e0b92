"""Training of super-resolution and restoration networks from folders of sharp images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress
from napari_microsr.core.weights import CardText
from napari_microsr.errors import JobError
from napari_microsr.superres.degrade import DEGRADATIONS
from napari_microsr.superres.registry import build_network

if TYPE_CHECKING:
    from torch import nn


class TrainJob(Job):
    """Settings of one training. Lengths in pixels are those of the network's input."""

    task: ClassVar[str] = "train"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"data", "out", "report", "device", "workers"})

    name: str
    """Id of the network: NAME.safetensors and NAME.json are written."""
    data: Path
    """Folder of sharp 8-bit images."""
    out: Path = Path("runs")
    """Folder for runs; this one's checkpoints and result go to OUT/NAME."""
    exclude: tuple[str, ...] = ()
    """File-name prefixes (slides) to leave out."""
    hold_out: tuple[str, ...] = Field(min_length=1)
    """File-name prefixes (slides) that are not trained on but watched."""
    architecture: str
    """Name of the network, see `microsr models`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the network."""
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
    batch: int = Field(default=16, ge=1)
    """Patches per step."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest rate of the cosine schedule."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Of the moving average of the weights."""
    check_every: int = Field(default=500, ge=1)
    """Steps between checkpoints."""
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    """Arithmetic; the weights are always float32."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    workers: int = Field(default=0, ge=0)
    """Processes that make patches."""
    seed: int = 0
    """Of weights and patches."""
    report: Path | None = None
    """Folder of images of slides that were not trained on, for the card's figures; else the held-out ones."""
    report_slides: tuple[str, ...] = ()
    """File-name prefixes (slides) to report one by one."""
    report_sample: bool = False
    """Also report on the shipped slide (histology only; leave it out of the training images)."""
    card: CardText
    """What the model card says beyond what is measured: summary, domain, licence, trained_on ..."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.steps % self.check_every:
            raise ValueError(f"steps ({self.steps}) must be a multiple of check_every ({self.check_every})")
        return self


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

    from napari_microsr.core.training import Schedule, fit
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

    schedule = Schedule(
        steps=job.steps,
        batch=job.batch,
        learning_rate=job.learning_rate,
        ema_decay=job.ema_decay,
        check_every=job.check_every,
        precision=job.precision,
        device=job.device,
        workers=job.workers,
    )
    folder = job.out / job.name
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network(job.architecture, **job.arguments)
        fit(network, pairs, LOSSES[job.loss], validate, schedule, folder, progress, resume)
    reported = list_images(job.report) if job.report is not None else held_out
    groups = read_reported(reported, job.report_slides, channels, job.report_sample)
    return export_run(network, job, groups, folder)


def _check_name(name: str, table: dict[str, Any], what: str) -> None:
    if name not in table:
        raise JobError(f"There is no {what} named {name!r}.", f"Known are {', '.join(table)}.")
