"""The fields of an overview as a graph: what each is, and what it was measured against."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.geometry import Matrix, apply

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Node:
    """A field as the graph sees it.

    Attributes
    ----------
    shape_yx : tuple of int
        Height and width in pixels.
    known : array of shape (3, 3), optional
        Its placement on the overview, if that is not to be changed.
    quadratic_yx : array of shape (2, 3), optional
        A known distortion on top of the placement, as in `FieldPlacement`.
    """

    shape_yx: tuple[int, int]
    known: Matrix | None = None
    quadratic_yx: NDArray[np.float64] | None = None

    def inner(self, points: Points) -> Points:
        """Count pixels (..., 2) from the centre, half the longer side being 1."""
        h, w = self.shape_yx
        inner: Points = (points - [(h - 1) / 2, (w - 1) / 2]) / (max(h, w) / 2)
        return inner

    def bend(self, points: Points) -> Points:
        """Return what the known distortion adds at pixels (n, 2), in overview pixels."""
        if self.quadratic_yx is None:
            return np.zeros_like(points)
        v, u = self.inner(points).T
        bent: Points = np.stack([v * v, v * u, u * u], -1) @ self.quadratic_yx.T
        return bent


@dataclass(frozen=True, eq=False)
class Link:
    """One measurement: the field `moving` lies at `matrix_yx` on `fixed`.

    Attributes
    ----------
    moving : int
        Number of a field.
    fixed : int or None
        Number of the field that it was measured on; None for the overview.
    matrix_yx : array of shape (3, 3)
        Pixel of `moving` to pixel of `fixed`.
    error_px : float
        Expected error, in overview pixels.
    points : array of shape (n, 2)
        Pixels of `moving` where the two images overlap: there the measurement holds.
    """

    moving: int
    fixed: int | None
    matrix_yx: Matrix
    error_px: float
    points: Points


def shared_points(matrix: Matrix, moving: tuple[int, int], fixed: tuple[int, int]) -> Points:
    """Return a grid of 25 pixels of `moving` over what `matrix` carries inside `fixed`; (0, 2) if nothing.

    Parameters
    ----------
    matrix : array of shape (3, 3)
        Pixel of `moving` to pixel of `fixed`.
    moving, fixed : tuple of int
        Height and width of the two images.
    """
    fine = _grid(np.zeros(2), np.array(moving, float), 20)
    there = apply(matrix, fine)
    inside = fine[((there >= -0.5) & (there <= np.array(fixed) - 0.5)).all(axis=1)]
    if not len(inside):
        return inside
    # The box around the overlap, never flat: a link says where the whole image lies, not only its overlap.
    cell = np.array(moving) / 20
    return _grid(inside.min(axis=0) - cell / 2 + 0.5, inside.max(axis=0) + cell / 2 + 0.5, 5)


def _grid(start: Points, stop: Points, side: int) -> Points:
    """Return the centres of side x side cells between two corners of an image, its own being (0, 0)."""
    rows, columns = (
        a + (np.arange(side) + 0.5) * (b - a) / side - 0.5 for a, b in zip(start, stop, strict=True)
    )
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def loops_px(links: Iterable[Link]) -> list[float]:
    """Return how far the two ways to the overview differ, for every field that has two, in overview pixels.

    The ways are the field's own measurement on the overview, and that on another field followed by that
    field's own. The distance is the mean over the points of the measurement on the other field.
    """
    links = list(links)
    direct = {link.moving: link.matrix_yx for link in links if link.fixed is None}
    found = []
    for link in links:
        if link.fixed in direct and link.moving in direct and len(link.points):
            one = apply(direct[link.moving], link.points)
            other = apply(direct[link.fixed] @ link.matrix_yx, link.points)
            found.append(float(np.linalg.norm(one - other, axis=1).mean()))
    return found
