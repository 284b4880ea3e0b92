"""The overview with its fields laid over it: which pixels show where, and in which colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.registration.bands import blurred
from napari_microsr.registration.computed import as_channels, computed_image, recoloured
from napari_microsr.registration.geometry import apply, corners, enlarging, parts
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.resample import read_grid, read_points

Array = NDArray[Any]
# Images that are open at a time: some formats keep their decoded pixels.
MOST_OPEN = 8
# Pixels from which the colours of a field are measured.
COLOUR_PX = 65_000
GAIN_LIMITS = 0.25, 4.0
# Overview pixels to which both are blurred before: the optics of a 4x objective blur by two.
_SOFT_PX = 8.0


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

    def box(self, step: float) -> tuple[slice, slice]:
        """Return the rows and columns of the mosaic's grid that the field can touch, and one more around."""
        edge = self.field.to_overview(outline(self.field.shape_yx))
        places = (edge + 0.5) / step - 0.5
        y0, x0 = np.floor(places.min(0)).astype(int).tolist()
        y1, x1 = (np.ceil(places.max(0)).astype(int) + 1).tolist()
        return slice(y0, y1), slice(x0, x1)

    def over(self, base: Array, plane: int, step: float, y: slice, x: slice) -> None:
        """Blend the field into a piece of the grid, (channels, rows, columns), in place."""
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
        pixels = recoloured(pixels, self.gain[plane], self.offset[plane]).astype(base.dtype, copy=False)
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
    """An overview and the fields over it on an upright grid of any pixel size.

    Fields are laid in the order given, so the finest should come last.

    Parameters
    ----------
    overview : ImageSource
        What lies below.
    overlays : sequence of Overlay
        The fields.
    step : float
        Side of a pixel of the mosaic in pixels of the overview.
    whole : bool
        Whether it reaches as far as the fields do, and not only as far as the overview. There what no field
        covers is NaN, 0 in integers.

    Attributes
    ----------
    shape_yx : tuple of int
        Height and width.
    cut : list of str
        Names of the fields that reach beyond it.
    """

    def __init__(
        self, overview: ImageSource, overlays: Sequence[Overlay], step: float, *, whole: bool = False
    ) -> None:
        self._overview, self._overlays, self._step = overview, overlays, step
        self._known = tuple(
            slice(0, max(1, ceil(size / step - 1e-6))) for size in (overview.height, overview.width)
        )
        self._boxes = [overlay.box(step) for overlay in overlays]
        covered = [tuple(slice(span.start + 1, span.stop - 1) for span in box) for box in self._boxes]
        rows, columns = (
            _hull([known, *(spans[axis] for spans in covered if whole)])
            for axis, known in enumerate(self._known)
        )
        # Rows and columns are counted from the overview's corner, before which a field may begin.
        self._origin = rows.start, columns.start
        self.shape_yx = rows.stop - rows.start, columns.stop - columns.start
        self.cut = [
            overlay.field.name
            for overlay, spans in zip(overlays, covered, strict=True)
            if _hull([spans[0], rows]) != rows or _hull([spans[1], columns]) != columns
        ]

    def compute(self, plane: int, y: slice, x: slice) -> Array:
        """Return a part of one plane, (channels, height, width)."""
        y, x = _moved(y, self._origin[0]), _moved(x, self._origin[1])
        block = read_grid(self._overview, plane, self._step, (y.start, y.stop), (x.start, x.stop))
        for axis, (span, known) in enumerate(zip((y, x), self._known, strict=True)):
            count = np.arange(span.start, span.stop)
            unknown = (count < known.start) | (count >= known.stop)
            block[:, unknown if axis == 0 else slice(None), unknown if axis == 1 else slice(None)] = np.nan
        for overlay, box in zip(self._overlays, self._boxes, strict=True):
            rows, columns = _common(box[0], y), _common(box[1], x)
            if rows.start < rows.stop and columns.start < columns.stop:
                place = _moved(rows, -y.start), _moved(columns, -x.start)
                overlay.over(block[:, *place], plane, self._step, rows, columns)
        return block

    def image(self) -> ImageSource:
        """Return the mosaic as an image that lies where the overview does."""
        placement = self._overview.placement.finer(1 / self._step).moved(*self._origin)
        name = f"{self._overview.name} merged"
        return computed_image(self._overview, self.shape_yx, self.compute, placement, name)


def keep_open(open_image: Callable[[FieldPlacement], ImageSource]) -> Callable[[FieldPlacement], ImageSource]:
    """Return an opener that keeps the last few images."""
    return lru_cache(MOST_OPEN)(open_image)


def colours(
    field: FieldPlacement, source: ImageSource, overview: ImageSource, match: bool
) -> tuple[Array, Array]:
    """Return the gain and offset that give a field the overview's mean and spread where it lies.

    Both are seen far coarser than the overview's optics are, which would make its spread too small; gains are
    kept between a quarter and four. Where `match` is false only the full scales of integer types are made
    equal.

    Returns
    -------
    gain, offset : ndarray, (planes, channels)
        Of the overview.
    """
    unit = full_scale(source.dtype, overview.dtype)
    gain = np.full((overview.n_planes, overview.channels), unit)
    offset = np.zeros_like(gain)
    if not match:
        return gain, offset
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
    width = min(_SOFT_PX / (factor * scale), min(covered.shape) / 8)
    for plane in range(overview.n_planes):
        fine = as_channels(read_points(source, plane, inside, factor), overview.channels)
        coarse = read_points(overview, plane, there, max(1, round(factor * scale)))
        for channel in range(overview.channels):
            seen = covered & np.isfinite(fine[channel]) & np.isfinite(coarse[channel])
            if np.count_nonzero(seen) > 1:
                one, other = (_softened(image[channel], seen, width)[seen] for image in (fine, coarse))
                spread = other.std() / one.std() if one.std() > 0 else unit
                gain[plane, channel] = np.clip(spread, unit * GAIN_LIMITS[0], unit * GAIN_LIMITS[1])
                offset[plane, channel] = other.mean() - gain[plane, channel] * one.mean()
    return gain, offset


def _softened(image: Array, seen: NDArray[np.bool_], width: float) -> Array:
    """Blur what is seen of an image; float64."""
    known = np.where(seen, image, 0).astype(np.float32)
    return blurred(known, width, None if seen.all() else seen.astype(np.float32)).astype(float)


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


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _hull(spans: Sequence[slice]) -> slice:
    return slice(min(span.start for span in spans), max(span.stop for span in spans))


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def outline(shape_yx: tuple[int, int], count: int = 33) -> Array:
    """Return points along the edge of an image: a quadratic placement bends its sides."""
    around = corners(shape_yx)
    share = np.linspace(0, 1, count)[:, None]
    sides = [a + share * (b - a) for a, b in zip(around, np.roll(around, -1, 0), strict=True)]
    return np.concatenate(sides)
