"""The task that measures the degradation of registered pairs."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress


class DegradationJob(Job):
    """Settings of a measurement of the degradation between low and high images."""

    task: ClassVar[str] = "degradation"

    pairs: Path
    """Exported pairs (`pairs.json` or its folder), a folder with the folders `low` and `high`, or an HDF5
    file."""
    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for single channels."""


def measure(job: DegradationJob, progress: Progress) -> dict[str, Any]:
    """Measure a degradation.

    Returns
    -------
    dict
        `degradation`, the text for a training job; `factor`; and per pair `name`, `blur_px` (low pixels),
        `noise` (1/255 of the range), `gain`, `offset` and `unexplained`.

    Raises
    ------
    MicroSRError
        If there are no pairs, or they cannot be compared.
    """
    from dataclasses import asdict

    from napari_microsr.superres.images import open_images
    from napari_microsr.superres.measured_degradation import measure_degradation

    images = open_images(job.pairs, job.channels)
    progress.advance("measuring", 0, len(images))
    measured = measure_degradation(images)
    pairs = [asdict(pair) for pair in measured.pairs]
    return {"degradation": measured.text, "factor": measured.factor, "pairs": pairs}
