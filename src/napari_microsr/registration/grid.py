"""Search of all angles and scales by coarse correlation: slower than features, and content with less.

The field is drawn at each scale and angle and correlated with the overview, over whose edge it may reach
with up to two thirds where that is asked for, with a third where not. The places that look best are
correlated exactly, which ranks them for the refinement.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from math import ceil, degrees, hypot, pi, prod, sqrt

import numpy as np

from napari_microsr.registration.bands import Array
from napari_microsr.registration.correlation import HIGH_PX, Ground, Peak, band_passed, draw
from napari_microsr.registration.geometry import Matrix, enlarging, similarity
from napari_microsr.registration.picture import Picture

_WORKERS = 2
_CHUNK_PX = 1_000_000
_CORNER_STEP_PX = 2.0
_SAME_ANGLE_DEG = 15
_OPTICS_PX = 1.9
# Places of each kind that are correlated exactly.
_RESCORED = 24
# Shorter side of the field at the search level, and pixels of the overview there.
_SHORT_PX, _FINE_SHORT_PX, _OVERVIEW_PX = 20, 28, 60_000

#: Scale and angle in degrees; and a correlation, row and column with these.
Turn = tuple[float, float]
Place = tuple[float, int, int, float, float]


@dataclass(frozen=True)
class Candidate:
    """A place worth refining: the matrix from field to overview pixel, and its coarse correlation."""

    matrix: Matrix
    score: float


def search_level(field_yx: tuple[int, int], overview_yx: tuple[int, int], ratio: float, base: int) -> int:
    """Return the multiple of `base` where a search is quick and the field still tells itself from others."""
    short = min(field_yx) * ratio
    wanted = max(sqrt(overview_yx[0] * overview_yx[1] / _OVERVIEW_PX), short / _FINE_SHORT_PX)
    wanted = min(wanted, short / _SHORT_PX, min(overview_yx) / _SHORT_PX)
    return base * max(1, round(wanted / base))


def search(
    field: Picture,
    overview: Picture,
    level: int,
    scales: tuple[float, float],
    rotations_deg: tuple[float, float],
    mirrored: bool,
    over_the_edge: bool,
    keep: int,
    check: Callable[[], None],
) -> list[Candidate]:
    """Find the places where a field correlates best.

    Parameters
    ----------
    field, overview : Picture
        What to search, and where.
    level : int
        Shrink of the overview.
    scales : tuple of float
        Least and largest scale, overview pixels per field pixel.
    rotations_deg : tuple of float
        Centre and half width of the allowed angles.
    mirrored : bool
        Search the mirrored field.
    over_the_edge : bool
        Search where most of the field lies beside the overview too.
    keep : int
        Most candidates returned, best first, no two alike.
    check : callable
        Called between batches; raises to stop.
    """
    middle = sqrt(scales[0] * scales[1])
    factor = field.factor_near(level / middle)
    pitch = middle * factor / level
    template = band_passed(field.level(factor), _OPTICS_PX / level / pitch, HIGH_PX / pitch)
    radius = hypot(*template.shape) / 2 * pitch * scales[1] / middle
    poses, both_ways = _poses(scales, rotations_deg, radius)
    area_px = template.size * pitch**2
    ground = Ground.lay(overview.level(level), ceil(radius) + 1, sqrt(area_px / pi), over_the_edge)

    def drawn(some: Sequence[Turn]) -> Array:
        pitches, angles = np.array(some).T * [[factor / level], [1.0]]
        return draw(template, pitches, angles, mirrored, ground.reach)

    def best(some: Sequence[Turn]) -> list[list[Peak]]:
        check()
        return ground.peaks(drawn(some), both_ways)

    chunk = max(1, _CHUNK_PX // prod(ground.size))
    with ThreadPoolExecutor(_WORKERS, "match") as pool:
        peaks = pool.map(best, [poses[k : k + chunk] for k in range(0, len(poses), chunk)])
        found = list(chain.from_iterable(peaks))
    turns = (0.0, 180.0) if both_ways else (0.0,)
    every = [(scale, angle + turn) for scale, angle in poses for turn in turns]
    families: list[list[Place]] = [
        [(*peak, *pose) for peak, pose in zip(family, every, strict=True)]
        for family in zip(*found, strict=True)
    ]
    chosen = [place for family in families for place in _distinct(family, ground.reach / 3, _RESCORED)]
    patches = drawn([place[3:] for place in chosen])
    ranked = [
        (ground.likeness(patch, *place[1:3]), *place[1:])
        for patch, place in zip(patches, chosen, strict=True)
    ]
    centre = ((field.shape_yx[0] - 1) / 2, (field.shape_yx[1] - 1) / 2)
    candidates = []
    for score, y, x, scale, angle in _distinct(ranked, ground.reach / 3, keep):
        onto = enlarging(level) @ (*ground.from_picture(y, x), 1.0)
        matrix = similarity(scale, angle, centre=centre, onto=(onto[0], onto[1]), mirrored=mirrored)
        candidates.append(Candidate(matrix, score))
    return candidates


def _poses(
    scales: tuple[float, float], rotations_deg: tuple[float, float], radius: float
) -> tuple[list[tuple[float, float]], bool]:
    """All (scale, angle), so close that the corner moves little between them.

    Where every angle is sought they are those of half a turn, and the second result is true: each stands for
    the opposite one too.
    """
    step = _CORNER_STEP_PX / radius
    count = ceil((scales[1] / scales[0] - 1) / step) + 1
    some = np.geomspace(scales[0], scales[1], count) if count > 1 else [sqrt(scales[0] * scales[1])]
    centre, half = rotations_deg
    both_ways = half >= 180
    if both_ways:
        angles = centre + np.linspace(0, 180, ceil(180 / degrees(step)), endpoint=False)
    else:
        angles = centre + np.linspace(-half, half, 2 * ceil(half / degrees(step)) + 1)
    return [(float(s), float(a)) for s in some for a in angles], both_ways


def _distinct(found: list[Place], apart_px: float, keep: int) -> list[Place]:
    """Return the best (score, y, x, scale, angle), without those that lie where a better one does."""
    chosen: list[Place] = []
    for one in sorted(found, reverse=True):
        if not any(
            hypot(one[1] - other[1], one[2] - other[2]) < apart_px
            and abs((one[4] - other[4] + 180) % 360 - 180) < _SAME_ANGLE_DEG
            for other in chosen
        ):
            chosen.append(one)
        if len(chosen) == keep:
            break
    return chosen
