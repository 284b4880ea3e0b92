"""Measure the resolution of a table: what a user can ask for, and the function that does it."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from napari_microsr.core.output import writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.smlm.table_job import TableJob


class FrcJob(TableJob):
    """Settings of a measurement of resolution."""

    task: ClassVar[str] = "frc"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output"})

    output: Path | None = None
    """File for the curve, NAME.csv; empty writes none."""
    pixel_nm: float = Field(default=5.0, gt=0)
    """Size of a pixel of the two compared images in nm; the resolution cannot be below twice that."""
    merge_radius_nm: float = Field(default=50.0, ge=0)
    """Molecules this close in neighbouring frames are merged first; 0 merges none."""
    repeats: int = Field(default=5, ge=1, le=100)
    """Random divisions into two halves that the resolution is averaged over."""


def measure_resolution(job: FrcJob, *, progress: Progress | None = None) -> dict[str, float | None]:
    """Measure the Fourier ring correlation and the nearest-neighbour precision of a table.

    Parameters
    ----------
    job : FrcJob
        What to do.
    progress : Progress, optional
        Told of each repeat; may cancel.

    Returns
    -------
    dict
        `resolution_nm` and its spread `resolution_sd_nm` over the repeats; `precision_nm`, by neighbours in
        successive frames, None where too few molecules shine for several frames.

    Raises
    ------
    MicroSRError
        If the table, the settings or the output will not do, or the curve shows no resolution.
    """
    import numpy as np

    from napari_microsr.smlm.events import merge
    from napari_microsr.smlm.frc import check_resolution, fourier_ring_correlation
    from napari_microsr.smlm.nena import nearest_neighbour_precision

    progress = progress or SilentProgress()
    table = job.read()
    precision: float | None
    try:
        precision = nearest_neighbour_precision(table)
    except InputError as error:
        precision = None
        progress.warn(f"No precision by neighbours: {error.cause}")
    if job.merge_radius_nm:
        table = merge(table, job.merge_radius_nm).table
    results = []
    for seed in range(job.repeats):
        progress.advance("halves", seed, job.repeats)
        results.append(fourier_ring_correlation(table, job.pixel_nm, seed))
    progress.advance("halves", job.repeats, job.repeats)
    resolutions = [check_resolution(result) for result in results]
    if job.output is not None:
        mean = np.mean([result.correlation for result in results], axis=0)
        curve = np.column_stack([results[0].frequency_nm, mean])
        with writing(job.output):
            np.savetxt(job.output, curve, "%.6g", ",", header='"frequency [1/nm]","correlation"', comments="")
    return {
        "resolution_nm": float(np.mean(resolutions)),
        "resolution_sd_nm": float(np.std(resolutions)),
        "precision_nm": precision,
    }
