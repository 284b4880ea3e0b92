"""The methods of the registration benchmark behind one form: prepare an overview, then place fields on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.place import Field, Overview, Search, place
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.simulate import View
from napari_microsr.registration.spiral import locate

#: What the tutorials of OpenCV call a match.
TEMPLATE_THRESHOLD = 0.8
SIFT_INLIERS = 10
SIFT_RATIO = 0.7

OURS, QUADRATIC = "place", "place, quadratic"
BASELINES = ("spiral", "pyramid spiral", "matchTemplate", "SIFT")


@dataclass(frozen=True)
class Method:
    """A way to place fields.

    Attributes
    ----------
    prepare : callable
        What is done once per overview; its result goes to `place`.
    place : callable
        Takes a field, its overview and what was prepared.
    """

    prepare: Callable[[View], Any]
    place: Callable[[View, View, Any], FieldPlacement]


def _source(view: View, name: str) -> ImageSource:
    return ImageSource.from_array(view.image, axes="yxc", rgb=True, name=name)


def _ours(search: Search) -> Method:
    def on(field: View, overview: View, prepared: Any) -> FieldPlacement:
        return place(Field.prepare(_source(field, "field"), field.um), prepared, search)

    return Method(lambda view: Overview.prepare(_source(view, "overview"), view.um), on)


def _spiral(levels: int) -> Method:
    def on(field: View, overview: View, _: Any) -> FieldPlacement:
        found = locate(field.image, overview.image, field.um / overview.um, levels=levels)
        return _placement(field, found.matrix_yx, found.overlap, found.accepted)

    return Method(lambda view: None, on)


def _template() -> Method:
    """`cv2.matchTemplate` at the nominal ratio, on grey values, sub-pixel by a parabola."""

    def on(field: View, overview: View, grey: np.ndarray) -> FieldPlacement:
        ratio = field.um / overview.um
        h, w = field.image.shape[:2]
        size = round(w * ratio), round(h * ratio)
        tile = cv2.resize(cv2.cvtColor(field.image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        if any(t > g for t, g in zip(tile.shape, grey.shape, strict=True)):
            return _placement(field, np.eye(3), 0.0, False)
        map_ = cv2.matchTemplate(grey, tile, cv2.TM_CCOEFF_NORMED)
        y, x = np.unravel_index(int(map_.argmax()), map_.shape)
        matrix = np.diag([size[1] / h, size[0] / w, 1.0])
        matrix[0, 2] = y + _vertex(map_[:, x], y) + matrix[0, 0] / 2 - 0.5
        matrix[1, 2] = x + _vertex(map_[y], x) + matrix[1, 1] / 2 - 0.5
        return _placement(field, matrix, float(map_.max()), bool(map_.max() >= TEMPLATE_THRESHOLD))

    return Method(lambda view: cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY), on)


def _vertex(values: np.ndarray, at: int) -> float:
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2].astype(float)
    curvature = before - 2 * here + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0


def _sift() -> Method:
    """`cv2.SIFT` as it comes, field reduced to the nominal ratio, ratio test and RANSAC similarity."""
    sift = cv2.SIFT_create()

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        keys, descriptors = sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
        return np.array([key.pt for key in keys], np.float32).reshape(-1, 2), descriptors

    def on(field: View, overview: View, there: tuple[np.ndarray, np.ndarray]) -> FieldPlacement:
        ratio = field.um / overview.um
        h, w = field.image.shape[:2]
        size = round(w * ratio), round(h * ratio)
        here, descriptors = detect(cv2.resize(field.image, size, interpolation=cv2.INTER_AREA))
        if descriptors is None or len(descriptors) < 2:
            return _placement(field, np.eye(3), 0.0, False)
        pairs = cv2.BFMatcher().knnMatch(descriptors, there[1], k=2)
        good = [first for first, second in pairs if first.distance < SIFT_RATIO * second.distance]
        if len(good) < 3:
            return _placement(field, np.eye(3), 0.0, False)
        source = here[[match.queryIdx for match in good]]
        target = there[0][[match.trainIdx for match in good]]
        affine, inside = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=3)
        if affine is None:
            return _placement(field, np.eye(3), 0.0, False)
        shrink = np.diag([size[0] / w, size[1] / h, 1.0])
        shrink[:2, 2] = np.diag(shrink)[:2] / 2 - 0.5
        matrix = np.vstack([affine, [0, 0, 1]]) @ shrink
        inliers = int(inside.sum())
        swap = [1, 0, 2]
        return _placement(field, matrix[np.ix_(swap, swap)], inliers, inliers >= SIFT_INLIERS)

    return Method(lambda view: detect(view.image), on)


def _placement(field: View, matrix: Matrix, score: float, accepted: bool) -> FieldPlacement:
    h, w = field.image.shape[:2]
    status = "placed" if accepted else "not_found"
    # The guess is kept where it is not accepted, so that its error can be told.
    return FieldPlacement("field", None, "overview", (h, w), status, score=score, matrix_yx=matrix)


def methods() -> dict[str, Method]:
    """Return the methods by name; ours first."""
    others = (_spiral(1), _spiral(4), _template(), _sift())
    return {
        OURS: _ours(Search()),
        QUADRATIC: _ours(Search(transform="quadratic")),
        **dict(zip(BASELINES, others, strict=True)),
    }
