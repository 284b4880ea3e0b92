"""Figures of several images against one truth, in one pass of blocks."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.superres.baselines import Candidates
from napari_microsr.superres.metrics import FIGURES, make_measures
from napari_microsr.superres.metrics.spectra import Curves, Spectra, tile_px
from napari_microsr.superres.metrics.window import REACH_PX, Measure, Pair

#: Black and white of every plane.
Ranges = Sequence[tuple[float, float]]
_THREADS = 4


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes
    ----------
    figures : dict
        Of each image the values of `FIGURES`; NaN where the region is too small for one.
    curves : dict
        Of each image its curves over spatial frequency; empty where the region is too small.
    pixels, missing : int
        Of the region in all planes, and how many of these were left out: NaN in some image.
    """

    figures: dict[str, dict[str, float]]
    curves: dict[str, Curves]
    pixels: int
    missing: int


def compare(
    truth: ImageSource,
    candidates: Sequence[Candidates],
    region: tuple[slice, slice],
    ranges: Ranges,
    progress: Progress,
) -> Comparison:
    """Measure images against the truth; pixels that are NaN in one are left out of all.

    Parameters
    ----------
    truth : ImageSource
        What they should look like. Planes are measured together.
    candidates : sequence of callable
        The images on the truth's grid.
    region : tuple of slice
        Rows and columns to compare.
    ranges : sequence of tuple of float
        Black and white of each plane, to which PSNR and the similarities refer.
    progress : Progress
        Told of each block; may cancel.
    """
    height, width = (part.stop - part.start for part in region)
    measures: dict[str, list[Measure]] = {}
    blocks = list(_blocks(height, width))
    total, done, missing = truth.n_planes * len(blocks), 0, 0
    with ThreadPoolExecutor(_THREADS, "microsr-compare") as pool:
        for plane in range(truth.n_planes):
            for y, x in blocks:
                progress.advance("blocks", done, total)
                window = _window(y, region[0]), _window(x, region[1])
                images = _read(truth, candidates, plane, window)
                true, (rows, cols) = images.pop(""), (y.stop - y.start, x.stop - x.start)
                missing += int(np.isnan(true[0, :rows, :cols]).sum())
                for name in images:
                    measures.setdefault(name, make_measures(height, width))
                pairs = [Pair(image, true, rows, cols, *ranges[plane]) for image in images.values()]
                list(pool.map(_add, (measures[name] for name in images), pairs))
                done += 1
    progress.advance("blocks", total, total)
    return Comparison(
        {name: _figures(made) for name, made in measures.items()},
        {name: it.curves() for name, made in measures.items() for it in made if isinstance(it, Spectra)},
        truth.n_planes * height * width,
        missing,
    )


def _blocks(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cut a region into tiles of its spectrum."""
    rows, cols = tile_px(height), tile_px(width)
    for y in range(0, height, rows):
        for x in range(0, width, cols):
            yield slice(y, min(y + rows, height)), slice(x, min(x + cols, width))


def _window(part: slice, region: slice) -> slice:
    """Return where a block of a region and what is behind it lie in the image."""
    return slice(region.start + part.start, min(region.start + part.stop + REACH_PX, region.stop))


def _read(
    truth: ImageSource, candidates: Sequence[Candidates], plane: int, window: tuple[slice, slice]
) -> dict[str, NDArray[np.float64]]:
    """Read the truth, named "", and the images; what is missing in one is missing in all."""
    found: dict[str, NDArray[Any]] = {"": truth.read(plane, *window)}
    for read in candidates:
        found |= read(plane, *window)
    images = {name: pixels.astype(np.float64) for name, pixels in found.items()}
    known = np.logical_and.reduce([np.isfinite(pixels).all(0) for pixels in images.values()])
    if not known.all():
        images = {name: np.where(known, pixels, np.nan) for name, pixels in images.items()}
    return images


def _add(measures: list[Measure], pair: Pair) -> None:
    for measure in measures:
        measure.add(pair)


def _figures(measures: list[Measure]) -> dict[str, float]:
    found: Mapping[str, float] = {name: value for it in measures for name, value in it.figures().items()}
    return {name: found.get(name, float("nan")) for name in FIGURES}
