"""Localise a stack of frames: what a user can ask for, and the function that does it."""

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from napari_microsr.core.cluster import connect
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.job import Job
from napari_microsr.core.output import check_free, whole, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.unchanged import check_unchanged
from napari_microsr.errors import JobError, OutputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.localizations import Localizations, check_pixel_nm
from napari_microsr.smlm.stream import Found

if TYPE_CHECKING:
    from napari_microsr.smlm.parts import Parts
    from napari_microsr.smlm.prepare import LocalizeRun


class LocalizeJob(Job):
    """Settings of a localisation. Lengths in pixels are those of the camera."""

    task: ClassVar[str] = "localize"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart", "block_frames", "cluster"})
    after_cancel: ClassVar[str] = "what is done is kept, and the same command resumes"

    source: str
    """Stack of frames: TIFF, OME-TIFF or OME-Zarr."""
    output: Path
    """Table of the result: NAME.csv (ThunderSTORM), NAME.hdf5 (Picasso) or NAME.parquet; the image of a model
    that draws one: NAME.ome.zarr."""
    pixel_nm: float
    """Size of a camera pixel in the sample, in nm."""
    model: str = "emitters-2d"
    """What localises: emitters-2d (a network, for dense spots), gaussian-mle (a fitter, for sparse ones),
    dsir-autoencoder (draws an image of probability, without a table), or the path of a .safetensors file."""
    offset: float | None = None
    """Counts of a dark pixel; empty takes it from the file's metadata, or estimates it from the stack."""
    gain: float | None = Field(default=None, gt=0)
    """Electrons per count, behind an EM register if there is one; empty takes the file's metadata, or 1."""
    em_gain: float | None = Field(default=None, ge=1)
    """Gain of the EM register, 1 for a camera without one; empty takes the file's metadata, or 1."""
    estimate_camera: bool = False
    """Estimate a gain that is not given, too, from how noise grows with light."""
    qe: float = Field(default=1.0, gt=0, le=1)
    """Quantum efficiency; 1 counts detected photons."""
    read_noise_e: float = Field(default=0.0, ge=0)
    """Standard deviation of the read noise in electrons."""
    psf_sigma_px: float | None = Field(default=None, gt=0)
    """Standard deviation of the PSF; empty measures it from clear spots."""
    threshold: float | None = Field(default=None, gt=0)
    """Smallest probability (network), or signal to noise (fitter); empty is the model's own."""
    keep_mixed: bool = False
    """Keep also spots whose error is too large for their light: most likely several molecules in one."""
    refine: bool = False
    """Climb the joint likelihood of what a network found; slower."""
    first_frame: int = Field(default=0, ge=0)
    """First frame to localise; the stack's first is 0."""
    last_frame: int | None = Field(default=None, ge=0)
    """Last frame to localise; empty is the stack's last."""
    image_nm: float | None = Field(default=None, gt=0)
    """Pixel size of the image that dsir-autoencoder draws, in nm; empty is an eighth of the camera's."""
    block_frames: int = Field(default=64, ge=1, le=4096)
    """Frames read and kept together; the result does not depend on it."""
    device: str = "auto"
    """Where a network runs: auto, cpu, cuda, cuda:1 or mps."""
    cluster: str | None = None
    """Spread the frames over a dask cluster: tcp://HOST:PORT, a scheduler file, or local:N here."""
    restart: bool = False
    """Replace a finished or unfinished table of that name instead of resuming it."""

    def frames(self, source: ImageSource) -> range:
        """Return the numbers of the frames to localise.

        Raises
        ------
        JobError
            If the stack has no such frames.
        """
        last = source.n_planes - 1 if self.last_frame is None else self.last_frame
        if not self.first_frame <= last < source.n_planes:
            raise JobError(
                f"{source.name} has the frames 0 to {source.n_planes - 1}, not {self.first_frame} to {last}.",
                "Correct the first and the last frame.",
            )
        return range(self.first_frame, last + 1)


def localize(
    job: LocalizeJob,
    *,
    source: ImageSource | None = None,
    camera: Camera | None = None,
    progress: Progress | None = None,
    found: Found | None = None,
    client: Any = None,
) -> Localizations:
    """Localise the single molecules of a stack and write their table.

    An interrupted run of the same job goes on where it stopped, to the same table.

    Parameters
    ----------
    job : LocalizeJob
        What to do.
    source : ImageSource, optional
        The stack, if it is not the file `job.source`.
    camera : Camera, optional
        With maps per pixel, in the place of the job's numbers.
    progress : Progress, optional
        Told of each frame; may cancel.
    found : callable, optional
        Told of each block of frames that is done, those of an earlier run together first.
    client : distributed.Client, optional
        A dask cluster to use instead of `job.cluster`.

    Returns
    -------
    Localizations
        What was written to `job.output`; beside it lies how it was made, see `provenance_path`.

    Raises
    ------
    MicroSRError
        If the stack, the model, the device, the camera or the output will not do.
    Cancelled
        If the progress asked to stop; what was found stays and is resumed.
    """
    from napari_microsr.smlm.measure import photon_doubts
    from napari_microsr.smlm.parts import Parts
    from napari_microsr.smlm.prepare import prepare

    progress = progress or SilentProgress()
    check_pixel_nm(job.pixel_nm)
    check_table(job.output, restart=job.restart)
    with contextlib.ExitStack() as stack:
        if client is None and job.cluster is not None:
            client = stack.enter_context(connect(job.cluster))
        run = prepare(job, source or open_image(job.source), camera, progress, elsewhere=client is not None)
        folder = job.output.with_name(job.output.name + ".partial")
        made = run.fingerprint()
        parts = stack.enter_context(Parts(folder, made, restart=job.restart))
        _fill(parts, run, progress, found, client)
        check_unchanged(run.source, made["source"])
        table = parts.read(**run.field())
        for message in photon_doubts(table.photons, run.ranges, job.model):
            progress.warn(message)
        _finish(job.output, table, made, parts)
    return table


def _finish(output: Path, table: Localizations, made: dict[str, Any], parts: "Parts") -> None:
    """Write everything beside its place and name the table last: who sees it sees it whole."""
    from napari_microsr.smlm.formats import write_table

    hidden = output.with_name(f".{output.name}")
    files = [hidden.with_suffix(".yaml"), provenance_path(hidden), hidden]
    try:
        write_table(hidden, table)
        write_provenance(hidden, made)
        parts.remove()
        with writing(output):
            for file in filter(Path.exists, files):
                file.replace(output.with_name(file.name[1:]))
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _fill(parts: "Parts", run: "LocalizeRun", progress: Progress, found: Found | None, client: Any) -> None:
    """Localise the frames that are missing, here or on a cluster."""
    from napari_microsr.smlm.blocks import distribute
    from napari_microsr.smlm.stream import localize_frames

    def take(start: int, stop: int, rows: Localizations) -> None:
        parts.write(start, stop, rows)
        if found is not None:
            found(start, stop, rows)

    missing = parts.missing(run.frames)
    done = len(run.frames) - sum(map(len, missing))
    if found is not None and done:
        found(run.frames.start, run.frames.start + done, parts.read(**run.field()))
    step = run.job.block_frames
    if client is not None:
        blocks = (gap[i : i + step] for gap in missing for i in range(0, len(gap), step))
        distribute(run, blocks, done, take, progress, client)
        return
    for gap in missing:
        for block in localize_frames(
            run.source,
            gap,
            run.camera,
            run.finder,
            pixel_nm=run.job.pixel_nm,
            block=step,
            progress=progress,
            total=run.frames,
        ):
            take(*block)


def provenance_path(output: Path) -> Path:
    """Return the file beside a table that says how it was made: NAME.provenance.json."""
    return output.with_suffix(".provenance.json")


def write_provenance(output: Path, made: dict[str, Any]) -> None:
    """Say beside a table how it was made: job, package, source, camera, PSF and model."""
    path = provenance_path(output)
    with writing(path), whole(path) as partial:
        partial.write_text(json.dumps(made, indent=1), encoding="utf-8")


def check_table(path: Path, *, restart: bool) -> None:
    """Refuse an output that is finished or has no known ending.

    Raises
    ------
    OutputError
    """
    from napari_microsr.smlm.formats import FORMATS

    endings = [suffix for form in FORMATS.values() for suffix in form.suffixes]
    if path.suffix.lower() not in endings:
        raise OutputError(
            f"{path} is no table of localisations by its name.",
            f"Give it one of the endings {', '.join(endings)}.",
        )
    check_free(path, restart=restart)
