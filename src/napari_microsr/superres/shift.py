"""How far a result lies off its truth, and how it is read where the truth lies."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift as spline_shift

from napari_microsr.superres.baselines import Candidates

#: Side of the windows that are compared, and how many of those tried are used: those with most structure.
WINDOW_PX, _TRIED, _USED = 512, 3, 3
#: Less is what the measurement itself may be off, and is left alone.
LEAST_PX = 0.1
#: Below this the two images have too little in common to be registered by it.
LEAST_CORRELATION = 0.3
# The influence of a pixel on a cubic spline falls to a quarter from pixel to pixel.
_SPLINE_PX = 12
_ROUNDS = 3

Floats = NDArray[np.float64]
#: Brightness (h, w) of rows and columns.
Reader = Callable[[slice, slice], Floats]


@dataclass(frozen=True)
class Shift:
    """Where an image shows what the truth shows.

    Attributes
    ----------
    y, x : float
        Pixels; the image's (r + y, c + x) is the truth's (r, c).
    """

    y: float = 0.0
    x: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.y or self.x)


def shared_region(shifts: list[Shift], height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of the truth that every shifted image of its size shows, too."""
    ys, xs = [0.0, *(shift.y for shift in shifts)], [0.0, *(shift.x for shift in shifts)]
    return (
        slice(ceil(-min(ys)), height - ceil(max(ys))),
        slice(ceil(-min(xs)), width - ceil(max(xs))),
    )


def shifted(candidates: Candidates, shift: Shift, height: int, width: int) -> Candidates:
    """Return candidates as they are where the truth lies, by cubic splines or by whole pixels.

    Parameters
    ----------
    candidates : callable
        Of images of this height and width.
    shift : Shift
        Theirs.
    height, width : int
        Of the images.
    """
    if not shift:
        return candidates

    def read(plane: int, y: slice, x: slice) -> dict[str, NDArray[Any]]:
        whole = floor(shift.y), floor(shift.x)
        rest = shift.y - whole[0], shift.x - whole[1]
        rim = _SPLINE_PX if any(rest) else 0
        wide_y, wide_x = (
            slice(max(part.start + by - rim, 0), min(part.stop + by + rim + 1, size))
            for part, by, size in zip((y, x), whole, (height, width), strict=True)
        )
        top, left = y.start + whole[0] - wide_y.start, x.start + whole[1] - wide_x.start
        inside = slice(top, top + y.stop - y.start), slice(left, left + x.stop - x.start)
        return {
            name: np.stack([_moved(plane, rest)[inside] for plane in pixels])
            for name, pixels in candidates(plane, wide_y, wide_x).items()
        }

    return read


def find_shift(image: Reader, truth: Reader, height: int, width: int) -> tuple[Shift, float]:
    """Measure how far an image lies off the truth.

    The median over windows with much structure; cross-correlation with sub-pixel peaks (Guizar-Sicairos et
    al., Optics Letters 33, 156 (2008)), repeated on what is left.

    Parameters
    ----------
    image, truth : callable
        Their brightness.
    height, width : int
        Of both.

    Returns
    -------
    shift : Shift
        Where the image shows what the truth shows.
    correlation : float
        Of the registered windows; near 0 the shift means nothing.
    """
    windows = _windows(truth, height, width)
    found = [_window_shift(image, truth, window, (height, width)) for window in windows]
    y, x, correlation = np.median(found, axis=0)
    return Shift(float(y), float(x)), float(correlation)


def _windows(truth: Reader, height: int, width: int) -> list[tuple[slice, slice]]:
    size_y, size_x = min(WINDOW_PX, height), min(WINDOW_PX, width)
    ys, xs = (
        {round(p) for p in np.linspace(0, n - w, _TRIED)} for n, w in ((height, size_y), (width, size_x))
    )
    tried = [(slice(y, y + size_y), slice(x, x + size_x)) for y in sorted(ys) for x in sorted(xs)]
    tried.sort(key=lambda window: -float(np.nanstd(truth(*window))))
    return tried[:_USED]


def _window_shift(
    image: Reader, truth: Reader, window: tuple[slice, slice], shape: tuple[int, int]
) -> tuple[float, float, float]:
    from skimage.registration import phase_cross_correlation

    fixed = _faded(truth(*window))
    source = _at_shifts(image, *shape)
    y = x = 0.0
    moving = _faded(source(Shift(), *window))
    for _ in range(_ROUNDS):
        step, _, _ = phase_cross_correlation(fixed, moving, upsample_factor=100, normalization=None)
        y, x = y - float(step[0]), x - float(step[1])
        moving = _faded(source(Shift(y, x), *window))
        if max(abs(step)) < LEAST_PX / 5:
            break
    norm = float(np.sqrt((fixed**2).sum() * (moving**2).sum()))
    return y, x, float((fixed * moving).sum()) / norm if norm else 0.0


def _at_shifts(image: Reader, height: int, width: int) -> Callable[[Shift, slice, slice], Floats]:
    """Return what reads an image at a shift; beyond its edges the edge is repeated."""

    def read(shift: Shift, y: slice, x: slice) -> Floats:
        def block(_: int, rows: slice, cols: slice) -> dict[str, NDArray[Any]]:
            return {"": image(rows, cols)[None]}

        by = floor(shift.y), floor(shift.x)
        parts = []
        for part, offset, size in zip((y, x), by, (height, width), strict=True):
            # The part of the window that the shifted image shows, and how much is missing at each end.
            start, stop = max(part.start, -offset), min(part.stop, size - offset - 1)
            parts.append((slice(start, max(stop, start)), (start - part.start, part.stop - max(stop, start))))
        (rows, gap_y), (cols, gap_x) = parts
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return np.zeros((y.stop - y.start, x.stop - x.start))
        inside = shifted(block, shift, height, width)(0, rows, cols)[""][0]
        return np.pad(inside, (gap_y, gap_x), mode="edge") if any(gap_y + gap_x) else inside

    return read


def _faded(window: Floats) -> Floats:
    """Take the mean off and fade the edges out; what is missing becomes the mean."""
    known = np.isfinite(window)
    if not known.any():
        return np.zeros(window.shape)
    centred = np.where(known, window, window[known].mean()) - window[known].mean()
    return np.asarray(
        centred * np.hanning(window.shape[0] + 2)[1:-1, None] * np.hanning(window.shape[1] + 2)[1:-1]
    )


def _moved(plane: NDArray[Any], rest: tuple[float, float]) -> Floats:
    values = plane.astype(np.float64)
    if not any(rest):
        return values
    known = np.isfinite(values)
    if known.all():
        return np.asarray(spline_shift(values, (-rest[0], -rest[1]), order=3, mode="nearest"))
    # A spline would carry what is missing over the whole plane.
    filled = np.where(known, values, values[known].mean() if known.any() else 0.0)
    moved = spline_shift(filled, (-rest[0], -rest[1]), order=3, mode="nearest")
    gone = spline_shift((~known).astype(np.float64), (-rest[0], -rest[1]), order=1, mode="nearest") > 0
    return np.where(gone, np.nan, moved)
