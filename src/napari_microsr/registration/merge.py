"""Merge: the overview and its fields as one image, at the finest pixel size or a chosen one."""

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from napari_microsr.core.image import ImageSource
from napari_microsr.core.job import Job
from napari_microsr.core.output import StorePath, check_output
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.registration.formats import read_placements
from napari_microsr.registration.images import Images, image_of
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.selection import chosen, overview_of, scale_of, sized

if TYPE_CHECKING:
    from napari_microsr.registration.mosaic import Mosaic


class MergeJob(Job):
    """Settings of a merge."""

    task: ClassVar[str] = "merge"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart"})
    after_cancel: ClassVar[str] = "what is done is kept, and the same command resumes"

    placements: Path
    """File of placements that a registration wrote, NAME.json."""
    output: StorePath
    """Folder of the result, an OME-Zarr store NAME.ome.zarr."""
    overview: str | None = None
    """Name of the overview to fill, where there are several."""
    um: float | None = Field(default=None, gt=0)
    """Pixel size of the result in µm; empty takes that of the finest field."""
    feather: float = Field(default=0.1, ge=0, le=0.5)
    """Rim over which a field fades into what lies below, as a share of its shorter side."""
    match_colours: bool = True
    """Give each field the overview's brightness and contrast, channel by channel."""
    uncertain: bool = False
    """Merge the uncertain fields too."""
    whole: bool = False
    """Extend the result to the fields that reach beyond the overview, instead of cutting them there."""
    restart: bool = False
    """Replace a finished or unfinished result of that name instead of resuming it."""


def merge(
    job: MergeJob,
    *,
    placements: Placements | None = None,
    images: Images | None = None,
    progress: Progress | None = None,
) -> Path:
    """Blend the placed fields over their overview, the finest on top, into an OME-Zarr pyramid.

    The result covers the overview, and on request (`job.whole`) what fields show beyond it; fields that are
    cut are warned of. It is computed tile by tile, so that memory does not grow with it, and an
    interrupted run of the same job is resumed.

    Parameters
    ----------
    job : MergeJob
        What to do.
    placements : Placements, optional
        The placements, if they are not those of the file `job.placements`.
    images : mapping, optional
        Images by the name of their overview or field, for those that are not opened by their path.
    progress : Progress, optional
        Told of each field and tile; may cancel.

    Returns
    -------
    pathlib.Path
        The store.

    Raises
    ------
    MicroSRError
        If the placements or an image cannot be read or do not go together, or the store not be written.
    Cancelled
        If the progress asked to stop; the unfinished store stays and can be resumed.
    """
    from napari_microsr.registration.streaming import store_image

    progress = progress or SilentProgress()
    check_output(job.output, restart=job.restart)
    placements = placements or read_placements(job.placements)
    info = overview_of(placements, job.overview)
    fields = chosen(placements, info, job.uncertain)
    overview = sized(image_of(info, images), info.um)
    step = _step(job, info, fields)
    mosaic, sources = _mosaic(job, overview, fields, step, images, progress)
    if mosaic.cut:
        progress.warn(
            f"Cut at the overview's edge: {', '.join(mosaic.cut)}. Merge with whole to keep what lies beyond."
        )
    fingerprint = {
        "images": [overview.fingerprint(), *sources],
        "placements": _digest(fields),
        "step": step,
        "feather": job.feather,
        "match_colours": job.match_colours,
        "whole": job.whole,
    }
    provenance = {**job.provenance(), "content": "result", "fields": [field.name for field in fields]}
    return store_image(
        mosaic.image(),
        job.output,
        progress,
        fingerprint=fingerprint,
        provenance=provenance,
        restart=job.restart,
    )


def _step(job: MergeJob, overview: OverviewInfo, fields: list[FieldPlacement]) -> float:
    """Return the side of a pixel of the result in pixels of the overview."""
    if job.um is None:
        return min(1.0, *map(scale_of, fields))
    if overview.um is None:
        raise InputError(
            f"The pixel size of {overview.name} is not known, so none can be chosen for the result.",
            "Register with --overview-um, or leave the pixel size of the result empty.",
        )
    return job.um / overview.um


def _mosaic(
    job: MergeJob,
    overview: ImageSource,
    fields: list[FieldPlacement],
    step: float,
    images: Images | None,
    progress: Progress,
) -> tuple["Mosaic", list[str]]:
    """Return the merged image, still to be computed, and what tells the fields' images from others."""
    from napari_microsr.registration import mosaic as over

    opener = over.keep_open(lambda field: image_of(field, images))
    overlays, fingerprints = [], []
    for number, field in enumerate(fields):
        progress.advance("measuring colours", number, len(fields))
        source = opener(field)
        over.check_planes(field, source, overview)
        fingerprints.append(source.fingerprint())
        gain, offset = over.colours(field, source, overview, job.match_colours)
        rim = job.feather * min(field.shape_yx)
        overlays.append(over.Overlay(field, partial(opener, field), gain, offset, rim))
    return over.Mosaic(overview, overlays, step, whole=job.whole), fingerprints


def _digest(fields: list[FieldPlacement]) -> str:
    digest = hashlib.sha256()
    for field in fields:
        values: list[Any] = [field.name, field.shape_yx, field.matrix_yx, field.quadratic_yx]
        for value in values:
            digest.update(repr(value.tolist() if isinstance(value, np.ndarray) else value).encode())
    return digest.hexdigest()
