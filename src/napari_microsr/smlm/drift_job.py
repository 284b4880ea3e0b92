"""Correct the drift of a table: what a user can ask for, and the function that does it."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from napari_microsr.core.output import check_free, whole, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.smlm.table_job import TableJob

if TYPE_CHECKING:
    from napari_microsr.smlm.drift import Drift
    from napari_microsr.smlm.localizations import Localizations


class DriftJob(TableJob):
    """Settings of a drift correction."""

    task: ClassVar[str] = "drift"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart"})

    output: Path
    """Table without drift: NAME.csv, NAME.hdf5 or NAME.parquet. The drift itself goes to NAME.drift.csv."""
    method: Literal["aim", "rcc"] = "aim"
    """aim meets each segment with all others and is the finer one; rcc correlates images of every two."""
    segment_frames: int | None = Field(default=None, ge=1)
    """Frames between two nodes of the drift curve; empty takes as many as hold enough localisations."""
    restart: bool = False
    """Replace a table of that name."""

    @property
    def curve(self) -> Path:
        """The drift of each frame: NAME.drift.csv."""
        return self.output.with_suffix(".drift.csv")


def correct_drift(
    job: DriftJob, *, table: "Localizations | None" = None, progress: Progress | None = None
) -> "tuple[Localizations, Drift]":
    """Estimate the drift of a table and write the table without it, and the drift beside it.

    Parameters
    ----------
    job : DriftJob
        What to do.
    table : Localizations, optional
        The localisations, if not those of the file `job.table`.
    progress : Progress, optional
        Told of each segment; may cancel.

    Returns
    -------
    Localizations, Drift
        What was written.

    Raises
    ------
    MicroSRError
        If the table, the settings or the output will not do.
    Cancelled
        If the progress asked to stop; nothing is written then.
    """
    from napari_microsr.smlm.drift import estimate_drift
    from napari_microsr.smlm.formats import write_table
    from napari_microsr.smlm.job import check_table

    check_table(job.output, restart=job.restart)
    check_free(job.curve, restart=job.restart)
    table = job.read() if table is None else table
    drift = estimate_drift(table, job.method, job.segment_frames, progress or SilentProgress())
    corrected = drift.correct(table)
    write_table(job.output, corrected)
    write_curve(job.curve, drift, table.pixel_nm)
    return corrected, drift


def write_curve(path: Path, drift: "Drift", pixel_nm: float) -> None:
    """Write the drift as CSV: frame (from 1, as in the tables), x [nm], y [nm].

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    rows = np.column_stack([np.arange(1, len(drift.x) + 1), drift.x * pixel_nm, drift.y * pixel_nm])
    with writing(path), whole(path) as partial:
        np.savetxt(
            partial,
            rows,
            ("%d", "%.3f", "%.3f"),
            ",",
            header='"frame","x [nm]","y [nm]"',
            comments="",
            encoding="utf-8",
        )
