"""Plane transforms as 3x3 matrices on (y, x, 1), pixel centres at integers."""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """What a matrix does, read off its linear part.

    Attributes
    ----------
    scale : float
        Output pixels per input pixel: the square root of the area's ratio.
    rotation_deg : float
        Counter-clockwise as napari shows it, y pointing down: of the input's x axis, (-180, 180].
    mirrored : bool
        Whether left and right are exchanged (before the rotation).
    anisotropy : float
        Largest over smallest stretch, 1 for a similarity.
    """

    scale: float
    rotation_deg: float
    mirrored: bool
    anisotropy: float


def similarity(
    scale: float,
    rotation_deg: float,
    *,
    centre: tuple[float, float],
    onto: tuple[float, float],
    mirrored: bool = False,
) -> Matrix:
    """Return the similarity that carries the point `centre` to `onto`, both (y, x).

    Parameters
    ----------
    scale, rotation_deg, mirrored
        As in `Parts`.
    centre, onto : tuple of float
        (y, x) of a point before and after.
    """
    c, s = scale * cos(radians(rotation_deg)), scale * sin(radians(rotation_deg))
    linear = np.array([[c, -s], [s, c]]) @ np.diag([1.0, -1.0 if mirrored else 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array(onto) - linear @ np.array(centre)
    return matrix


def enlarging(factor: int) -> Matrix:
    """Return the matrix from pixels of an image shrunk by averaging blocks to pixels of the whole one.

    The centre of block t is at ``(t + 1/2) * factor - 1/2``.
    """
    return np.array(
        [[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]], dtype=np.float64
    )


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry points (..., 2), each (y, x)."""
    moved: NDArray[np.float64] = points @ matrix[:2, :2].T + matrix[:2, 2]
    return moved


def corners(shape_yx: tuple[int, int]) -> NDArray[np.float64]:
    """Return the four outer corners of an image, (4, 2), half a pixel outside the outer centres."""
    h, w = shape_yx
    return np.array([[0, 0], [0, w], [h, w], [h, 0]]) - 0.5


def parts(matrix: Matrix) -> Parts:
    """Read scale, rotation, mirror and anisotropy off a matrix."""
    linear = matrix[:2, :2]
    determinant = float(np.linalg.det(linear))
    mirrored = determinant < 0
    nearest = linear @ np.diag([1.0, -1.0 if mirrored else 1.0])
    cosine, sine = nearest[0, 0] + nearest[1, 1], nearest[1, 0] - nearest[0, 1]
    stretches = np.linalg.svd(linear, compute_uv=False)
    anisotropy = float(stretches[0] / stretches[1]) if stretches[1] > 0 else float("inf")
    rotation = degrees(atan2(sine, cosine)) if hypot(sine, cosine) > 0 else 0.0
    return Parts(sqrt(abs(determinant)), rotation, mirrored, anisotropy)
