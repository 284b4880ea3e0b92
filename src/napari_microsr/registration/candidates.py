"""From first guesses to a refined pose: features, the search of all angles, and the walk down the levels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from napari_microsr.registration import features
from napari_microsr.registration.compare import Optics, Pose, compare, pair_at, weighed
from napari_microsr.registration.even import evened
from napari_microsr.registration.geometry import Matrix, parts
from napari_microsr.registration.grid import search, search_level
from napari_microsr.registration.picture import Picture
from napari_microsr.registration.prepared import Overview
from napari_microsr.registration.refine import Transform, refine

_FIELD_FEATURES = 700
_TOLERANCE_PX = 2.5
_GRID_CANDIDATES = 4
# Dropped at each level: candidates that fall behind the best by so much of correlation, or correlate less
# than any true one does, or are more than these. True ones had 0.83 or more, of fields far out of focus.
_BEHIND, _HOPELESS, _KEPT = 0.15, 0.4, 3
# Differences in sharpness tried, in overview pixels: from a field far out of focus to a soft overview.
_BLURS_PX = -8.0, -6.0, -4.0, -2.0, 0.0, 1.0, 2.0, 3.0, 4.0
# On the way down a placement need only stay within reach of the next level.
_STEPS, _REST_PX = 4, 0.1
_LAST_STEPS, _LAST_REST_PX = 8, 0.02
# Up to this level pixels are no wider than the blur of the overview's optics; and least side of a template.
_SHARP_LEVEL, _LEAST_TEMPLATE_PX = 2, 36
# Template pixels at the finest level of the refinement.
_FINEST_PX = 130_000


@dataclass(frozen=True)
class Bounds:
    """Where to look.

    Attributes
    ----------
    ratio : float
        Expected scale: overview pixels per field pixel.
    scale_error : float
        How far the scale may lie from it, as a share.
    rotations_deg : tuple of float
        Centre and half width of the allowed angles.
    """

    ratio: float
    scale_error: float
    rotations_deg: tuple[float, float]

    @property
    def scales(self) -> tuple[float, float]:
        """Least and largest scale, with a little room for the refinement."""
        return self.ratio * (1 - self.scale_error) * 0.98, self.ratio * (1 + self.scale_error) * 1.02


class Guesser:
    """Guesses poses from features; field and overview are matched once, whatever the bounds."""

    def __init__(self, overview: Overview) -> None:
        self.overview = overview
        self._matches: dict[tuple[Picture, int, bool], features.Matches] = {}

    def pose(self, picture: Picture, bounds: Bounds, mirrored: bool) -> tuple[Pose, int] | None:
        """Guess a pose and say how many features agree; None where too few do or OpenCV is missing."""
        if not features.available():
            return None
        factor = picture.factor_near(self.overview.base / bounds.ratio)
        flip = np.diag([1.0, -1.0 if mirrored else 1.0, 1.0])
        flip[1, 2] = picture.level_shape(factor)[1] * factor - 1 if mirrored else 0
        key = picture, factor, mirrored
        if key not in self._matches:
            density = picture.level(factor)[:, :: -1 if mirrored else 1]
            found = features.detect(density, factor, _FIELD_FEATURES)
            self._matches[key] = features.match(found, self.overview.features)
        guessed = features.guess(
            self._matches[key],
            tolerance=_TOLERANCE_PX * self.overview.base,
            scales=bounds.scales,
            rotations_deg=bounds.rotations_deg,
        )
        return None if guessed is None else (Pose(guessed[0] @ flip), guessed[1])


def from_grid(
    picture: Picture, overview: Overview, bounds: Bounds, mirrored: bool, check: Callable[[], None]
) -> tuple[list[Pose], int]:
    """Find the best poses of a search over all angles and scales, and the level it was done at.

    Features find fields that lie beside the overview for the most part; without them the search does.
    """
    assert overview.picture is not None
    level = search_level(picture.shape_yx, overview.shape_yx, bounds.ratio, overview.base)
    found = search(
        picture,
        overview.picture,
        level,
        bounds.scales,
        bounds.rotations_deg,
        mirrored,
        not features.available(),
        _GRID_CANDIDATES,
        check,
    )
    return [Pose(one.matrix, score=one.score) for one in found], level


def finest_level(shape_yx: tuple[int, int], scale: float) -> int:
    """Return the finest level whose template is small enough to be quick and large enough to be exact."""
    return max(1, ceil(sqrt(shape_yx[0] * shape_yx[1] * scale**2 / _FINEST_PX)))


def ladder(shape_yx: tuple[int, int], matrix: Matrix, base: int, start: int) -> list[int]:
    """Levels from `start` to the finest, each about half the one before; coarse ones multiples of `base`.

    There are two at least where the finest shows the blur of the optics, which is measured at the one before.
    """
    scale = parts(matrix).scale
    finest = finest_level(shape_yx, scale)
    if start <= finest <= _SHARP_LEVEL and min(shape_yx) * scale >= 2 * finest * _LEAST_TEMPLATE_PX:
        start = 2 * finest
    levels = [finest]
    while levels[0] < start:
        coarser = base if levels[0] < base <= 3 * levels[0] else 2 * levels[0]
        levels.insert(0, min(coarser, start))
    return levels


def descend(
    picture: Picture, overview: Overview, poses: list[Pose], levels: list[int], transform: Transform
) -> Pose | None:
    """Refine candidates level by level and drop those that fall behind; a richer transform comes last."""
    assert overview.picture is not None
    for level in levels[:-1]:
        better = []
        for pose in poses:
            pair = pair_at(picture, overview.picture, pose.matrix, level, pose.optics)
            walked = refine(pair, pose, "similarity", _STEPS, _REST_PX) if pair else None
            if walked is not None and weighed(walked.score, walked.overlap) > _HOPELESS:
                better.append(walked)
        better.sort(key=lambda pose: -weighed(pose.score, pose.overlap))
        poses = [pose for pose in better[:_KEPT] if pose.score > better[0].score - _BEHIND]
    if not poses:
        return None
    if len(levels) > 1:
        optics = measure_optics(picture, overview.picture, poses[0], levels[-2])
        poses = [replace(poses[0], optics=optics)]
    pair = pair_at(picture, overview.picture, poses[0].matrix, levels[-1], poses[0].optics, order=3)
    refined = refine(pair, poses[0], transform, _LAST_STEPS, _LAST_REST_PX) if pair else None
    return evened(pair, refined, transform) if pair and refined else None


def measure_optics(field: Picture, overview: Picture, pose: Pose, level: int) -> Optics:
    """Find the difference in sharpness and contrast with which field and overview are most alike.

    Parameters
    ----------
    field, overview : Picture
        What to compare.
    pose : Pose
        Refined at `level`.
    level : int
        Shrink of the overview.
    """
    tried = []
    for blur in _BLURS_PX:
        pair = pair_at(field, overview, pose.matrix, level, Optics(blur, 1.0))
        comparison = compare(pair, pose) if pair else None
        if comparison is not None:
            tried.append((comparison.score, blur, comparison.gamma))
    if not tried:
        return pose.optics
    best = max(range(len(tried)), key=lambda k: tried[k][0])
    blur = tried[best][1]
    if 0 < best < len(tried) - 1:
        scores, blurs, _ = zip(*tried[best - 1 : best + 2], strict=True)
        curve = np.polyfit(blurs, scores, 2)
        blur = float(np.clip(-curve[1] / (2 * curve[0]), blurs[0], blurs[2])) if curve[0] < 0 else blur
    return Optics(blur, min(max(tried[best][2], 0.5), 2.0))
