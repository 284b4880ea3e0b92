"""Place one field on one overview: features or a search first, refinement, and a verdict."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from napari_microsr.registration.candidates import (
    Bounds,
    Guesser,
    descend,
    finest_level,
    from_grid,
    ladder,
)
from napari_microsr.registration.compare import Pose, compare, pair_at
from napari_microsr.registration.geometry import Matrix, parts
from napari_microsr.registration.hands import of_both
from napari_microsr.registration.picture import Picture, no_check
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.prepared import Field, Overview
from napari_microsr.registration.reasons import explain
from napari_microsr.registration.refine import Transform
from napari_microsr.registration.verdict import NOWHERE, examine, judge

__all__ = ["USUAL_RATIOS", "Field", "Overview", "Prior", "Search", "place", "refine_from", "score_at"]

#: From here on a placement is sure enough to look no further.
SURE_SCORE = 0.85
_SMALLEST_PX = 32
# Share of a field that the overview must be able to cover.
_LEAST_COVERED = 0.12
#: Ratios of pixel sizes tried where none is known: 4x to 10x, 40x and 20x, 10x to 40x.
USUAL_RATIOS = 0.4, 0.1, 0.2, 0.25


@dataclass(frozen=True)
class Search:
    """What a placement may be.

    Attributes
    ----------
    transform : {"similarity", "affine", "quadratic"}
        What is fitted in the end.
    max_rotation_deg : float
        Largest angle from the expected one, which is 0 without a prior; 180 for any.
    max_scale_error : float
        How far the ratio of pixel sizes may lie from the expected one, as a share of it.
    """

    transform: Transform = "similarity"
    max_rotation_deg: float = 180.0
    max_scale_error: float = 0.15


@dataclass(frozen=True)
class Prior:
    """What is known of an objective from other fields; None where nothing is.

    Attributes
    ----------
    scale : float, optional
        Overview pixels per field pixel.
    rotation_deg : float, optional
        Angle of the camera.
    mirrored : bool, optional
        Whether the camera mirrors. None tries both.
    """

    scale: float | None = None
    rotation_deg: float | None = None
    mirrored: bool | None = None


def place(
    field: Field,
    overview: Overview,
    settings: Search | None = None,
    prior: Prior | None = None,
    check: Callable[[], None] = no_check,
) -> FieldPlacement:
    """Find where a field lies on an overview.

    Parameters
    ----------
    field, overview : Field, Overview
        What to place, and on what.
    settings : Search, optional
        What a placement may be.
    prior : Prior, optional
        What is known of the objective; its scale goes before the ratio of the pixel sizes. Without either
        the usual ratios are tried.
    check : callable
        Called between steps; raises to stop.

    Returns
    -------
    FieldPlacement
        Bad input gives the status "not_found" with its reason, never an error.
    """
    settings, prior = settings or Search(), prior or Prior()
    ratios, guesser = _ratios(field, overview, prior), Guesser(overview)

    def of_hand(mirrored: bool) -> FieldPlacement:
        best: FieldPlacement | None = None
        for searched, ratio in product((False, True), ratios):
            check()
            found = _attempt(
                field, guesser, settings, prior, ratio, check, mirrored=mirrored, searched=searched
            )
            if best is None or found.score > best.score:
                best = found
            if best.status == "placed":
                break
        assert best is not None
        return best

    if prior.mirrored is not None:
        best = of_hand(prior.mirrored)
    else:
        best = of_hand(False)
        if best.status != "placed" or best.score < SURE_SCORE:
            best = of_both(best, of_hand(True))
    return best if best.matrix_yx is not None else _explained(best, field, guesser, settings, prior, ratios)


def refine_from(
    field: Field, overview: Overview, matrix_yx: Matrix, settings: Search | None = None
) -> FieldPlacement:
    """Refine a placement made by hand, right to about ten overview pixels."""
    settings = settings or Search()
    problem, picture = _picture(field, overview, parts(matrix_yx).scale)
    if picture is None:
        return _nowhere(field, problem)
    start = 4 * max(overview.base, finest_level(field.shape_yx, parts(matrix_yx).scale))
    found = _walk(field, overview, picture, [Pose(matrix_yx)], start, 0, settings.transform)
    if found is None or found.matrix_yx is None:
        return score_at(field, overview, matrix_yx, settings)
    return replace(found, manual=True)


def score_at(
    field: Field, overview: Overview, matrix_yx: Matrix, settings: Search | None = None
) -> FieldPlacement:
    """Give a placement made by hand the score and verdict of an automatic one, and leave it there."""
    settings = settings or Search()
    problem, picture = _picture(field, overview, parts(matrix_yx).scale)
    if picture is None:
        return replace(_nowhere(field, problem), matrix_yx=matrix_yx, manual=True)
    scored = _result(field, overview, picture, Pose(matrix_yx), 0, settings.transform)
    return replace(scored, matrix_yx=matrix_yx, overview=overview.name, manual=True)


def _ratios(field: Field, overview: Overview, prior: Prior) -> tuple[float, ...]:
    if prior.scale is not None:
        return (prior.scale,)
    if field.um is not None and overview.um is not None:
        return (field.um / overview.um,)
    return USUAL_RATIOS


def _attempt(
    field: Field,
    guesser: Guesser,
    settings: Search,
    prior: Prior,
    ratio: float,
    check: Callable[[], None],
    *,
    mirrored: bool,
    searched: bool,
) -> FieldPlacement:
    """Place a field whose pixel is `ratio` overview pixels, by features or by the search of all angles."""
    overview = guesser.overview
    problem, picture = _picture(field, overview, ratio)
    if picture is None:
        return _nowhere(field, problem)
    bounds = _bounds(settings, prior, ratio)
    if searched:
        (poses, level), inliers = from_grid(picture, overview, bounds, mirrored, check), 0
    else:
        guessed = guesser.pose(picture, bounds, mirrored)
        poses, inliers, level = ([guessed[0]], guessed[1], overview.base) if guessed else ([], 0, 0)
    found = _walk(field, overview, picture, poses, level, inliers, settings.transform)
    return found or _nowhere(field, NOWHERE)


def _bounds(settings: Search, prior: Prior, ratio: float) -> Bounds:
    return Bounds(ratio, settings.max_scale_error, (prior.rotation_deg or 0.0, settings.max_rotation_deg))


def _explained(
    best: FieldPlacement,
    field: Field,
    guesser: Guesser,
    settings: Search,
    prior: Prior,
    ratios: tuple[float, ...],
) -> FieldPlacement:
    """Give a field that was not found the reason, where the ratio of the pixel sizes is known."""
    if best.reason != NOWHERE or len(ratios) > 1:
        return best
    _, picture = _picture(field, guesser.overview, ratios[0])
    if picture is None:
        return best
    bounds = _bounds(settings, prior, ratios[0])
    return replace(best, reason=explain(picture, guesser, bounds, prior.mirrored))


def _walk(
    field: Field,
    overview: Overview,
    picture: Picture,
    poses: list[Pose],
    level: int,
    inliers: int,
    transform: Transform,
) -> FieldPlacement | None:
    """Refine poses found at a level, and judge the best; None where nothing is left of them."""
    if not poses:
        return None
    levels = ladder(field.shape_yx, poses[0].matrix, overview.base, level)
    pose = descend(picture, overview, poses, levels, transform)
    return None if pose is None else _result(field, overview, picture, pose, inliers, transform)


def _picture(field: Field, overview: Overview, ratio: float) -> tuple[str, Picture | None]:
    """Return the field's picture with its finest level in place, or what is wrong with field or overview."""
    if overview.picture is None:
        return f"The overview {overview.name} is blank: choose another.", None
    h, w = field.shape_yx
    if min(h, w) < _SMALLEST_PX or min(h, w) * ratio < _SMALLEST_PX / 4:
        return f"The field is too small ({h} × {w} pixels) to be recognised: take a larger one.", None
    if _LEAST_COVERED * h * w * ratio**2 > overview.shape_yx[0] * overview.shape_yx[1]:
        return "The field is larger than the overview: check the pixel sizes, and which is which.", None
    finest = finest_level(field.shape_yx, ratio)
    picture = field.picture(overview.picture.tone, max(1, round(finest / ratio)))
    if picture is None:
        return "The field is blank (all pixels are equal or not numbers): take it again.", None
    return "", picture


def _result(
    field: Field, overview: Overview, picture: Picture, pose: Pose, inliers: int, transform: Transform
) -> FieldPlacement:
    """Examine a pose and put the verdict into words."""
    assert overview.picture is not None
    level = finest_level(field.shape_yx, parts(pose.matrix).scale)
    pair = pair_at(picture, overview.picture, pose.matrix, level, pose.optics, order=3)
    comparison = compare(pair, pose) if pair else None
    if pair is None or comparison is None:
        return _nowhere(field, "The field lies outside the overview, or all but a small part of it does.")
    evidence = examine(comparison, pair, pose, transform, inliers)
    status, reason = judge(evidence)
    if status == "not_found":
        return replace(_nowhere(field, reason), score=evidence.score, agreement=evidence.agreement)
    mirrored = parts(pose.matrix).mirrored
    if status == "placed" and mirrored:
        reason = "The camera mirrors the image: the field was found mirrored."
    um = overview.um
    return FieldPlacement(
        name=field.name,
        path=field.path,
        overview=overview.name,
        shape_yx=field.shape_yx,
        status=status,
        reason=reason,
        score=evidence.score,
        agreement=evidence.agreement,
        inliers=inliers,
        expected_error_um=None if um is None else evidence.error_px * um,
        matrix_yx=pose.matrix,
        quadratic_yx=pose.quadratic if transform == "quadratic" else None,
        field_um=None if um is None else parts(pose.matrix).scale * um,
    )


def _nowhere(field: Field, reason: str) -> FieldPlacement:
    return FieldPlacement(
        name=field.name,
        path=field.path,
        overview=None,
        shape_yx=field.shape_yx,
        status="not_found",
        reason=reason,
    )
