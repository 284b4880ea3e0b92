"""Compare results with the truth: what a user can ask for, and the function that does it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from napari_microsr.superres.comparison import Comparison

#: What results are called that bear the name of a baseline, or of another result.
_TAKEN = ("input", "bicubic", "Lanczos", "sharpened", "sharpened twice", "unsharp mask")


class EvaluateOptions(Job):
    """How images are compared with their truth."""

    task: ClassVar[str] = "evaluate"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"curves", "chart"})

    input: str | None = None
    """Image that the result was made from; its enlarged and sharpened forms are measured beside it."""
    degrade: Literal["none", "bicubic", "area"] = "none"
    """Without an input: make one from the reference, by bicubic reduction or by the mean over blocks."""
    factor: int = Field(default=2, ge=2, le=16)
    """By how much the reference is reduced to make an input."""
    align: bool = True
    """Register what is shifted against the reference by more than a tenth of a pixel, and say so."""
    rim_px: int = Field(default=0, ge=0, le=4096)
    """Pixels at each side of the reference that do not count."""
    peak: float | None = Field(default=None, gt=0)
    """White, black being 0, for PSNR and similarities; empty: 255 for 8 bits, else the reference's range."""
    also: tuple[str, ...] = ()
    """One more result to measure; may be given several times."""
    curves: Path | None = None
    """File for power spectra and ring correlations, NAME.csv."""
    chart: Path | None = None
    """File for a bar chart, NAME.png."""


class EvaluateJob(EvaluateOptions):
    """Settings of a comparison with the truth."""

    execution_fields: ClassVar[frozenset[str]] = frozenset({"csv", "curves", "chart"})

    result: str
    """Image to judge: a TIFF, OME-TIFF, SVS, OME-Zarr, PNG or JPEG file."""
    reference: str
    """The truth: an image of the same pixels."""
    csv: Path | None = None
    """File for the table, NAME.csv."""

    @field_validator("chart")
    @classmethod
    def _is_a_picture(cls, chart: Path | None) -> Path | None:
        if chart is not None and chart.suffix.lower() != ".png":
            raise ValueError("the name of a chart ends in .png")
        return chart

    @property
    def outputs(self) -> list[Path]:
        """The files that are asked for."""
        return [path for path in (self.csv, self.curves, self.chart) if path is not None]


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and how.

    Attributes
    ----------
    comparison : Comparison
        Figures and curves, the results first and then what they have to be better than.
    results : tuple of str
        Names of the results; the others are baselines.
    shifts : dict
        Of each image that was registered, how far it lay off the reference, (y, x) in pixels.
    notes : list of str
        What to know of the figures.
    """

    comparison: "Comparison"
    results: tuple[str, ...]
    shifts: dict[str, tuple[float, float]]
    notes: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Of each image the values of `metrics.FIGURES`."""
        return self.comparison.figures

    def as_dict(self) -> dict[str, Any]:
        """Return all but the curves as JSON can hold it; what is not finite is None."""
        figures = {
            name: {key: value if math.isfinite(value) else None for key, value in row.items()}
            for name, row in self.figures.items()
        }
        return {
            "figures": figures,
            "results": list(self.results),
            "shift_px": {name: list(shift) for name, shift in self.shifts.items()},
            "pixels": self.comparison.pixels,
            "missing": self.comparison.missing,
            "notes": self.notes,
        }


def evaluate(
    job: EvaluateJob,
    *,
    results: Sequence[ImageSource] | None = None,
    reference: ImageSource | None = None,
    low: ImageSource | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure how close results are to the truth, with what they have to be better than beside them.

    Images are read block by block, and may be of any size. All planes of a stack are measured together.

    Parameters
    ----------
    job : EvaluateJob
        What to do.
    results : sequence of ImageSource, optional
        The results, if they are not the files `job.result` and `job.also`.
    reference, low : ImageSource, optional
        Truth and input, if they are not the files `job.reference` and `job.input`.
    progress : Progress, optional
        Told of each block; may cancel.

    Returns
    -------
    Evaluation
        Table, curves and chart are written where the job names files for them.

    Raises
    ------
    MicroSRError
        If the images do not belong together, or cannot be read, or a file cannot be written.
    """
    from napari_microsr.superres.baselines import Degraded, Enlargements
    from napari_microsr.superres.comparison import compare
    from napari_microsr.superres.report import write_reports
    from napari_microsr.superres.scene import Scene, check_same, input_factor

    progress = progress or SilentProgress()
    reference = reference or open_image(job.reference)
    given = _named(results or [open_image(path) for path in (job.result, *job.also)])
    if low is None and job.input is not None:
        low = open_image(job.input)
    for image in given.values():
        check_same(image, reference)
    scene = Scene(reference)
    for name, image in given.items():
        scene.add(name, image, align=job.align)
    if low is not None:
        scene.add_input(Enlargements(low, input_factor(low, reference)), align=job.align)
    elif job.degrade != "none":
        # What is made from the reference cannot lie beside it.
        made = Degraded(reference, job.degrade, job.factor)
        scene.add_input(Enlargements(made, job.factor), align=False)
    region, ranges = scene.region(job.rim_px), _ranges(job, reference)
    comparison = compare(reference, scene.candidates, region, ranges, progress)
    evaluation = Evaluation(
        comparison, tuple(given), scene.shifts, [*scene.notes, *_gaps(comparison, region)]
    )
    for note in evaluation.notes:
        progress.warn(note)
    write_reports(evaluation, csv=job.csv, curves=job.curves, chart=job.chart)
    return evaluation


def _named(results: Sequence[ImageSource]) -> dict[str, ImageSource]:
    """Give each result a name of its own."""
    named: dict[str, ImageSource] = {}
    for image in results:
        name, number = image.name, 1
        while name in named or name in _TAKEN:
            number += 1
            name = f"{image.name} ({number})"
        named[name] = image
    return named


def _ranges(job: EvaluateJob, reference: ImageSource) -> list[tuple[float, float]]:
    """Return black and white of each plane."""
    from napari_microsr.superres.normalise import measure

    planes = range(reference.n_planes)
    if job.peak is not None:
        return [(0.0, job.peak) for _ in planes]
    found = measure(reference, "range")
    channels = [0 if reference.rgb else reference.channel_of(plane) for plane in planes]
    return [(found.low[channel], found.high[channel]) for channel in channels]


def _gaps(comparison: "Comparison", region: tuple[slice, slice]) -> list[str]:
    """Say what was left out."""
    from napari_microsr.superres.metrics import FIGURES

    height, width = (part.stop - part.start for part in region)
    notes = []
    if comparison.missing:
        notes.append(
            f"{comparison.missing} of {comparison.pixels} pixels are NaN in some image: left out of all."
        )
    small = [it for it in FIGURES.values() if min(height, width) < it.smallest_px]
    if small:
        wanted = ", ".join(f"{it.title} {it.smallest_px}" for it in small)
        notes.append(f"{height} x {width} pixels are too few for some figures (smallest side: {wanted}).")
    return notes
