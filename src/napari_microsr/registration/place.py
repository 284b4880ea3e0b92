"""Place one field on one overview: features or a search first, refinement, and a verdict."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, sqrt
from typing import Literal

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.registration import features
from napari_microsr.registration.bands import Contrast, Tone, measure_tone
from napari_microsr.registration.features import Features
from napari_microsr.registration.geometry import Matrix, parts
from napari_microsr.registration.picture import Picture, no_check
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.refine import Pose, Transform, compare, pair_at, refine
from napari_microsr.registration.verdict import Evidence, examine, judge

# Overview pixels in which features are sought, and where more are needed before the shrink grows beyond 3.
_FEATURE_PX, _MANY_FEATURE_PX = 1_200_000, 20_000_000
_PX_PER_FEATURE, _MOST_FEATURES, _FIELD_FEATURES = 80, 200_000, 1000
# Template pixels at the finest level of the refinement.
_FINEST_PX = 200_000
_SMALLEST_PX = 32
#: Ratios of pixel sizes tried where none is known: 4x to 10x, 40x and 20x, 10x to 40x.
USUAL_RATIOS = 0.4, 0.1, 0.2, 0.25

ContrastChoice = Literal["auto", "absorption", "fluorescence"]


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


@dataclass(eq=False)
class Overview:
    """An overview, ready for fields to be placed on it. See `prepare`."""

    name: str
    shape_yx: tuple[int, int]
    um: float | None
    picture: Picture | None
    base: int

    @classmethod
    def prepare(
        cls,
        source: ImageSource,
        um: float | None = None,
        contrast: ContrastChoice = "auto",
        check: Callable[[], None] = no_check,
    ) -> "Overview":
        """Shrink an overview and find its features.

        Parameters
        ----------
        source : ImageSource
            The image; it may be larger than memory.
        um : float, optional
            Size of a pixel.
        contrast : str
            See `RegisterJob.contrast`.
        check : callable
            Called between steps; raises to stop.
        """
        tone = measure_tone(source, contrast)
        pixels = source.height * source.width
        base = min(3, ceil(sqrt(pixels / _FEATURE_PX)))
        base = max(base, ceil(sqrt(pixels / _MANY_FEATURE_PX)))
        picture = Picture(source, tone, check) if tone else None
        overview = cls(source.name, (source.height, source.width), um, picture, base)
        if picture is not None:
            picture.level(base)
            if features.available():
                _ = overview.features
        return overview

    @cached_property
    def features(self) -> Features:
        """Features of the whole overview."""
        assert self.picture is not None
        density = self.picture.level(self.base)
        count = min(_MOST_FEATURES, density.size // _PX_PER_FEATURE)
        return features.detect(density, self.base, count)


@dataclass(eq=False)
class Field:
    """A field, ready to be placed. See `prepare`."""

    name: str
    path: str | None
    source: ImageSource
    um: float | None
    contrast: ContrastChoice
    _pictures: dict[tuple[Contrast, int], Picture | None] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls, source: ImageSource, um: float | None = None, contrast: ContrastChoice = "auto"
    ) -> "Field":
        """Describe a field; its pixels are read when it is placed.

        Parameters
        ----------
        source : ImageSource
            The image.
        um : float, optional
            Size of a pixel.
        contrast : str
            "auto" takes the contrast of the overview that it is placed on.
        """
        path = None if source.path is None else str(source.path)
        return cls(source.name, path, source, um, contrast)

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.source.height, self.source.width

    def picture(self, like: Tone, base: int) -> Picture | None:
        """Return the field as density, kept at the shrink `base` and its multiples; None if it is blank."""
        contrast = like.contrast if self.contrast == "auto" else self.contrast
        if (contrast, base) not in self._pictures:
            tone = measure_tone(self.source, contrast)
            picture = Picture(self.source, tone) if tone else None
            if picture is not None:
                picture.level(base)
            self._pictures[contrast, base] = picture
        return self._pictures[contrast, base]


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
    best: FieldPlacement | None = None
    for ratio in _ratios(field, overview, prior):
        check()
        found = _place_at(field, overview, settings, prior, ratio, check)
        if best is None or found.score > best.score:
            best = found
        if best.status == "placed":
            break
    assert best is not None
    return best


def refine_from(
    field: Field, overview: Overview, matrix_yx: Matrix, settings: Search | None = None
) -> FieldPlacement:
    """Refine a placement made by hand, right to about ten overview pixels."""
    settings = settings or Search()
    problem, picture = _picture(field, overview, parts(matrix_yx).scale)
    if picture is None:
        return _nowhere(field, problem)
    ladder = _ladder(field, overview, matrix_yx)
    ladder = [4 * ladder[0], 2 * ladder[0], *ladder]
    pose = _refined(picture, overview, Pose(matrix_yx, np.zeros((2, 3))), ladder, settings.transform)
    if pose is None:
        return score_at(field, overview, matrix_yx, settings)
    return replace(_result(field, overview, picture, pose, 0, ladder[-1], settings.transform), manual=True)


def score_at(
    field: Field, overview: Overview, matrix_yx: Matrix, settings: Search | None = None
) -> FieldPlacement:
    """Give a placement made by hand the score and verdict of an automatic one, and leave it there."""
    settings = settings or Search()
    problem, picture = _picture(field, overview, parts(matrix_yx).scale)
    if picture is None:
        return replace(_nowhere(field, problem), matrix_yx=matrix_yx, manual=True)
    pose = Pose(matrix_yx, np.zeros((2, 3)))
    level = _ladder(field, overview, matrix_yx)[-1]
    scored = _result(field, overview, picture, pose, 0, level, settings.transform)
    return replace(scored, matrix_yx=matrix_yx, overview=overview.name, manual=True)


def _ratios(field: Field, overview: Overview, prior: Prior) -> tuple[float, ...]:
    if prior.scale is not None:
        return (prior.scale,)
    if field.um is not None and overview.um is not None:
        return (field.um / overview.um,)
    return USUAL_RATIOS


def _place_at(
    field: Field, overview: Overview, settings: Search, prior: Prior, ratio: float, check: Callable[[], None]
) -> FieldPlacement:
    """Place a field whose pixel is `ratio` overview pixels, up to the scale error."""
    problem, picture = _picture(field, overview, ratio)
    if picture is None:
        return _nowhere(field, problem)
    best = _nowhere(field, judge(Evidence(0, 0, 0, 0, float("inf")))[1])
    for mirrored in (False, True) if prior.mirrored is None else (prior.mirrored,):
        check()
        first = _guess(picture, overview, settings, prior, ratio, mirrored)
        if first is None:
            continue
        pose, inliers = first
        ladder = _ladder(field, overview, pose.matrix)
        refined = _refined(picture, overview, pose, ladder, settings.transform)
        if refined is None:
            continue
        found = _result(field, overview, picture, refined, inliers, ladder[-1], settings.transform)
        if found.score > best.score:
            best = found
        if best.status == "placed":
            break
    return best


def _guess(
    picture: Picture, overview: Overview, settings: Search, prior: Prior, ratio: float, mirrored: bool
) -> tuple[Pose, int] | None:
    """Guess a placement from features."""
    if not features.available():
        return None
    factor = picture.factor_near(overview.base / ratio)
    density = picture.level(factor)
    flip = np.eye(3)
    if mirrored:
        density = density[:, ::-1]
        flip[1, 1], flip[1, 2] = -1, density.shape[1] * factor - 1
    own = features.detect(density, factor, _FIELD_FEATURES)
    guessed = features.guess(
        own,
        overview.features,
        tolerance=2.5 * overview.base,
        scales=(ratio * (1 - settings.max_scale_error) * 0.98, ratio * (1 + settings.max_scale_error) * 1.02),
        rotations_deg=(prior.rotation_deg or 0.0, settings.max_rotation_deg),
    )
    if guessed is None:
        return None
    return Pose(guessed[0] @ flip, np.zeros((2, 3))), guessed[1]


def _picture(field: Field, overview: Overview, ratio: float) -> tuple[str, Picture | None]:
    """Return the field's picture with its finest level in place, or what is wrong with field or overview."""
    if overview.picture is None:
        return f"The overview {overview.name} is blank: choose another.", None
    if min(field.shape_yx) * ratio < _SMALLEST_PX / 4 or min(field.shape_yx) < _SMALLEST_PX:
        h, w = field.shape_yx
        return f"The field is too small ({h} × {w} pixels) to be recognised: take a larger one.", None
    finest = _finest(field, ratio)
    picture = field.picture(overview.picture.tone, max(1, round(finest / ratio)))
    if picture is None:
        return "The field is blank (all pixels are equal or not numbers): take it again.", None
    return "", picture


def _finest(field: Field, ratio: float) -> int:
    h, w = field.shape_yx
    return max(1, ceil(sqrt(h * w * ratio**2 / _FINEST_PX)))


def _ladder(field: Field, overview: Overview, matrix: Matrix) -> list[int]:
    """Levels of the refinement, coarse to fine, each at most three times the next."""
    finest = _finest(field, parts(matrix).scale)
    levels = [finest]
    while levels[0] < max(overview.base, 2 * finest):
        levels.insert(0, levels[0] * (3 if levels[0] * 3 == overview.base else 2))
    return levels


def _refined(
    picture: Picture, overview: Overview, pose: Pose, ladder: list[int], transform: Transform
) -> Pose | None:
    """Walk down the levels; the richer transform is fitted at the finest only."""
    assert overview.picture is not None
    for level in ladder:
        last = level == ladder[-1]
        pair = pair_at(picture, overview.picture, pose.matrix, level, order=3 if last else 1)
        better = refine(pair, pose, picture.shape_yx, transform if last else "similarity") if pair else None
        if better is None:
            return None
        pose = better
    return pose


def _result(
    field: Field,
    overview: Overview,
    picture: Picture,
    pose: Pose,
    inliers: int,
    level: int,
    transform: Transform,
) -> FieldPlacement:
    """Examine a pose and put the verdict into words."""
    assert overview.picture is not None
    pair = pair_at(picture, overview.picture, pose.matrix, level, order=3)
    comparison = compare(pair, pose, field.shape_yx) if pair else None
    if pair is None or comparison is None:
        return _nowhere(field, "The field lies outside the overview, or all but a small part of it does.")
    evidence = examine(comparison, pair, pose, field.shape_yx, transform, inliers)
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
