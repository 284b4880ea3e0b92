"""A field as it is and mirrored: which of the two placements to believe."""

from dataclasses import replace

from napari_microsr.registration import features
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.verdict import PLACED_INLIERS

TOO = (
    "The field fits at one place as it is and at another mirrored: look which is right, then correct or"
    " confirm it."
)
ONLY = (
    "The field was found mirrored, and is too soft for its details to say that it is: look whether the camera"
    " mirrors, then correct or confirm it."
)


def of_both(plain: FieldPlacement, mirrored: FieldPlacement) -> FieldPlacement:
    """Return the better of the two hands of a field, in doubt where both fit.

    Where features fail, the search can miss the true place and find one that is its mirror image by chance:
    what only the search finds mirrored is in doubt, too.
    """
    fitting = [found for found in (plain, mirrored) if found.matrix_yx is not None]
    best = max(fitting or (plain, mirrored), key=lambda found: found.score)
    if len(fitting) == 2:
        return replace(best, status="uncertain", reason=TOO)
    soft = features.available() and best.inliers < PLACED_INLIERS
    if best is mirrored and best.status == "placed" and soft:
        return replace(best, status="uncertain", reason=ONLY)
    return best
