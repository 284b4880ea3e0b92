"""Why a field was not found, in a sentence that says what to do."""

from napari_microsr.registration.bands import texture
from napari_microsr.registration.candidates import Bounds, Guesser
from napari_microsr.registration.geometry import parts
from napari_microsr.registration.picture import Picture
from napari_microsr.registration.verdict import NOWHERE

# Features that agree beyond doubt although nothing was found within the bounds.
_SURE_INLIERS = 10
_WIDE = 3.0
# Shares of the overview's texture, and of its fine detail, below which the field's are blamed.
_PLAIN, _SOFT = 0.25, 0.35


def explain(picture: Picture, guesser: Guesser, bounds: Bounds, mirrored: bool | None) -> str:
    """Say why no place was found.

    Parameters
    ----------
    picture : Picture
        The field.
    guesser : Guesser
        Which sought its features on the overview.
    bounds : Bounds
        Within which.
    mirrored : bool or None
        The only handedness that was tried, None where both were.
    """
    overview = guesser.overview
    own = texture(picture.level(picture.factor_near(overview.base / bounds.ratio)))
    theirs = overview.texture
    if own[0] < _PLAIN * theirs[0]:
        return "There is too little texture in the field to recognise its place: take one with more tissue."
    wide = Bounds(bounds.ratio, 1 - 1 / _WIDE, (0.0, 180.0))
    for hand in (False, True):
        guessed = guesser.pose(picture, wide, hand)
        if guessed is None or guessed[1] < _SURE_INLIERS:
            continue
        found = parts(guessed[0].matrix)
        if mirrored is not None and hand != mirrored:
            return (
                "The field seems to be mirrored against the others: check whether the camera was turned over."
            )
        if not bounds.scales[0] <= found.scale <= bounds.scales[1]:
            return (
                f"The field seems to be magnified {bounds.ratio / found.scale:.2f} times as much as its pixel"
                " size says: correct the pixel size or allow a larger scale error."
            )
        return (
            f"The field seems to be turned by {found.rotation_deg:.0f}°, which is outside of what is allowed:"
            " allow more rotation."
        )
    if own[1] < _SOFT * theirs[1]:
        return "The field seems to be out of focus, too far to recognise its place: take it again."
    return NOWHERE
