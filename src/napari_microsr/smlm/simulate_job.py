"""Simulate a stack with its truth: what a user can ask for, and the function that does it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_microsr.core.job import Job
from napari_microsr.core.output import check_free, check_output, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import JobError, MicroSRError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.localizations import Localizations, check_pixel_nm
from napari_microsr.smlm.psf import Psf
from napari_microsr.smlm.simulate import (
    Scene,
    draw_background,
    draw_photons,
    draw_spread,
    expected_frames,
    with_background,
)
from napari_microsr.smlm.structures import STRUCTURES

FWHM_PER_SIGMA = 2.35482
BLOCK_FRAMES = 64


class SimulateJob(Job):
    """Settings of a simulation; the defaults are those of DSIR's training data."""

    task: ClassVar[str] = "simulate"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart"})

    output: Path
    """Stack: NAME.tif (OME-TIFF) or NAME.ome.zarr. The truth goes to NAME.csv."""
    frames: int = Field(default=100, ge=1)
    """Frames of the stack."""
    height_px: int = Field(default=26, ge=1, le=65536)
    """Height of a frame."""
    width_px: int = Field(default=26, ge=1, le=65536)
    """Width of a frame."""
    pixel_nm: float = 100.0
    """Size of a camera pixel in nm."""
    structure: Literal["uniform", "filaments", "rings"] = "uniform"
    """What the molecules lie on."""
    density_um2: float = Field(default=2.0, ge=0)
    """Molecules that shine in a frame, per µm² of the field."""
    photons: tuple[float, float] = (80.0, 2050.0)
    """Fewest and most photons of a molecule in a whole frame."""
    photons_distribution: Literal["uniform", "log-uniform"] = "uniform"
    """How photons are drawn between the two."""
    mean_on_frames: float = Field(default=0.0, ge=0)
    """Mean time that a molecule shines, exponentially distributed; 0 draws new molecules for each frame."""
    drift_nm: float = Field(default=0.0, ge=0)
    """How far the sample drifts along x over the stack, in nm; along y it goes half as far and comes back."""
    fwhm_nm: tuple[float, float] = (200.0, 300.0)
    """Narrowest and widest PSF, full width at half its height, in nm."""
    psf: Psf = "gaussian"
    """gaussian, or the airy pattern of a circular aperture."""
    defocus: float = 0.0
    """Of the airy pattern: the phase at the rim of the aperture in radians."""
    background: float = Field(default=20.0, ge=0)
    """Background photons per pixel."""
    gradient: float = Field(default=0.0, ge=0, le=2)
    """Largest rise of the background across the field, as a share of it."""
    offset: float = Field(default=100.0, ge=0, le=65535)
    """Counts of a dark pixel."""
    gain: float = Field(default=1.0, gt=0)
    """Electrons per count, behind an EM register if there is one."""
    em_gain: float = Field(default=1.0, ge=1)
    """Gain of the EM register; 1 is a camera without one."""
    qe: float = Field(default=1.0, gt=0, le=1)
    """Quantum efficiency; 1 counts detected photons."""
    read_noise_e: float = Field(default=0.0, ge=0)
    """Standard deviation of the read noise in electrons."""
    seed: int = Field(default=0, ge=0)
    """Of all that is random; the same job gives the same stack."""
    restart: bool = False
    """Replace a stack and truth of that name."""

    @model_validator(mode="after")
    def _check_scene(self) -> Self:
        try:
            check_pixel_nm(self.pixel_nm)
            self.scene()
        except MicroSRError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def truth(self) -> Path:
        """The table of what is in the stack, ThunderSTORM's CSV."""
        name = self.output.name
        for ending in (".ome.zarr", ".zarr", ".ome.tif", ".ome.tiff", ".tif", ".tiff"):
            name = name.removesuffix(ending)
        return self.output.with_name(f"{name}.csv")

    def scene(self) -> Scene:
        """Return what the frames show."""
        narrow, wide = (width / self.pixel_nm / FWHM_PER_SIGMA for width in self.fwhm_nm)
        if not 0 < narrow <= wide:
            raise JobError(f"PSF widths of {self.fwhm_nm} nm are impossible.", "Give the smaller one first.")
        middle = (narrow + wide) / 2
        return Scene(
            density_um2=(self.density_um2, self.density_um2),
            photons=self.photons,
            photons_distribution=self.photons_distribution,
            sigma_px=(middle, middle),
            sigma_spread=wide / middle - 1,
            background=(self.background, self.background),
            gradient=self.gradient,
            pixel_nm=self.pixel_nm,
            psf=self.psf,
            defocus=self.defocus,
        )

    def camera(self) -> Camera:
        """Return the camera that takes the frames."""
        return Camera(
            offset=self.offset,
            e_per_adu=self.gain,
            em_gain=self.em_gain,
            qe=self.qe,
            read_noise_e=self.read_noise_e,
        )


def simulate(job: SimulateJob, *, progress: Progress | None = None) -> Localizations:
    """Simulate a stack of frames and write it with its truth.

    Parameters
    ----------
    job : SimulateJob
        What to do.
    progress : Progress, optional
        Told of each block of frames; may cancel.

    Returns
    -------
    Localizations
        The truth, as written to `job.truth`.

    Raises
    ------
    MicroSRError
        If the settings or the output will not do.
    Cancelled
        If the progress asked to stop; the same job begins anew.
    """
    from napari_microsr.smlm.formats import write_table
    from napari_microsr.smlm.stack_file import write_stack

    if job.output.suffix == ".zarr":
        check_output(job.output, restart=job.restart)
    for path in (job.output, job.truth):
        check_free(path, restart=job.restart)
    rng = np.random.default_rng(job.seed)
    truth = draw_truth(rng, job)
    background = draw_background(rng, 1, truth.shape_yx, job.scene())
    blocks = take_frames(rng, job, truth, background, progress or SilentProgress())
    with writing(job.output):
        write_stack(job, blocks)
    truth = with_background(truth.replace(frame=np.zeros(len(truth))), background).replace(frame=truth.frame)
    write_table(job.truth, truth)
    return truth


def draw_truth(rng: np.random.Generator, job: SimulateJob) -> Localizations:
    """Draw the molecules of all frames.

    A molecule that shines from time s to time e gives each frame the share of its photons that falls into it.
    """
    scene = job.scene()
    height, width = job.height_px, job.width_px
    size_nm = (height * job.pixel_nm, width * job.pixel_nm)
    mean_per_frame = job.density_um2 * size_nm[0] * size_nm[1] / 1e6
    if job.mean_on_frames == 0:
        frame = np.repeat(np.arange(job.frames), rng.poisson(mean_per_frame, job.frames))
        molecule, share = np.arange(len(frame)), np.ones(len(frame))
        count = len(frame)
    else:
        # A molecule is seen in mean_on + 1 frames on average; those before the first frame may reach it.
        before = 10 * job.mean_on_frames
        rate = mean_per_frame / (job.mean_on_frames + 1)
        count = int(rng.poisson(rate * (job.frames + before)))
        start = rng.uniform(-before, job.frames, count)
        molecule, frame, share = _shares(
            start, start + rng.exponential(job.mean_on_frames, count), job.frames
        )
    y_nm, x_nm = STRUCTURES[job.structure](rng, size_nm)(rng, count).T
    part = frame / job.frames
    drift_y_nm, drift_x_nm = job.drift_nm / 2 * np.sin(np.pi * part), job.drift_nm * part
    sigma = scene.sigma_px[0] * draw_spread(rng, scene, count)
    photons = draw_photons(rng, scene, count)
    table = Localizations.from_columns(
        frame=frame,
        x=(x_nm[molecule] + drift_x_nm) / job.pixel_nm - 0.5,
        y=(y_nm[molecule] + drift_y_nm) / job.pixel_nm - 0.5,
        photons=photons[molecule] * share,
        sigma_px=sigma[molecule],
        pixel_nm=job.pixel_nm,
        shape_yx=(height, width),
        n_frames=job.frames,
    )
    return table.select(np.argsort(table.frame, kind="stable"))


def _shares(start: NDArray[Any], end: NDArray[Any], frames: int) -> tuple[NDArray[Any], ...]:
    """Cut times of shining into frames: (molecule, frame, share of the frame)."""
    first, last = np.floor(start).astype(np.int64), np.floor(end).astype(np.int64)
    length = last - first + 1
    molecule = np.repeat(np.arange(len(start)), length)
    step = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length)
    frame = first[molecule] + step
    share = np.minimum(end[molecule], frame + 1) - np.maximum(start[molecule], frame)
    seen = (frame >= 0) & (frame < frames) & (share > 0)
    return molecule[seen], frame[seen], share[seen]


def take_frames(
    rng: np.random.Generator,
    job: SimulateJob,
    truth: Localizations,
    background: NDArray[np.float32],
    progress: Progress,
) -> Iterator[NDArray[np.uint16]]:
    """Yield the frames, block by block, shape (n, H, W)."""
    scene, camera = job.scene(), job.camera()
    for start in range(0, job.frames, BLOCK_FRAMES):
        progress.advance("frames", start, job.frames)
        count = min(BLOCK_FRAMES, job.frames - start)
        rows = truth.select(slice(*np.searchsorted(truth.frame, (start, start + count))))
        rows = rows.replace(frame=rows.frame - start)
        yield camera.expose(rng, expected_frames(rows, background.repeat(count, 0), scene))
    progress.advance("frames", job.frames, job.frames)
