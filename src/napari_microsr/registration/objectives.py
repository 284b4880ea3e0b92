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


@dataclass(frozen=True)
class Objective:
    """A set of fields that agree in scale and angle.

    Attributes
    ----------
    scale : float
        Overview pixels per field pixel.
    rotation_deg : float
        Angle of the camera, as in `Parts`.
    mirrored : bool
        Whether left and right are exchanged.
    size : int
        Fields that agree.
    """

    scale: float
    rotation_deg: float
    mirrored: bool
    size: int


def ratios(overview: Input, field: Input, learned: Sequence[float] = ()) -> list[float]:
    """Return the ratios of overview and field pixel sizes to try, the likeliest first.

    Parameters
    ----------
    overview, field : Input
        With their pixel sizes: where both are known there is one ratio. Else the magnifications in the
        names of the files come first, then what other fields had, then what is usual.
    learned : sequence of float
        Ratios of other fields.
    """
    if overview.um and field.um:
        return [overview.um / field.um]
    first = []
    if overview.magnification and field.magnification:
        first.append(field.magnification / overview.magnification)
    found: list[float] = []
    for ratio in (*first, *learned, *USUAL_RATIOS):
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
        parts(item.matrix_yx) for item in placements if item.status == "placed" and item.matrix_yx is not None
    ]
    found = []
    while left:
        groups = [[other for other in left if _alike(one, other)] for one in left]
        group = max(groups, key=len)
        if len(group) < FEWEST:
            break
        found.append(_mean(group))
        left = [one for one in left if one not in group]
    return found


def _alike(one: Parts, other: Parts) -> bool:
    turn = (one.rotation_deg - other.rotation_deg + 180) % 360 - 180
    return (
        one.mirrored == other.mirrored
        and abs(turn) <= SAME_ANGLE_DEG
        and abs(log(one.scale / other.scale)) <= SAME_SCALE
    )


def _mean(group: list[Parts]) -> Objective:
    scale = exp(sum(log(one.scale) for one in group) / len(group))
    angles = [radians(one.rotation_deg) for one in group]
    angle = degrees(atan2(sum(map(sin, angles)), sum(map(cos, angles))))
    return Objective(scale, angle, group[0].mirrored, len(group))
