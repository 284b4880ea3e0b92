"""Fields measured on each other: chains over a middle magnification, overlaps, and what they say together."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, hypot, isfinite, prod, sqrt
from statistics import median
from typing import NamedTuple

import numpy as np

from napari_microsr.errors import MicroSRError
from napari_microsr.registration.bands import measure_tone
from napari_microsr.registration.fields import Finder, Report, better, placed
from napari_microsr.registration.geometry import Matrix, apply, parts
from napari_microsr.registration.graph import Solution, solve
from napari_microsr.registration.grounds import Ground
from napari_microsr.registration.links import Link, Node, Points, loops_px, shared_points
from napari_microsr.registration.parallel import Shelf
from napari_microsr.registration.picture import Picture
from napari_microsr.registration.place import Overview, Prior, Search, place, refine_from
from napari_microsr.registration.placement import FieldPlacement

#: How much coarser a field is that others are measured on, and the share of them that must lie there.
COARSER, INSIDE = 1.5, 0.3
#: Share of a field that its neighbour of the same magnification must cover.
OVERLAP = 0.1
#: Expected error of a measurement that has none, and the least that is believed, in overview pixels.
UNKNOWN_ERROR_PX, LEAST_ERROR_PX = 0.5, 0.003
#: A field is doubted that lies this many expected errors, and pixels, from where the others say.
FAR_SIGMAS, FAR_PX = 8.0, 1.0
#: Pixels in which features of a coarser field are sought.
FEATURE_PX = 1_200_000
_KEPT_BYTES = 600_000_000


class Pair(NamedTuple):
    """A field, and the field that it is measured on."""

    moving: int
    fixed: int


class Joint:
    """Ties fields of one overview to each other.

    Parameters
    ----------
    finder : Finder
        Knows the images.
    ground : Ground
        The overview.
    found : dict of int to FieldPlacement
        All fields, numbered from 0. Those that lie on this overview are tied, doubtful ones sought on them.
    """

    def __init__(self, finder: Finder, ground: Ground, found: dict[int, FieldPlacement]) -> None:
        self.finder, self.ground, self.found = finder, ground, found
        self.here = [n for n, p in sorted(found.items()) if placed(p) and p.overview == ground.item.name]
        self._coarse = Shelf(self._as_overview, _KEPT_BYTES)
        bend = finder.options.transform != "similarity"
        self._search = Search("affine" if bend else "similarity", 3.0, 0.03)

    def pairs(self) -> list[Pair]:
        """Return which field to measure on which, from where they lie."""
        if not self.here:
            return []
        middles, reach = (np.array(part) for part in zip(*map(self._circle, self.here), strict=True))
        apart = np.linalg.norm(middles[:, None] - middles, axis=-1)
        near = np.argwhere(apart < reach[:, None] + reach)
        pairs = [Pair(self.here[i], self.here[j]) for i, j in near.tolist() if i != j]
        return [pair for pair in pairs if self._tied(*pair, once=True)]

    def measure(self, pair: Pair) -> Link | None:
        """Measure one field on another; None if they do not look alike."""
        field, coarse = self.finder.shelf[pair.moving], self._coarse[pair.fixed]
        start = np.linalg.inv(self._matrix(pair.fixed)) @ self._matrix(pair.moving)
        try:
            found = refine_from(field, coarse, start, self._search)
        except MicroSRError:
            return None
        return self._link(pair.moving, pair.fixed, found) if placed(found) else None

    def look_for(self, number: int) -> tuple[FieldPlacement, Link] | None:
        """Look for a doubtful field on the placed ones: where it may lie, else on all that are coarser."""
        try:
            return self._confirmed(number) or self._found_on(number)
        except MicroSRError:
            return None

    def _confirmed(self, number: int) -> tuple[FieldPlacement, Link] | None:
        """Measure a field that the overview is not sure of on those beside it."""
        item = self.found[number]
        if item.matrix_yx is None or item.overview != self.ground.item.name:
            return None
        for other in self.here:
            if self._tied(number, other) and (link := self.measure(Pair(number, other))):
                reason = f"The overview is not sure; the field {self.found[other].name} confirms it."
                return replace(item, status="placed", reason=reason), link
        return None

    def _found_on(self, number: int) -> tuple[FieldPlacement, Link] | None:
        """Search a field on those of the coarser ones that its objective's scale and angle allow."""
        field, best, where = self.finder.shelf[number], self.found[number], None
        for middle in self.here:
            known = parts(self._matrix(middle))
            for objective in self.finder.learned:
                scale = objective.um / self.ground.unit / known.scale
                if scale * COARSER > 1 or not self.finder.may_be(field, self.ground, objective):
                    continue
                prior = Prior(scale, objective.rotation_deg - known.rotation_deg, mirrored=False)
                found = place(field, self._coarse[middle], self._search, prior, self.finder.crew.check)
                if placed(found) and (where is None or better(best, found) is found):
                    best, where = found, middle
        if where is None:
            return None
        reason = f"Found by way of the field {self.found[where].name}, not on the overview itself."
        return replace(best, reason=reason), self._link(number, where, best)

    def direct(self) -> list[Link]:
        """Return what was measured on the overview itself."""
        shape = self.ground.shape_yx
        links = []
        for number in self.here:
            item, matrix = self.found[number], self._matrix(number)
            error = _error(item, self.ground.unit)
            links.append(Link(number, None, matrix, error, shared_points(matrix, item.shape_yx, shape)))
        return links

    def agree(self, links: Sequence[Link], also: dict[int, FieldPlacement]) -> dict[int, FieldPlacement]:
        """Return the fields that the solution of all measurements changes.

        Parameters
        ----------
        links : sequence of Link
            All measurements, the direct ones included.
        also : dict of int to FieldPlacement
            Fields that were found on other fields only, as they were found there.
        """
        nodes = [self._node(number) for number in sorted(self.found)]
        affine = self.finder.options.transform != "similarity"
        free = [number for number in self.here if not self.found[number].locked]
        mirrored = any(parts(self._matrix(number)).mirrored for number in free[:1])
        solution = solve(nodes, links, mirrored=mirrored, affine=affine)
        tied = {number for link in links if link.fixed is not None for number in (link.moving, link.fixed)}
        return {
            number: self._settled(also.get(number) or self.found[number], number, solution)
            for number in sorted(tied)
            if not self.found[number].locked
        }

    def _settled(self, item: FieldPlacement, number: int, solution: Solution) -> FieldPlacement:
        """Put a field where the solution says, with doubt where its own measurement says otherwise."""
        matrix, error, unit = solution.matrices[number], solution.errors_px[number], self.ground.unit
        status, reason = item.status, item.reason
        if item.overview == self.ground.item.name:
            assert item.matrix_yx is not None
            points = shared_points(np.eye(3), item.shape_yx, item.shape_yx)
            apart = float(
                np.linalg.norm(apply(matrix, points) - apply(item.matrix_yx, points), axis=1).mean()
            )
            if apart > max(FAR_PX, FAR_SIGMAS * _error(item, unit)):
                status = "uncertain"
                reason = (
                    f"The overview puts it {apart:.0f} overview pixels from where the other fields do:"
                    " look which is right, then correct or confirm it."
                )
        return replace(
            item, overview=self.ground.item.name, status=status, reason=reason, matrix_yx=matrix,
            expected_error_um=error * unit, field_um=parts(matrix).scale * unit,
        )  # fmt: skip

    def _tied(self, moving: int, fixed: int, once: bool = False) -> bool:
        """Say whether a field can be measured on another: a coarser one below it, or one beside it."""
        shapes = self.found[moving].shape_yx, self.found[fixed].shape_yx
        step = np.linalg.inv(self._matrix(fixed)) @ self._matrix(moving)
        ratio = 1 / parts(step).scale
        if ratio > COARSER:
            return _covered(step, *shapes) >= INSIDE
        # Of two neighbours the later is measured on the earlier.
        alike = ratio * COARSER >= 1 and not (once and moving < fixed)
        return alike and _covered(step, *shapes) >= OVERLAP

    def _circle(self, number: int) -> tuple[Points, float]:
        """Return the middle of a field on the overview, and how far it reaches from there."""
        shape, matrix = self.found[number].shape_yx, self._matrix(number)
        return apply(matrix, (np.array(shape) - 1) / 2), parts(matrix).scale * hypot(*shape) / 2

    def _matrix(self, number: int) -> Matrix:
        matrix = self.found[number].matrix_yx
        assert matrix is not None
        return matrix

    def _node(self, number: int) -> Node:
        item = self.found[number]
        return Node(item.shape_yx, item.matrix_yx if item.locked else None, item.quadratic_yx)

    def _link(self, moving: int, fixed: int, found: FieldPlacement) -> Link:
        """Return a measurement on another field, its error carried to the overview."""
        assert found.matrix_yx is not None
        points = shared_points(found.matrix_yx, found.shape_yx, self.found[fixed].shape_yx)
        return Link(moving, fixed, found.matrix_yx, _error(found, self.ground.unit), points)

    def _as_overview(self, number: int) -> tuple[Overview, int]:
        """Make a field ready for finer ones, with the pixel size that the overview gives it.

        Its features are sought only when a field is looked for on it.
        """
        source, check = self.finder.items[number].open(), self.finder.crew.check
        tone = measure_tone(source, self.finder.options.contrast)
        picture = Picture(source, tone, check) if tone else None
        shape = source.height, source.width
        um = parts(self._matrix(number)).scale * self.ground.unit
        base = min(3, ceil(sqrt(prod(shape) / FEATURE_PX)))
        size = prod(shape) * source.channels * source.dtype.itemsize
        return Overview(source.name, shape, um, picture, base), size


def tie_all(
    finder: Finder, found: dict[int, FieldPlacement], report: Report
) -> tuple[dict[int, FieldPlacement], float | None]:
    """Measure the fields on each other, overview by overview, and bring all into agreement.

    Parameters
    ----------
    finder : Finder
        Knows the images.
    found : dict of int to FieldPlacement
        Where each was found on the overviews.
    report : callable
        Told of each field that changes.

    Returns
    -------
    found : dict of int to FieldPlacement
        The fields in agreement.
    loop_um : float or None
        Median difference of the two ways to the overview, of the fields that have two.
    """
    found, loops = dict(found), list[float]()
    for ground in finder.grounds:
        joint = Joint(finder, ground, found)
        if not joint.here:
            continue
        links, also = _measure_all(joint)
        loops += [ground.unit * loop for loop in loops_px(links)]
        links += [link for _, link in also.values()]
        for number, item in joint.agree(links, {n: item for n, (item, _) in also.items()}).items():
            found[number] = item
            report(number, item)
    return found, median(loops) if loops else None


def _measure_all(joint: Joint) -> tuple[list[Link], dict[int, tuple[FieldPlacement, Link]]]:
    """Return the measurements among placed fields, and the doubtful fields that were found on them."""
    links: dict[Pair, Link | None] = {}
    rescued: dict[int, tuple[FieldPlacement, Link] | None] = {}
    crew, broken = joint.finder.crew, joint.finder.broken
    doubtful = [n for n, item in sorted(joint.found.items()) if not placed(item) and n not in broken]
    crew.run("neighbours", joint.measure, joint.pairs(), links.__setitem__)
    crew.run("doubtful fields", joint.look_for, doubtful, rescued.__setitem__)
    # In the order of the fields, not of the threads: the same input gives the same bits.
    found = {number: result for number, result in sorted(rescued.items()) if result}
    return [*joint.direct(), *(link for _, link in sorted(links.items()) if link)], found


def _error(item: FieldPlacement, unit: float) -> float:
    """Return the expected error of a measurement, in overview pixels."""
    error = item.expected_error_um
    if error is None or not isfinite(error):
        return UNKNOWN_ERROR_PX
    return max(error / unit, LEAST_ERROR_PX)


def _covered(step: Matrix, moving: tuple[int, int], fixed: tuple[int, int]) -> float:
    """Return the share of one image that lies on another."""
    rows, columns = ((np.arange(20) + 0.5) * n / 20 - 0.5 for n in moving)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    there = apply(step, grid)
    return float(((there >= -0.5) & (there <= np.array(fixed) - 0.5)).all(axis=1).mean())
