"""Refinement of a placement: least squares on band-passed density, level by level to a fraction of a pixel.

Gauss-Newton with the mean of both pictures' gradients, the second-order minimisation of Benhimane and
Malis, IROS 2004. Both pictures are band-passed in the field's frame under one mask, so that borders and
the rest of the overview outside the field weigh on neither.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_microsr.registration.bands import Array, blurred
from napari_microsr.registration.geometry import Matrix, apply, corners, enlarging, parts
from napari_microsr.registration.picture import Picture

Transform = Literal["similarity", "affine", "quadratic"]

_HIGH = {1: 16.0, 2: 10.0, 3: 8.0, 4: 7.0}
_COARSE_HIGH = 5.0
_OPTICS_PX = 1.9
_MIN_SHARE = 0.12
_MARGIN_PX = 6
_LEAP_PX = 6.0


@dataclass(frozen=True, eq=False)
class Pose:
    """A placement under refinement.

    Attributes
    ----------
    matrix : array (3, 3)
        Field to overview pixel.
    quadratic : array (2, 3)
        As in `FieldPlacement.quadratic_yx`; zeros where it is not fitted.
    score : float
        Correlation of the band-passed pictures where they overlap.
    overlap : float
        Share of the field that lies on known overview.
    """

    matrix: Matrix
    quadratic: NDArray[np.float64]
    score: float = 0.0
    overlap: float = 0.0


@dataclass(frozen=True, eq=False)
class Pair:
    """Field and overview at one level, ready to be compared.

    Attributes
    ----------
    template, known : float32, (h, w)
        The shrunk field with 0 where it is NaN, and 1 where it is known.
    window : float32, (H, W)
        The part of the shrunk overview around the field, as cubic spline coefficients where `order` is 3.
    window_known : float32 or None
        Where the overview is known; None where everywhere.
    to_field, to_window : array (3, 3)
        From template pixel to field pixel, and from overview pixel to window pixel.
    shrink : int
        Field pixels per template pixel.
    low, high : float
        Widths (sigma) of the band-pass in template pixels.
    order : int
        Of the interpolation.
    """

    template: Array
    known: Array
    window: Array
    window_known: Array | None
    to_field: Matrix
    to_window: Matrix
    shrink: int
    low: float
    high: float
    order: int


def pair_at(field: Picture, overview: Picture, matrix: Matrix, level: int, order: int = 1) -> Pair | None:
    """Cut out what of the overview lies below the field; None where that is nothing.

    Parameters
    ----------
    field, overview : Picture
        What to compare.
    matrix : array (3, 3)
        Field to overview pixel, right to within a few level pixels.
    level : int
        Shrink of the overview; the field is shrunk to about the same pixel.
    order : int
        Interpolation: 1 linear, 3 cubic.
    """
    scale = parts(matrix).scale
    factor = field.factor_near(level / scale)
    if min(field.level_shape(factor)) < 4:
        return None
    template = field.level(factor)
    box = (apply(matrix, corners(field.shape_yx)) + 0.5) / level
    limits = np.array(overview.level_shape(level))
    low = np.clip(np.floor(box.min(axis=0)).astype(int) - _MARGIN_PX, 0, limits)
    high = np.clip(np.ceil(box.max(axis=0)).astype(int) + _MARGIN_PX, 0, limits)
    if np.any(high - low < 4):
        return None
    window = overview.region(level, (int(low[0]), int(high[0])), (int(low[1]), int(high[1])))
    known, window_known = np.isfinite(template), np.isfinite(window)
    shift = np.eye(3)
    shift[:2, 2] = -low
    window = np.where(window_known, window, 0).astype(np.float32)
    pitch = scale * factor / level
    return Pair(
        template=np.where(known, template, 0).astype(np.float32),
        known=known.astype(np.float32),
        window=ndimage.spline_filter(window, order, output=np.float32, mode="mirror")
        if order > 1
        else window,
        window_known=None if window_known.all() else window_known.astype(np.float32),
        to_field=enlarging(factor),
        to_window=shift @ np.linalg.inv(enlarging(level)),
        shrink=factor,
        low=_OPTICS_PX / level / pitch,
        high=_HIGH.get(level, _COARSE_HIGH) / pitch,
        order=order,
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Band-passed field and overview in the field's frame, normalised under their common mask.

    Attributes
    ----------
    field, overview : float32, (h, w)
        Mean 0 and mean square 1 over the mask, 0 outside.
    mask : float32, (h, w)
        1 where both are known.
    score : float
        Their correlation.
    overlap : float
        Share of the mask.
    """

    field: Array
    overview: Array
    mask: Array
    score: float
    overlap: float


def unit_coordinates(shape: tuple[int, int], pair: Pair, field_shape: tuple[int, int]) -> tuple[Array, Array]:
    """Rows and columns of template pixels from the field's centre, in halves of its longer side."""
    half = max(field_shape) / 2
    step, first = pair.shrink / half, (pair.shrink - 1) / 2
    v = np.arange(shape[0]) * step + (first - (field_shape[0] - 1) / 2) / half
    u = np.arange(shape[1]) * step + (first - (field_shape[1] - 1) / 2) / half
    return v.astype(np.float32)[:, None], u.astype(np.float32)[None, :]


def compare(pair: Pair, pose: Pose, field_shape: tuple[int, int]) -> Comparison | None:
    """Lay the overview under the field as `pose` says; None where too little of it lies there."""
    h, w = pair.template.shape
    total = pair.to_window @ pose.matrix @ pair.to_field
    rows, columns = np.arange(h)[:, None], np.arange(w)[None, :]
    places = np.stack([total[k, 0] * rows + total[k, 1] * columns + total[k, 2] for k in range(2)])
    if pose.quadratic.any():
        v, u = unit_coordinates((h, w), pair, field_shape)
        bend = pair.to_window[:2, :2] @ pose.quadratic
        places += np.einsum("kc,chw->khw", bend, np.stack(np.broadcast_arrays(v * v, v * u, u * u)))
    height, width = pair.window.shape
    mask = pair.known * (
        (places[0] >= 0) & (places[0] <= height - 1) & (places[1] >= 0) & (places[1] <= width - 1)
    )
    if pair.window_known is not None:
        mask = mask * (ndimage.map_coordinates(pair.window_known, places, order=1, mode="nearest") > 0.999)
    share = float(mask.mean())
    if share < _MIN_SHARE:
        return None
    under = ndimage.map_coordinates(
        pair.window, places, order=pair.order, output=np.float32, mode="mirror", prefilter=False
    )
    weight = None if share == 1 else mask
    bands = [_normalised(_band(image, pair, weight), mask) for image in (pair.template, under)]
    if bands[0] is None or bands[1] is None:
        return None
    return Comparison(bands[0], bands[1], mask, float((bands[0] * bands[1]).sum() / mask.sum()), share)


def refine(
    pair: Pair,
    pose: Pose,
    field_shape: tuple[int, int],
    transform: Transform,
    steps: int = 8,
    rest_px: float = 0.01,
) -> Pose | None:
    """Walk from a pose to the best one nearby.

    Parameters
    ----------
    pair : Pair
        Field and overview at one level.
    pose : Pose
        Right to about two template pixels.
    field_shape : tuple of int
        Height and width of the whole field.
    transform : str
        What may change.
    steps : int
        Most steps.
    rest_px : float
        A step that moves no corner by this many template pixels is the last.

    Returns
    -------
    Pose or None
        None where the walk leaves the neighbourhood or the overview.
    """
    comparison = compare(pair, pose, field_shape)
    if comparison is None:
        return None
    pose = replace(pose, score=comparison.score, overlap=comparison.overlap)
    for _ in range(steps):
        slopes, misfit = linearised(comparison, pair, field_shape, transform)
        step = _solve(slopes, misfit)
        moved = largest_shift(step, transform, field_shape)
        if moved > _LEAP_PX:
            return None
        moved_pose = _moved(pose, step, pair, field_shape, transform)
        comparison = compare(pair, moved_pose, field_shape)
        if comparison is None:
            return None
        if comparison.score < pose.score - 0.02:
            return pose
        pose = replace(moved_pose, score=comparison.score, overlap=comparison.overlap)
        if moved < rest_px:
            break
    return pose


def linearised(
    comparison: Comparison, pair: Pair, field_shape: tuple[int, int], transform: Transform
) -> tuple[Array, Array]:
    """Return what each parameter changes at each pixel (parameters, h, w), and the misfit (h, w)."""
    gy, gx = (
        (a + b) * np.float32(0.5) * comparison.mask
        for a, b in zip(np.gradient(comparison.field), np.gradient(comparison.overview), strict=True)
    )
    v, u = unit_coordinates(comparison.mask.shape, pair, field_shape)
    if transform == "similarity":
        slopes = [gy, gx, gy * v + gx * u, gx * v - gy * u]
    else:
        slopes = [gy, gx, gy * v, gy * u, gx * v, gx * u]
    if transform == "quadratic":
        slopes += [g * c for g in (gy, gx) for c in (v * v, v * u, u * u)]
    return np.stack(slopes), comparison.field - comparison.overview


def shift_basis(v: float, u: float, transform: Transform) -> NDArray[np.float64]:
    """Return the shift (2, parameters) of the point (v, u) per unit of each parameter, in template pixels."""
    if transform == "similarity":
        return np.array([[1, 0, v, -u], [0, 1, u, v]])
    rows = np.array([[1, 0, v, u, 0, 0], [0, 1, 0, 0, v, u]])
    if transform == "quadratic":
        curve = [v * v, v * u, u * u]
        rows = np.hstack([rows, [[*curve, 0, 0, 0], [0, 0, 0, *curve]]])
    return rows


def largest_shift(step: NDArray[np.float64], transform: Transform, field_shape: tuple[int, int]) -> float:
    """Return how far a step moves the corner that it moves most, in template pixels."""
    v, u = np.array(field_shape) / max(field_shape)
    return max(float(np.hypot(*(shift_basis(a, b, transform) @ step))) for a in (-v, v) for b in (-u, u))


def _moved(
    pose: Pose, step: NDArray[np.float64], pair: Pair, field_shape: tuple[int, int], transform: Transform
) -> Pose:
    """Compose a pose with a step, which is in template pixels of the field's frame."""
    half, centre = max(field_shape) / 2, (np.array(field_shape) - 1) / 2
    if transform == "similarity":
        linear = np.array([[step[2], -step[3]], [step[3], step[2]]])
    else:
        linear = step[2:6].reshape(2, 2)
    change = np.eye(3)
    change[:2, :2] += pair.shrink / half * linear
    change[:2, 2] = pair.shrink * (step[:2] - linear @ centre / half)
    quadratic = pose.quadratic
    if transform == "quadratic":
        quadratic = quadratic + pair.shrink * pose.matrix[:2, :2] @ step[6:].reshape(2, 3)
    return Pose(pose.matrix @ change, quadratic)


def _band(image: Array, pair: Pair, weight: Array | None) -> Array:
    return blurred(image, pair.low, weight) - blurred(image, pair.high, weight)


def _normalised(image: Array, mask: Array) -> Array | None:
    """Mean 0 and mean square 1 over the mask; None where nothing varies."""
    count = mask.sum(dtype=np.float64)
    centred = (image - np.float32((image * mask).sum(dtype=np.float64) / count)) * mask
    power = float((centred * centred).sum(dtype=np.float64) / count)
    return None if power < 1e-12 else centred * np.float32(power**-0.5)


def _solve(slopes: Array, misfit: Array) -> NDArray[np.float64]:
    """Least squares with a trace of damping, for pictures that say nothing of a parameter."""
    rows = slopes.reshape(len(slopes), -1)
    normal = (rows @ rows.T).astype(np.float64)
    normal[np.diag_indices_from(normal)] *= 1 + 1e-6
    normal[np.diag_indices_from(normal)] += 1e-9
    return np.asarray(np.linalg.solve(normal, rows @ misfit.ravel()), np.float64)
