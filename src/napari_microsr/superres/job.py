"""Super-resolve an image of any size: what a user can ask for, and the function that does it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from napari_microsr.core.cluster import connect
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.job import Job
from napari_microsr.core.output import StorePath, check_output, is_there
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.region import parse_region, part_of
from napari_microsr.core.tiles import Region
from napari_microsr.core.unchanged import check_unchanged

if TYPE_CHECKING:
    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.superres.run import UpscaleRun


class UpscaleJob(Job):
    """Settings of a super-resolution run."""

    task: ClassVar[str] = "upscale"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart", "cluster"})
    after_cancel: ClassVar[str] = "what is done is kept, and the same command resumes"

    source: str
    """Image to super-resolve: a TIFF, OME-TIFF, SVS, OME-Zarr, PNG or JPEG file."""
    output: StorePath
    """Folder of the result, an OME-Zarr store NAME.ome.zarr."""
    model: str = "histology-x2"
    """Network: the id of an installed one, or the path of a .safetensors file or of a foreign network's."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "float32"] = "auto"
    """auto uses 16-bit arithmetic where it is faster and the model's card shows that it costs nothing."""
    tile_px: int | None = Field(default=None, ge=16, le=16384)
    """Side of a tile in input pixels; empty chooses one for the device and halves it if memory is short."""
    level: int = Field(default=0, ge=0)
    """Level of an image that is a pyramid; 0 is the finest."""
    region: str | None = None
    """Part of the image to super-resolve: Y,X,HEIGHT,WIDTH in pixels of the level; empty takes all of it."""
    skip_background: bool = False
    """Enlarge tiles of a slide that show nothing but glass by interpolation, which takes no time."""
    overlap_px: int | None = Field(default=None, ge=0, le=1024)
    """For a foreign network that cannot be tiled exactly: what tiles overlap; seams may remain."""
    residual: bool = False
    """Also write what the network changed: the result minus the bicubic enlargement (or the input)."""
    consistency: bool = False
    """Also write how far the result, reduced again, lies from the input: inventions and losses show there."""
    self_ensemble: bool = False
    """Also write how far the results on the turned and mirrored image disagree; takes eight times as long."""
    compare_with: tuple[str, ...] = ()
    """Also write how far the result and those of these other models (ids or paths) disagree."""
    blur_px: float | None = Field(default=None, ge=0, le=10)
    """Blur of the image for a conditioned model, a standard deviation in pixels; empty estimates it."""
    noise: float | None = Field(default=None, ge=0, le=1)
    """Noise of the image for a conditioned model, a share of its intensity range; empty estimates it."""
    cluster: str | None = None
    """Spread the tiles over a dask cluster: tcp://HOST:PORT, a scheduler file, or local:N here."""
    restart: bool = False
    """Replace a finished or unfinished result of that name instead of resuming it."""

    @field_validator("compare_with", mode="before")
    @classmethod
    def _split(cls, models: object) -> object:
        """Take a text with commas, as a form has it."""
        if models is None or isinstance(models, str):
            return tuple(filter(None, (part.strip() for part in (models or "").split(","))))
        return models

    @field_validator("region")
    @classmethod
    def _is_region(cls, region: str | None) -> str | None:
        if region:
            parse_region(region)
        return region or None

    @property
    def contents(self) -> dict[str, Path]:
        """The stores by what they hold: the result, and those beside it (NAME.residual.ome.zarr)."""
        stem = self.output.name.removesuffix(".zarr").removesuffix(".ome")
        beside = {
            "residual": self.residual,
            "consistency": self.consistency,
            "disagreement": self.self_ensemble or bool(self.compare_with),
        }
        wanted = {
            name: self.output.with_name(f"{stem}.{name}.ome.zarr") for name, asked in beside.items() if asked
        }
        return {"result": self.output, **wanted}

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The stores of `contents`."""
        return tuple(self.contents.values())


def image_of(job: UpscaleJob) -> ImageSource:
    """Open the image of a job: the level and the region that it names.

    Raises
    ------
    InputError
        As `open_image` does, or if the region is not inside the image.
    """
    image = open_image(job.source, level=job.level)
    return part_of(image, *parse_region(job.region)) if job.region else image


def was_naming(job: UpscaleJob) -> bool:
    """Say whether a run was stopped when the stores beside the result had their names and it had not.

    Those are then made again.
    """
    unfinished = job.output.with_name(job.output.name + ".partial")
    return not is_there(job.output) and is_there(unfinished)


def upscale(
    job: UpscaleJob,
    *,
    source: ImageSource | None = None,
    progress: Progress | None = None,
    visible: Region | None = None,
    opened: "Callable[[UpscaleRun, tuple[ZarrSink, ...]], None] | None" = None,
    client: Any = None,
) -> tuple[Path, ...]:
    """Super-resolve an image tile by tile into an OME-Zarr store.

    An interrupted run of the same job is resumed; its store becomes the same to the bit as that of an
    uninterrupted one.

    Parameters
    ----------
    job : UpscaleJob
        What to do.
    source : ImageSource, optional
        The image, if it is not the file `job.source`.
    progress : Progress, optional
        Told of each tile; may cancel.
    visible : Region, optional
        What the viewer shows: those tiles come first.
    opened : callable, optional
        Called with the run and its sinks when these are open and before the first tile, so that a viewer
        can show them as they fill.
    client : distributed.Client, optional
        A dask cluster to use instead of `job.cluster`.

    Returns
    -------
    tuple of pathlib.Path
        The result and, if asked for, the residual and the maps of consistency and disagreement.

    Raises
    ------
    MicroSRError
        If the image, the model, the device or the output will not do.
    Cancelled
        If the progress asked to stop; the unfinished store stays and can be resumed.
    """
    from napari_microsr.core.runner import run_tiles
    from napari_microsr.superres.evidence import note_evidence
    from napari_microsr.superres.run import prepare
    from napari_microsr.superres.shards import distribute

    progress = progress or SilentProgress()
    for output in job.outputs:
        check_output(output, restart=job.restart or (output != job.output and was_naming(job)))
    with contextlib.ExitStack() as stack:
        if client is None and job.cluster is not None:
            client = stack.enter_context(connect(job.cluster))
        run = prepare(job, source or image_of(job), progress, client)
        stack.callback(run.device.release)
        sinks = tuple(stack.enter_context(sink) for sink in run.sinks())
        if opened is not None:
            opened(run, sinks)
        batches = run.plan.batches(run.batch_size, visible)
        if client is None:
            with run.process(progress) as process:
                run_tiles(run.source, run.plan, process, sinks, progress, batches)
        else:
            distribute(run, sinks, batches, progress, client)
        check_unchanged(run.source, sinks[0].journal.header["source"])
        progress.advance("measuring evidence", 0, 1)
        note_evidence(run, sinks, progress)
        for sink in reversed(sinks):  # the result last, see `was_naming`
            sink.finish()
        return job.outputs
