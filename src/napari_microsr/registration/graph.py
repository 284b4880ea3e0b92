"""All fields of an overview solved together: what each was measured against, brought into agreement.

A field that was found on the overview, on a field of middle magnification and on its neighbours has
several answers. They are the edges of a graph whose nodes are images; one least-squares problem over the
placements of all fields uses them all, each with its own expected error.

A similarity (and an affine map) is linear in its parameters, and carrying a measured point through the
unknown map of the image that it was measured on keeps it so. Hence the problem is linear, needs no start,
and only the robust weights are iterated: Huber's (convex), then Cauchy's, which lets a false measurement go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from napari_microsr.registration.geometry import Matrix, apply
from napari_microsr.registration.links import Link, Node, Points, shared_points

#: Where Huber's and Cauchy's weights begin to fall, in expected errors, and how often each is renewed.
ROBUST = (("huber", 2.0, 10), ("cauchy", 3.0, 20))


@dataclass(frozen=True, eq=False)
class Solution:
    """The fields in agreement.

    Attributes
    ----------
    matrices : dict of int to array of shape (3, 3)
        Field pixel to overview pixel, of every field that is tied to the overview or was known.
    errors_px : dict of int to float
        Expected error of each, in overview pixels.
    residuals_px : list of float
        How far each link lies from the solution, in overview pixels; NaN where it takes no part.
    """

    matrices: dict[int, Matrix]
    errors_px: dict[int, float]
    residuals_px: list[float]


def solve(nodes: Sequence[Node], links: Sequence[Link], *, mirrored: bool, affine: bool = False) -> Solution:
    """Bring all measurements into agreement.

    Parameters
    ----------
    nodes : sequence of Node
        The fields.
    links : sequence of Link
        The measurements between them and of them on the overview.
    mirrored : bool
        Whether the fields are mirror images of the overview.
    affine : bool
        Whether each field may be sheared and stretched.

    Returns
    -------
    Solution
        Without the fields that no chain of links ties to the overview or to a known field.
    """
    free = _tied(nodes, links)
    columns = {number: place for place, number in enumerate(free)}
    blocks = [_Block(nodes, link, columns, mirrored, affine) for link in links]
    usable = [block for block in blocks if block.tied]
    if not usable:
        known = {i: node.known for i, node in enumerate(nodes) if node.known is not None}
        return Solution(known, dict.fromkeys(known, 0.0), [float("nan")] * len(links))
    unknowns = 6 if affine else 4
    design, target, sizes = _stack(usable, unknowns * len(free))
    sigma = np.array([max(block.link.error_px, 1e-6) for block in usable])
    solved, distances, factor, weights = _iterate(design, target, sizes, sigma)
    # A link stands for one placement of an image, a field takes one: what is left over says whether the
    # expected errors were too small.
    spare = max(1, len(usable) - len(free))
    strain = max(1.0, float(np.sqrt(np.sum(weights * (distances / sigma) ** 2) / spare)))
    matrices = {i: node.known for i, node in enumerate(nodes) if node.known is not None}
    errors = dict.fromkeys(matrices, 0.0)
    for number, place in columns.items():
        part = slice(unknowns * place, unknowns * (place + 1))
        matrices[number] = _matrix(nodes[number], solved[part], mirrored, affine)
        errors[number] = strain * _spread(nodes[number], factor, part, len(solved), mirrored, affine)
    found = iter(distances.tolist())
    return Solution(matrices, errors, [next(found) if block.tied else float("nan") for block in blocks])


class _Block:
    """The rows of one link: two per point, each `design @ unknowns = target`."""

    def __init__(
        self, nodes: Sequence[Node], link: Link, columns: dict[int, int], mirrored: bool, affine: bool
    ) -> None:
        self.link = link
        moving, there = nodes[link.moving], apply(link.matrix_yx, link.points)
        self.parts: list[tuple[int, NDArray[np.float64]]] = []
        self.target = np.zeros(2 * len(link.points))
        ends = [(1.0, link.moving, moving, link.points)]
        if link.fixed is None:
            # The distortion of the field was measured with the placement and cancels.
            self.target += there.ravel()
        else:
            fixed = nodes[link.fixed]
            ends.append((-1.0, link.fixed, fixed, there))
            self.target += (fixed.bend(there) - moving.bend(link.points)).ravel()
        for sign, number, node, points in ends:
            if node.known is not None:
                self.target -= sign * apply(node.known, points).ravel()
            elif number in columns:
                self.parts.append((columns[number], sign * _basis(node, points, mirrored, affine)))
        wanted = sum(nodes[number].known is None for _, number, _, _ in ends)
        self.tied = bool(len(link.points)) and len(self.parts) == wanted > 0


def _tied(nodes: Sequence[Node], links: Sequence[Link]) -> list[int]:
    """Numbers of the free fields that a chain of links ties to the overview or to a known field."""
    root = len(nodes)
    ends = [
        (root if nodes[end].known is not None else end, root if other is None else other)
        for link in links
        if len(link.points)
        for end, other in ((link.moving, link.fixed), (link.fixed, link.moving))
        if end is not None
    ]
    if not ends:
        return []
    rows, columns = np.array(ends).T
    graph = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(root + 1, root + 1))
    _, group = connected_components(graph, directed=False)
    return [i for i, node in enumerate(nodes) if node.known is None and group[i] == group[root]]


def _basis(node: Node, points: Points, mirrored: bool, affine: bool) -> NDArray[np.float64]:
    """Where `points` lie on the overview per unit of each parameter of the node, (2 n, 4 or 6)."""
    v, u = node.inner(points).T
    one, zero = np.ones_like(v), np.zeros_like(v)
    if affine:
        rows = ([v, u, one, zero, zero, zero], [zero, zero, zero, v, u, one])
    else:
        m = -1.0 if mirrored else 1.0
        rows = ([v, -m * u, one, zero], [m * u, v, zero, one])
    return np.array(rows).transpose(2, 0, 1).reshape(2 * len(v), -1)


def _matrix(node: Node, values: NDArray[np.float64], mirrored: bool, affine: bool) -> Matrix:
    """Return the 3x3 matrix of a node's parameters: what they do to three points."""
    corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    zero, one, two = (_basis(node, corner, mirrored, affine) @ values).reshape(3, 2)
    matrix = np.eye(3)
    matrix[:2] = np.stack([one - zero, two - zero, zero], axis=1)
    return matrix


def _stack(blocks: Sequence[_Block], unknowns: int) -> tuple[csr_matrix, NDArray[np.float64], list[int]]:
    rows, columns, values, start = [], [], [], 0
    for block in blocks:
        for place, part in block.parts:
            height, width = part.shape
            rows.append(np.repeat(np.arange(start, start + height), width))
            columns.append(np.tile(np.arange(place * width, (place + 1) * width), height))
            values.append(part.ravel())
        start += len(block.target)
    entries = (np.concatenate(rows), np.concatenate(columns))
    design = csr_matrix((np.concatenate(values), entries), shape=(start, unknowns))
    return design, np.concatenate([b.target for b in blocks]), [len(b.target) for b in blocks]


def _iterate(
    design: csr_matrix, target: NDArray[np.float64], sizes: list[int], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Any, NDArray[np.float64]]:
    """Return the solution, each link's distance from it, the factorised normal matrix and the weights."""
    weights = np.ones(len(sizes))
    for kind, bend, times in ROBUST:
        for _ in range(times):
            # A link counts once, however many points it has.
            rows = np.repeat(weights / sigma**2 / (np.array(sizes) / 2), sizes)
            weighted = design.T @ diags(rows)
            factor = splu(csc_matrix(weighted @ design))
            solved = factor.solve(weighted @ target)
            squares = (design @ solved - target) ** 2
            starts = np.cumsum([0, *sizes[:-1]])
            distances = np.sqrt(np.add.reduceat(squares, starts) / (np.array(sizes) / 2))
            ratio = distances / sigma / bend
            before = weights
            weights = 1 / np.maximum(1, ratio) if kind == "huber" else 1 / (1 + ratio**2)
            if np.allclose(weights, before, rtol=1e-3, atol=1e-9):
                break
    return solved, distances, factor, before


def _spread(node: Node, factor: Any, part: slice, n: int, mirrored: bool, affine: bool) -> float:
    """Return the expected error of a field; one that has a single link has that link's."""
    wanted = np.zeros((n, part.stop - part.start))
    wanted[part] = np.eye(part.stop - part.start)
    covariance = factor.solve(wanted)[part]
    basis = _basis(node, shared_points(np.eye(3), node.shape_yx, node.shape_yx), mirrored, affine)
    variance = np.einsum("ij,jk,ik->", basis, covariance, basis) / (len(basis) / 2)
    return float(np.sqrt(variance / (part.stop - part.start)))
