"""Registered pairs: each field and the overview below it, pixel on pixel, to train a network of one's own."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from napari_microsr.core.image import ImageSource
from napari_microsr.core.job import Job
from napari_microsr.core.lock import Lock, beside
from napari_microsr.core.output import check_free, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.registration.formats import read_placements
from napari_microsr.registration.formats.files import file_stems
from napari_microsr.registration.images import Images, image_of
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.selection import chosen, overview_of

MANIFEST = "pairs.json"
FORMAT = 1


class PairsJob(Job):
    """Settings of an export of registered pairs."""

    task: ClassVar[str] = "pairs"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output"})

    placements: Path
    """File of placements that a registration wrote, NAME.json."""
    output: Path
    """Folder for the pairs; it must not exist."""
    overview: str | None = None
    """Name of the overview, where there are several."""
    factor: int | None = Field(default=None, ge=1, le=32)
    """Pixels of the high image per pixel of the low one; empty takes the ratio of pixel sizes, rounded."""
    patch_px: int = Field(default=32, ge=8, le=1024)
    """Side of a patch in pixels of the low image."""
    max_shift_px: float = Field(default=0.5, gt=0)
    """Patches that still lie further off than this, in pixels of the low image, are dropped."""
    min_correlation: float = Field(default=0.5, ge=-1, le=1)
    """Patches whose low and shrunk high image correlate less than this are dropped."""
    match_colours: bool = True
    """Give each field the overview's brightness and contrast, so that a network need not learn them."""
    uncertain: bool = False
    """Use the uncertain fields too."""


def export_pairs(
    job: PairsJob,
    *,
    placements: Placements | None = None,
    images: Images | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write one low and one high image per field, and a list of the patches that fit.

    The low image is the overview resampled onto a grid that is exactly `factor` times coarser than the high
    one, which is the field itself, averaged over whole pixels where its own are finer than that takes.

    Parameters
    ----------
    job : PairsJob
        What to do.
    placements, images, progress
        As in `merge`.

    Returns
    -------
    pathlib.Path
        The list, `pairs.json` in the folder: per field its two stores and the patches (first row and column
        in the low image, residual shift, correlation).

    Raises
    ------
    MicroSRError
        If the placements or an image cannot be read, no field is placed, or the folder not be written.
    Cancelled
        If the progress asked to stop; nothing is left. What a killed run leaves, `.NAME.partial`, the next
        one of the same output removes.
    """
    progress = progress or SilentProgress()
    check_free(job.output, restart=None)
    placements = placements or read_placements(job.placements)
    info = overview_of(placements, job.overview)
    fields = chosen(placements, info, job.uncertain)
    overview = image_of(info, images)
    output = job.output.absolute()
    folder = output.with_name(f".{output.name}.partial")
    with writing(output):
        lock = Lock(output.parent, output, beside(output))
    with lock:
        _export(job, fields, overview, info, images, folder, progress)
    return job.output / MANIFEST


def _export(
    job: PairsJob,
    fields: list[FieldPlacement],
    overview: ImageSource,
    info: OverviewInfo,
    images: Images | None,
    folder: Path,
    progress: Progress,
) -> None:
    """Write everything into a folder of its own, which becomes the output when it is whole."""
    from napari_microsr.registration.pairing import make_pair, write_pair

    stems = file_stems(field.name for field in fields)
    # What a run left that was killed.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        entries = []
        for field in fields:
            try:
                pair = make_pair(job, field, image_of(field, images), overview, info)
            except InputError as error:  # the others go on
                progress.warn(f"{field.name} is left out. {error}")
                continue
            entries.append(write_pair(job, pair, info.shape_yx, folder, stems[field.name], progress))
        if not entries:
            raise InputError(
                f"None of the {len(fields)} fields gives a pair.", "Each has a warning that says why."
            )
        document = {
            "format": FORMAT,
            "patch_px": job.patch_px,
            "overview": info.path or info.name,
            "fields": entries,
            "provenance": job.provenance(),
        }
        with writing(job.output):
            (folder / MANIFEST).write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
            folder.rename(job.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
