"""What fields of one objective have in common: the true ratio of pixel sizes, and the angle of the camera."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import atan2, cos, degrees, exp, log, radians, sin

from napari_microsr.registration.geometry import Parts, parts
from napari_microsr.registration.inputs import Input
from napari_microsr.registration.placement import FieldPlacement

#: Ratios of overview and field pixel sizes that microscopes have, the most common first: objectives of
#: 1.25, 2, 2.5, 4, 5, 10, 20, 40, 60 and 63 are combined. The search around each bridges the rest.
USUAL_RATIOS = (10.0, 2.5, 4.0, 5.0, 2.0, 16.0, 8.0, 1.6, 6.3, 1.25, 12.6, 20.0, 25.0, 32.0, 3.2, 1.0)
#: How far fields of one objective may lie apart, and how many make one.
SAME_ANGLE_DEG, SAME_SCALE, FEWEST = 3.0, 0.03, 3
ABOUT = 0.2


@dataclass(frozen=True)
class Objective:
    """A set of fields that agree in scale and angle.

    Attributes
    ----------
    um : float
        Size of a field pixel, by the overviews' pixel size.
    rotation_deg : float
        Angle of the camera, as in `Parts`.
    mirrored : bool
        Whether left and right are exchanged.
    size : int
        Fields that agree.
    share : float
        Their share of the fields of about that pixel size: 1 where the camera was never turned.
    """

    um: float
    rotation_deg: float
    mirrored: bool
    size: int
    share: float


def guess_ratios(overview: Input, field: Input, learned: Sequence[float] = ()) -> list[float]:
    """Return the ratios of pixel sizes to try where these are unknown, the likeliest first.

    Parameters
    ----------
    overview, field : Input
        The magnifications in their names come first.
    learned : sequence of float
        Then come the ratios of other fields, then what is usual.
    """
    named = []
    if overview.magnification and field.magnification:
        named.append(field.magnification / overview.magnification)
    found: list[float] = []
    for ratio in (*named, *learned, *USUAL_RATIOS):
        # A search around one ratio covers its near neighbours.
        if all(abs(log(ratio / other)) > 0.07 for other in found):
            found.append(ratio)
    return found


def learn(placements: Iterable[FieldPlacement]) -> list[Objective]:
    """Return the objectives of the placed fields, the most frequent first.

    Each is the mean of the fields that agree with the field that agrees with most; the others follow from
    what is left. Fewer than `FEWEST` fields make none.
    """
    left = [
        _Found(item.field_um, parts(item.matrix_yx))
        for item in placements
        if item.status == "placed" and item.matrix_yx is not None and item.field_um
    ]
    found, every = [], list(left)
    while left:
        groups = [[other for other in left if _alike(one, other)] for one in left]
        group = max(groups, key=len)
        if len(group) < FEWEST:
            break
        found.append(_mean(group, every))
        left = [one for one in left if one not in group]
    return found


@dataclass(frozen=True)
class _Found:
    um: float
    parts: Parts


def _alike(one: _Found, other: _Found) -> bool:
    turn = (one.parts.rotation_deg - other.parts.rotation_deg + 180) % 360 - 180
    return (
        one.parts.mirrored == other.parts.mirrored
        and abs(turn) <= SAME_ANGLE_DEG
        and abs(log(one.um / other.um)) <= SAME_SCALE
    )


def _mean(group: list[_Found], every: list[_Found]) -> Objective:
    um = exp(sum(log(one.um) for one in group) / len(group))
    angles = [radians(one.parts.rotation_deg) for one in group]
    angle = degrees(atan2(sum(map(sin, angles)), sum(map(cos, angles))))
    near = sum(abs(log(one.um / um)) < ABOUT for one in every)
    return Objective(um, angle, group[0].parts.mirrored, len(group), len(group) / near)
