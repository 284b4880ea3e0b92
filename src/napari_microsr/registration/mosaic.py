"""The overview with its fields laid over it, as an image that is computed where it is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import apply, corners, enlarging, parts
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.resample import read_grid, read_points

Array = NDArray[Any]
# Images that are open at a time: some formats keep their decoded pixels.
MOST_OPEN = 8
# Pixels from which the colours of a field are measured.
COLOUR_PX = 65_000
GAIN_LIMITS = 0.25, 4.0


def to_field(field: FieldPlacement, points: Array) -> Array:
    """Carry overview pixels (..., 2) to field pixels: the inverse of `FieldPlacement.to_overview`.

    The quadratic part is small beside the matrix, so that correcting by it again and again converges.
    """
    assert field.matrix_yx is not None
    inverse = np.asarray(np.linalg.inv(field.matrix_yx), np.float64)
    found: Array = apply(inverse, points)
    if field.quadratic_yx is None:
        return found
    for _ in range(20):
        before = found
        found = apply(inverse, points - (field.to_overview(before) - apply(field.matrix_yx, before)))
        if np.abs(found - before).max(initial=0) < 1e-6:
            break
    return found


@dataclass(frozen=True, eq=False)
class Overlay:
    """One field over the overview.

    Attributes
    ----------
    field : FieldPlacement
        Where it lies.
    open : callable
        Returns its image.
    gain, offset : ndarray, (planes, channels)
        What makes its colours those of the overview: gain * field + offset.
    feather_px : float
        Width of the rim over which it fades in, in pixels of the field.
    """

    field: FieldPlacement
    open: Callable[[], ImageSource]
    gain: Array
    offset: Array
    feather_px: float

    def box(self, step: float, height: int, width: int) -> tuple[slice, slice]:
        """Return the rows and columns of a canvas that the field can touch."""
        outline = self.field.to_overview(_outline(self.field.shape_yx))
        places = (outline + 0.5) / step - 0.5
        low, high = np.floor(places.min(0)).astype(int), np.ceil(places.max(0)).astype(int) + 1
        (y0, x0), (y1, x1) = np.clip(low, 0, (height, width)), np.clip(high, 0, (height, width))
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))

    def over(self, base: Array, plane: int, step: float, y: slice, x: slice) -> None:
        """Blend the field into a piece of the canvas, (channels, rows, columns), in place."""
        rows = (np.arange(y.start, y.stop) + 0.5) * step - 0.5
        columns = (np.arange(x.start, x.stop) + 0.5) * step - 0.5
        points = to_field(self.field, np.stack(np.meshgrid(rows, columns, indexing="ij"), -1))
        weight = self._weight(points)
        if not weight.any():
            return
        source = self.open()
        assert self.field.matrix_yx is not None
        factor = max(1, int(step / parts(self.field.matrix_yx).scale))
        pixels = as_channels(read_points(source, plane, points, factor), len(base))
        pixels = self.gain[plane][:, None, None] * pixels + self.offset[plane][:, None, None]
        pixels = pixels.astype(base.dtype, copy=False)
        seen = (weight > 0) & np.isfinite(pixels)
        # Where the overview knows nothing the field stands alone.
        below = np.where(np.isfinite(base), base, pixels)
        np.copyto(base, below + weight.astype(base.dtype) * (pixels - below), where=seen)

    def _weight(self, points: Array) -> Array:
        """Return how much of the field shows at its pixels: 0 outside, 1 inside the feathered rim."""
        size = np.array(self.field.shape_yx)
        inward = np.minimum(points + 0.5, size - 0.5 - points).min(-1)
        if self.feather_px <= 0:
            return np.asarray(inward >= 0, float)
        share = np.clip(inward / self.feather_px, 0, 1)
        return np.asarray(share * share * (3 - 2 * share))


class Mosaic:
    """An overview and the fields over it as one lazy array, on an upright grid of any pixel size.

    Fields are laid in the order given, so the finest should come last.

    Parameters
    ----------
    overview : ImageSource
        What lies below; the array has its axes in the order planes, y, x and, where it is RGB, c.
    overlays : sequence of Overlay
        The fields.
    step : float
        Side of a pixel of the mosaic in pixels of the overview.
    """

    def __init__(self, overview: ImageSource, overlays: Sequence[Overlay], step: float) -> None:
        self._overview, self._overlays, self._step = overview, overlays, step
        height, width = (max(1, ceil(size / step - 1e-6)) for size in (overview.height, overview.width))
        colours = (3,) if overview.rgb else ()
        self.shape = (*overview.plane_shape, height, width, *colours)
        self.axes = overview.plane_axes + ("yxc" if overview.rgb else "yx")
        self.dtype, self.ndim = overview.dtype, len(self.shape)
        self._boxes = [overlay.box(step, height, width) for overlay in overlays]

    def __getitem__(self, index: tuple[Any, ...]) -> Array:
        """Compute a part of one plane; as `ImageSource.read` asks for it."""
        n = len(self._overview.plane_axes)
        plane = int(np.ravel_multi_index(index[:n], self._overview.plane_shape)) if n else 0
        y, x = index[n], index[n + 1]
        block = read_grid(self._overview, plane, self._step, (y.start, y.stop), (x.start, x.stop))
        for overlay, (rows, columns) in zip(self._overlays, self._boxes, strict=True):
            rows, columns = _common(rows, y), _common(columns, x)
            if rows.start < rows.stop and columns.start < columns.stop:
                piece = block[
                    :,
                    rows.start - y.start : rows.stop - y.start,
                    columns.start - x.start : columns.stop - x.start,
                ]
                overlay.over(piece, plane, self._step, rows, columns)
        pixels = cast(block, self.dtype)
        return pixels.transpose(1, 2, 0) if self._overview.rgb else pixels[0]


def keep_open(open_image: Callable[[FieldPlacement], ImageSource]) -> Callable[[FieldPlacement], ImageSource]:
    """Return an opener that keeps the last few images."""
    return lru_cache(MOST_OPEN)(open_image)


def colour_match(field: FieldPlacement, source: ImageSource, overview: ImageSource) -> tuple[Array, Array]:
    """Return the gain and offset that give a field the overview's mean and spread where it lies.

    Both are seen at the overview's resolution or coarser; gains are kept between a quarter and four.

    Returns
    -------
    gain, offset : ndarray, (planes, channels)
        Of the overview.
    """
    unit = full_scale(source.dtype, overview.dtype)
    gain = np.full((overview.n_planes, overview.channels), unit)
    offset = np.zeros_like(gain)
    assert field.matrix_yx is not None
    scale = parts(field.matrix_yx).scale
    factor = max(1, round(1 / scale))
    while (source.height // factor) * (source.width // factor) > COLOUR_PX:
        factor += max(1, round(1 / scale))
    factor = min(factor, source.height, source.width)
    grid = np.moveaxis(np.indices((source.height // factor, source.width // factor), float), 0, -1)
    inside = apply(enlarging(factor), grid)
    there = field.to_overview(inside)
    covered = ((there >= -0.5) & (there <= np.array([overview.height, overview.width]) - 0.5)).all(-1)
    for plane in range(overview.n_planes):
        fine = as_channels(read_points(source, plane, inside, factor), overview.channels)
        coarse = read_points(overview, plane, there, max(1, round(factor * scale)))
        for channel in range(overview.channels):
            seen = covered & np.isfinite(fine[channel]) & np.isfinite(coarse[channel])
            if np.count_nonzero(seen) > 1:
                one, other = fine[channel][seen].astype(float), coarse[channel][seen].astype(float)
                spread = other.std() / one.std() if one.std() > 0 else unit
                gain[plane, channel] = np.clip(spread, unit * GAIN_LIMITS[0], unit * GAIN_LIMITS[1])
                offset[plane, channel] = other.mean() - gain[plane, channel] * one.mean()
    return gain, offset


def full_scale(dtype: np.dtype[Any], onto: np.dtype[Any]) -> float:
    """Return the factor from the full scale of one integer type to that of another, 1 for real numbers."""
    if dtype.kind in "iu" and onto.kind in "iu":
        return float(np.iinfo(onto).max) / float(np.iinfo(dtype).max)
    return 1.0


def check_planes(field: FieldPlacement, source: ImageSource, overview: ImageSource) -> None:
    """Check that a field has the planes of the overview.

    Raises
    ------
    InputError
        If not.
    """
    if source.n_planes != overview.n_planes:
        raise InputError(
            f"The field {field.name} has {source.n_planes} planes, the overview {overview.n_planes}.",
            "Give images with the same channels and positions, or leave this field out.",
        )


def as_channels(block: Array, channels: int) -> Array:
    """Turn grey into RGB by repetition, RGB into grey by the mean."""
    if len(block) == channels:
        return block
    return np.repeat(block, channels, 0) if len(block) == 1 else block.mean(0, keepdims=True)


def cast(block: Array, dtype: np.dtype[Any]) -> Array:
    """Round and clip to integers where the type has them."""
    if dtype.kind == "f":
        return block.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    whole: Array = np.rint(np.nan_to_num(block)).clip(limits.min, limits.max).astype(dtype)
    return whole


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _outline(shape_yx: tuple[int, int], count: int = 33) -> Array:
    """Return points along the edge of an image: a quadratic placement bends its sides."""
    around = corners(shape_yx)
    share = np.linspace(0, 1, count)[:, None]
    sides = [a + share * (b - a) for a, b in zip(around, np.roll(around, -1, 0), strict=True)]
    return np.concatenate(sides)
