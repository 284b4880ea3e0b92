"""Refinement of a placement: least squares on band-passed density, to a fraction of a pixel.

Gauss-Newton with the mean of both pictures' gradients, the second-order minimisation of Benhimane and
Malis, IROS 2004.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.bands import Array
from napari_microsr.registration.compare import Comparison, Pair, Pose, compare, unit_coordinates

Transform = Literal["similarity", "affine", "quadratic"]

_LEAP_PX = 6.0


def refine(
    pair: Pair,
    pose: Pose,
    transform: Transform,
    steps: int,
    rest_px: float,
) -> Pose | None:
    """Walk from a pose to the best one nearby.

    Parameters
    ----------
    pair : Pair
        Field and overview at one level.
    pose : Pose
        Right to about two template pixels.
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
    comparison = compare(pair, pose)
    if comparison is None:
        return None
    pose = replace(pose, score=comparison.score, overlap=comparison.overlap)
    for _ in range(steps):
        slopes, misfit = linearised(comparison, pair, transform)
        step = _solve(slopes, misfit)
        shift_px = largest_shift(step, transform, pair.field_yx)
        if shift_px > _LEAP_PX:
            return None
        moved_pose = moved(pose, step, pair, transform)
        comparison = compare(pair, moved_pose)
        if comparison is None:
            return None
        if comparison.score < pose.score - 0.02:
            return pose
        pose = replace(moved_pose, score=comparison.score, overlap=comparison.overlap)
        if shift_px < rest_px:
            break
    return pose


def linearised(comparison: Comparison, pair: Pair, transform: Transform) -> tuple[Array, Array]:
    """Return what each parameter changes at each pixel (parameters, h, w), and the misfit (h, w)."""
    gy, gx = (
        (a + b) * np.float32(0.5) * comparison.mask
        for a, b in zip(np.gradient(comparison.field), np.gradient(comparison.overview), strict=True)
    )
    v, u = unit_coordinates(pair)
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


def largest_shift(step: NDArray[np.float64], transform: Transform, field_yx: tuple[int, int]) -> float:
    """Return how far a step moves the corner that it moves most, in template pixels."""
    v, u = np.array(field_yx) / max(field_yx)
    return max(float(np.hypot(*(shift_basis(a, b, transform) @ step))) for a in (-v, v) for b in (-u, u))


def moved(pose: Pose, step: NDArray[np.float64], pair: Pair, transform: Transform) -> Pose:
    """Compose a pose with a step, which is in template pixels of the field's frame."""
    half, centre = max(pair.field_yx) / 2, (np.array(pair.field_yx) - 1) / 2
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
    return replace(pose, matrix=pose.matrix @ change, quadratic=quadratic)


def _solve(slopes: Array, misfit: Array) -> NDArray[np.float64]:
    """Least squares with a trace of damping, for pictures that say nothing of a parameter."""
    rows = slopes.reshape(len(slopes), -1)
    normal = (rows @ rows.T).astype(np.float64)
    normal[np.diag_indices_from(normal)] *= 1 + 1e-6
    normal[np.diag_indices_from(normal)] += 1e-9
    return np.asarray(np.linalg.solve(normal, rows @ misfit.ravel()), np.float64)
