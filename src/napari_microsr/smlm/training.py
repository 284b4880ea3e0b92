"""Training of localisation networks on frames that are simulated while they train."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from napari_microsr.core.epoch import Watch
from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress
from napari_microsr.core.training_job import TrainingOptions
from napari_microsr.errors import JobError

if TYPE_CHECKING:
    from napari_microsr.smlm.simulate import Scene

Range = tuple[float, float]


class TrainLocalizerJob(TrainingOptions):
    """Settings of the training of an emitter network. The ranges are those that it will answer for."""

    task: ClassVar[str] = "train-localizer"

    sigma_px: Range = (0.8, 1.8)
    """Smallest and largest standard deviation of the PSF."""
    photons: Range = (50.0, 10000.0)
    """Fewest and most photons of an emitter in a frame."""
    background: Range = (0.2, 250.0)
    """Fewest and most photons per pixel of the background."""
    density_um2: Range = (0.0, 8.0)
    """Fewest and most emitters per square micrometre."""
    read_noise: Range = (0.0, 3.0)
    """Smallest and largest read noise in electrons."""
    typical: float = Field(default=0.5, ge=0, le=1)
    """Share of frames near the middle of the ranges; 0 for ranges of one's own."""
    em: float = Field(default=0.2, ge=0, le=1)
    """Share of frames of an EM camera."""
    structured: float = Field(default=0.5, ge=0, le=1)
    """Share of frames with a background of slopes and blobs."""
    stack: str | None = None
    """A stack of the microscope: its PSF is measured, and `sigma_px` becomes that plus and minus a tenth."""
    stack_offset: float = 100.0
    """Counts of a dark pixel of that stack."""
    stack_gain: float = Field(default=1.0, gt=0)
    """Electrons per count of that stack."""
    patch_px: int = Field(default=40, ge=16, multiple_of=4)
    """Side of a patch."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest rate of the cosine schedule."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for name in ("sigma_px", "photons", "background", "density_um2", "read_noise"):
            low, high = getattr(self, name)
            if not 0 <= low <= high or (name in ("sigma_px", "photons", "background") and low == 0):
                raise ValueError(f"{name} must run from a smallest to a largest value, not {low} to {high}")
        return self


class DsirStage(Job):
    """One stage of the training."""

    task: ClassVar[str] = "dsir-stage"

    fwhm_px: float = Field(gt=0)
    """Full width at half height of the loss's Gaussian, in fine pixels."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(gt=0)
    """Highest rate of the cosine schedule."""


class TrainDsirJob(TrainingOptions):
    """Settings of the training of DSIR's autoencoder; the defaults are those that its authors published."""

    task: ClassVar[str] = "train-dsir"

    side_px: int = Field(default=26, ge=4)
    """Side of a frame in camera pixels."""
    density_um2: tuple[float, float] = (2.0, 2.0)
    """Fewest and most emitters per square micrometre."""
    photons: tuple[float, float] = (80.0, 2050.0)
    """Fewest and most photons of an emitter."""
    background: tuple[float, float] = (20.0, 20.0)
    """Fewest and most photons per pixel of the background."""
    pixel_nm: float = Field(default=100.0, ge=1)
    """Size of a camera pixel in nm."""
    stages: tuple[DsirStage, ...] = Field(min_length=1)
    """One after the other, with ever narrower Gaussians."""

    def scene(self) -> "Scene":
        """Return what frames show."""
        from napari_microsr.smlm.simulate import Scene

        return Scene(
            density_um2=self.density_um2,
            photons=self.photons,
            background=self.background,
            pixel_nm=self.pixel_nm,
        )


def train_localizer(
    job: TrainLocalizerJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Path:
    """Train an emitter network, export it with its card and return the path of the weights.

    Threshold and scale of the errors are chosen on validation frames and go into the card. `watch` is told of
    each epoch.

    Raises
    ------
    JobError, InputError, ModelError
        For settings or a stack that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    import torch

    from napari_microsr.core.fitting import Fit
    from napari_microsr.core.networks import load_weights
    from napari_microsr.core.training import fit
    from napari_microsr.core.weights import find
    from napari_microsr.smlm.datasets import PatchDataset
    from napari_microsr.smlm.export import efficiencies, export_localizer
    from napari_microsr.smlm.losses import emitter_loss
    from napari_microsr.smlm.patches import TrainingRanges
    from napari_microsr.smlm.registry import build_network

    ranges = TrainingRanges(
        sigma_px=job.sigma_px if job.stack is None else _range_of(job),
        photons=job.photons,
        background=job.background,
        density_um2=job.density_um2,
        read_noise=job.read_noise,
        typical=job.typical,
        em=job.em,
        structured=job.structured,
    )
    schedule = job.schedule(job.steps, job.learning_rate)
    patches = PatchDataset(ranges, job.patch_px, seed=job.seed)
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network("emitters-2d", **job.arguments)
        if job.start is not None:
            load_weights(network, *find(job.start))
        module = Fit(network, emitter_loss, schedule, partial(efficiencies, ranges=ranges))
        fit(module, patches, job.folder, progress, resume, watch)
    return export_localizer(network, job, ranges, job.folder)


def _range_of(job: TrainLocalizerJob) -> Range:
    from napari_microsr.core.image import open_image
    from napari_microsr.smlm.camera import Camera
    from napari_microsr.smlm.measure import check_stack, measure_sigma, sample_frames

    source = open_image(str(job.stack))
    check_stack(source)
    camera = Camera(offset=job.stack_offset, e_per_adu=job.stack_gain)
    frames = sample_frames(source, range(source.n_planes))
    sigma = measure_sigma(camera.to_photons(frames), camera)
    if sigma is None:
        raise JobError(
            f"In {source.name} too few spots are clear to measure the PSF.",
            "Give sigma_px, without a stack.",
        )
    return 0.9 * sigma, 1.1 * sigma
