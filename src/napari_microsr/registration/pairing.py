"""One field and the overview below it as two images whose pixels lie exactly on each other."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.registration.computed import Compute, as_channels, computed_image, recoloured
from napari_microsr.registration.geometry import apply, enlarging
from napari_microsr.registration.images import placed
from napari_microsr.registration.mosaic import check_planes, colours
from napari_microsr.registration.pairs import PairsJob
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo
from napari_microsr.registration.resample import read_grid, read_points
from napari_microsr.registration.residuals import Limits, fitting_patches
from napari_microsr.registration.selection import scale_of
from napari_microsr.registration.streaming import store_image

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pair:
    """A field and what the overview shows of it.

    Attributes
    ----------
    field : FieldPlacement
        Which one.
    low, high : ImageSource
        Images that are computed as they are read; high has `factor` times as many pixels each way.
    factor, shrink : int
        Pixels of high per pixel of low, and of the field per pixel of high.
    gain, offset : ndarray, (planes, channels)
        What was done to the field's colours.
    """

    field: FieldPlacement
    low: ImageSource
    high: ImageSource
    factor: int
    shrink: int
    gain: Array
    offset: Array


def make_pair(
    job: PairsJob, field: FieldPlacement, source: ImageSource, overview: ImageSource, info: OverviewInfo
) -> Pair:
    """Return what a field and its overview show of one place, still to be computed.

    Raises
    ------
    InputError
        If the two do not go together, or the field is smaller than a patch.
    """
    check_planes(field, source, overview)
    scale = scale_of(field)
    factor = job.factor or max(1, round(1 / scale))
    shrink = max(1, round(1 / scale / factor))
    rows, cols = (size // shrink // factor for size in (source.height, source.width))
    if min(rows, cols) < job.patch_px:
        raise InputError(
            f"The field {field.name} gives a low image of {rows} × {cols} pixels, less than one patch.",
            f"Choose patches of {max(8, min(rows, cols))} pixels or less, a smaller factor, or leave it out.",
        )
    gain, offset = colours(field, source, overview, job.match_colours)

    def low(plane: int, y: slice, x: slice) -> Array:
        grid = np.stack(np.meshgrid(range(y.start, y.stop), range(x.start, x.stop), indexing="ij"), -1)
        points = field.to_overview(apply(enlarging(factor * shrink), grid.astype(float)))
        return read_points(overview, plane, points, int(factor * shrink * scale))

    def high(plane: int, y: slice, x: slice) -> Array:
        block = read_grid(source, plane, shrink, (y.start, y.stop), (x.start, x.stop))
        return recoloured(as_channels(block, overview.channels), gain[plane], offset[plane])

    um = (info.um or 1.0) * scale * shrink

    def image(compute: Compute, n: int, step: float, kind: str) -> ImageSource:
        placement = placed(overview, (step, step), info.um).placement
        return computed_image(overview, (n * rows, n * cols), compute, placement, f"{field.name} {kind}")

    images = image(low, 1, um * factor, "low"), image(high, factor, um, "high")
    return Pair(field, *images, factor, shrink, gain, offset)


def write_pair(
    job: PairsJob, pair: Pair, overview_yx: tuple[int, int], folder: Path, stem: str, progress: Progress
) -> dict[str, Any]:
    """Write the two images of a field and return its entry in the list."""
    names = {kind: f"{stem}.{kind}.ome.zarr" for kind in ("low", "high")}
    for kind, image in (("low", pair.low), ("high", pair.high)):
        provenance = {**job.provenance(), "content": kind, "field": pair.field.name}
        store_image(image, folder / names[kind], progress, fingerprint={}, provenance=provenance)
    low, high = (open_image(folder / names[kind]) for kind in ("low", "high"))
    limits = Limits(job.patch_px, job.max_shift_px, job.min_correlation)
    patches, dropped = fitting_patches(low, high, pair.factor, limits, partial(_covered, pair, overview_yx))
    size = low.placement.pixel_size_um
    return {
        "name": pair.field.name,
        "path": pair.field.path,
        **names,
        "factor": pair.factor,
        "low_um": size and size[1],
        "gain": pair.gain.tolist(),
        "offset": pair.offset.tolist(),
        "patches": patches,
        "dropped": dropped,
    }


def _covered(pair: Pair, overview_yx: tuple[int, int], y: slice, x: slice) -> bool:
    """Say whether a patch of the low image lies wholly on the overview."""
    ends = np.array([[row, col] for row in (y.start, y.stop - 1) for col in (x.start, x.stop - 1)], float)
    there = pair.field.to_overview(apply(enlarging(pair.factor * pair.shrink), ends))
    return bool(((there >= 0) & (there <= np.array(overview_yx) - 1)).all())
