"""Score localisations against the truth: what a user can ask for, and the function that does it."""

import csv as csv_files
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from napari_microsr.core.job import Job
from napari_microsr.core.output import whole, writing
from napari_microsr.core.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from napari_microsr.smlm.localizations import Localizations


class EvaluateTableOptions(Job):
    """How tables of localisations are compared with the truth."""

    task: ClassVar[str] = "evaluate-localizations"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"csv"})

    radius_nm: float = Field(default=250.0, gt=0)
    """Tolerance: a found and a true molecule farther apart are no pair."""
    border_nm: float = Field(default=450.0, ge=0)
    """Molecules closer to the edge of the field, true or found, are left out."""
    camera_pixel_nm: float | None = Field(default=None, gt=0)
    """Size of a camera pixel in nm; empty takes what the tables say."""


class EvaluateTableJob(EvaluateTableOptions):
    """Settings of a comparison of localisations with the truth."""

    result: Path
    """Localisations to judge: NAME.csv (ThunderSTORM), NAME.hdf5 (Picasso) or NAME.parquet."""
    reference: Path
    """The true molecules of the same frames, in any of these formats."""
    csv: Path | None = None
    """File for the figures, NAME.csv."""


def evaluate_table(job: EvaluateTableJob, *, progress: Progress | None = None) -> dict[str, Any]:
    """Score localisations as the SMLM challenge does, with as many at random places beside them.

    Parameters
    ----------
    job : EvaluateTableJob
        What to do.
    progress : Progress, optional
        Told of the two scores; may cancel.

    Returns
    -------
    dict
        `figures`: of `found` and of `random` the entries of `smlm.metrics.Score`, None for what is no number.

    Raises
    ------
    MicroSRError
        If a table cannot be read, or the file cannot be written.
    """
    import numpy as np

    from napari_microsr.smlm.formats import Field as Known
    from napari_microsr.smlm.formats import read_table
    from napari_microsr.smlm.metrics import random_reference, score

    progress = progress or SilentProgress()
    known = Known(pixel_nm=job.camera_pixel_nm)
    truth, found = _on_one_field(read_table(job.reference, known), read_table(job.result, known))
    tables = {"found": found, "random": random_reference(np.random.default_rng(0), found)}
    figures: dict[str, dict[str, float | None]] = {}
    for number, (name, table) in enumerate(tables.items()):
        progress.advance("tables", number, len(tables))
        values = asdict(score(truth, table, radius_nm=job.radius_nm, border_nm=job.border_nm))
        figures[name] = {key: value if np.isfinite(value) else None for key, value in values.items()}
    progress.advance("tables", len(tables), len(tables))
    if job.csv is not None:
        with (
            writing(job.csv),
            whole(job.csv) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv_files.DictWriter(file, ["table", *figures["found"]])
            writer.writeheader()
            writer.writerows({"table": name, **row} for name, row in figures.items())
    return {"figures": figures}


def _on_one_field(truth: "Localizations", found: "Localizations") -> tuple["Localizations", "Localizations"]:
    """Give both tables the pixels of the truth, and the field and frames that cover both.

    A file of positions in nm knows no field: without this the border would be another one in each.
    """
    ratio = found.pixel_nm / truth.pixel_nm
    x, y = ((position + 0.5) * ratio - 0.5 for position in (found.x, found.y))
    height, width = (
        max(ours, round(theirs * ratio)) for ours, theirs in zip(truth.shape_yx, found.shape_yx, strict=True)
    )
    field: dict[str, Any] = {
        "pixel_nm": truth.pixel_nm,
        "shape_yx": (height, width),
        "n_frames": max(truth.n_frames, found.n_frames),
    }
    return replace(truth, **field), replace(found.replace(x=x, y=y), **field)
