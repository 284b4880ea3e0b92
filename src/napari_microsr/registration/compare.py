"""Field and overview in one frame, at one level: what refinement works on and the verdict looks at.

Both pictures are band-passed in the field's frame under one mask, so that borders and the rest of the
overview outside the field weigh on neither.
"""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from math import atanh, ceil, hypot, sqrt, tanh

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_microsr.registration.bands import Array, blurred
from napari_microsr.registration.geometry import Matrix, apply, corners, enlarging, parts
from napari_microsr.registration.picture import Picture

# Widths of the band-pass in level pixels: its lower end by level, its upper end the optics of the overview.
_HIGH = {1: 16.0, 2: 10.0, 3: 8.0, 4: 7.0}
_COARSE_HIGH = 5.0
_LOW_PX = 0.7
_MIN_SHARE, _LEAST_PX = 0.12, 64
_MARGIN_PX = 6


@dataclass(frozen=True)
class Optics:
    """How the pictures differ beside their place.

    Attributes
    ----------
    blur_px : float
        Width (sigma) in overview pixels of the Gaussian that makes the field as soft as the overview; if
        negative, minus the width of that which makes the overview as soft as a field out of focus.
    gamma : float
        Contrast of the field's density over that of the overview's.
    """

    blur_px: float
    gamma: float


# A 4x objective of aperture 0.1 on a 10-megapixel camera: 0.21 wavelength / aperture at 0.6 µm per pixel.
USUAL_OPTICS = Optics(1.9, 1.0)


@dataclass(frozen=True, eq=False)
class Pose:
    """A placement under refinement.

    Attributes
    ----------
    matrix : array (3, 3)
        Field to overview pixel.
    quadratic : array (2, 3)
        As in `FieldPlacement.quadratic_yx`; zeros where it is not fitted.
    score : float
        Correlation of the band-passed pictures where they overlap.
    overlap : float
        Share of the field that lies on known overview.
    optics : Optics
        Measured at the last level but one.
    """

    matrix: Matrix
    quadratic: NDArray[np.float64] = dataclass_field(default_factory=lambda: np.zeros((2, 3)))
    score: float = 0.0
    overlap: float = 0.0
    optics: Optics = USUAL_OPTICS


@dataclass(frozen=True, eq=False)
class Pair:
    """Field and overview at one level, ready to be compared.

    Attributes
    ----------
    template, known : float32, (h, w)
        The shrunk field with 0 where it is NaN, and 1 where it is known.
    template_band : float32, (h, w)
        The template band-passed as a whole.
    window : float32, (H, W)
        The part of the shrunk overview around the field, as cubic spline coefficients where `order` is 3.
    window_known : float32 or None
        Where the overview is known; None where everywhere.
    to_field, to_window : array (3, 3)
        From template pixel to field pixel, and from overview pixel to window pixel.
    shrink : int
        Field pixels per template pixel.
    widths : tuple of float
        Lower and upper width (sigma) of the band-pass in template pixels.
    order : int
        Of the interpolation.
    field_yx : tuple of int
        Height and width of the whole field.
    """

    template: Array
    known: Array
    template_band: Array
    window: Array
    window_known: Array | None
    to_field: Matrix
    to_window: Matrix
    shrink: int
    widths: tuple[float, float]
    order: int
    field_yx: tuple[int, int]
    rim_px: int


def pair_at(
    field: Picture, overview: Picture, matrix: Matrix, level: int, optics: Optics, order: int = 1
) -> Pair | None:
    """Cut out what of the overview lies below the field; None where that is nothing.

    Parameters
    ----------
    field, overview : Picture
        What to compare.
    matrix : array (3, 3)
        Field to overview pixel, right to within a few level pixels.
    level : int
        Shrink of the overview; the field is shrunk to about the same pixel.
    optics : Optics
        How the two cameras differ.
    order : int
        Interpolation: 1 linear, 3 cubic.
    """
    scale = parts(matrix).scale
    factor = field.factor_near(level / scale)
    if min(field.level_shape(factor)) < 4:
        return None
    template = field.level(factor)
    box = (apply(matrix, corners(field.shape_yx)) + 0.5) / level
    limits = np.array(overview.level_shape(level))
    low = np.clip(np.floor(box.min(axis=0)).astype(int) - _MARGIN_PX, 0, limits)
    high = np.clip(np.ceil(box.max(axis=0)).astype(int) + _MARGIN_PX, 0, limits)
    if np.any(high - low < 4):
        return None
    window = overview.region(level, (int(low[0]), int(high[0])), (int(low[1]), int(high[1])))
    known, window_known = np.isfinite(template), np.isfinite(window)
    shift = np.eye(3)
    shift[:2, 2] = -low
    window = np.where(window_known, window, np.float32(0))
    pitch = scale * factor / level
    widths = _LOW_PX / pitch, _HIGH.get(level, _COARSE_HIGH) / pitch
    template = np.where(known, template, np.float32(0))
    if optics.blur_px > 0:
        template = field.tone.soften(template, optics.blur_px / level / pitch, optics.gamma)
    else:
        window = overview.tone.soften(window, -optics.blur_px / level, 1.0)
    return Pair(
        template=template,
        known=known.astype(np.float32),
        template_band=_band(template, widths, None),
        window=ndimage.spline_filter(window, order, output=np.float32, mode="mirror")
        if order > 1
        else window,
        window_known=None if window_known.all() else window_known.astype(np.float32),
        to_field=enlarging(factor),
        to_window=shift @ np.linalg.inv(enlarging(level)),
        shrink=factor,
        widths=widths,
        order=order,
        field_yx=field.shape_yx,
        rim_px=ceil(2 * hypot(optics.blur_px / level / pitch, widths[0])),
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Band-passed field and overview in the field's frame, normalised under their common mask.

    Attributes
    ----------
    field, overview : float32, (h, w)
        Mean 0 and mean square 1 over the mask, 0 outside.
    mask : float32, (h, w)
        1 where both are known.
    score : float
        Their correlation.
    overlap : float
        Share of the field on known overview.
    gamma : float
        Contrast of the field over that of the overview.
    """

    field: Array
    overview: Array
    mask: Array
    score: float
    overlap: float
    gamma: float


def unit_coordinates(pair: Pair) -> tuple[Array, Array]:
    """Rows and columns of template pixels from the field's centre, in halves of its longer side."""
    (h, w), half = pair.template.shape, max(pair.field_yx) / 2
    step, first = pair.shrink / half, (pair.shrink - 1) / 2
    v = np.arange(h) * step + (first - (pair.field_yx[0] - 1) / 2) / half
    u = np.arange(w) * step + (first - (pair.field_yx[1] - 1) / 2) / half
    return v.astype(np.float32)[:, None], u.astype(np.float32)[None, :]


def compare(pair: Pair, pose: Pose) -> Comparison | None:
    """Lay the overview under the field as `pose` says; None where too little of it lies there."""
    h, w = pair.template.shape
    total = pair.to_window @ pose.matrix @ pair.to_field
    rows, columns = np.arange(h)[:, None], np.arange(w)[None, :]
    places = np.stack([total[k, 0] * rows + total[k, 1] * columns + total[k, 2] for k in range(2)])
    if pose.quadratic.any():
        v, u = unit_coordinates(pair)
        bend = pair.to_window[:2, :2] @ pose.quadratic
        places += np.einsum("kc,chw->khw", bend, np.stack(np.broadcast_arrays(v * v, v * u, u * u)))
    height, width = pair.window.shape
    mask = pair.known * (
        (places[0] >= 0) & (places[0] <= height - 1) & (places[1] >= 0) & (places[1] <= width - 1)
    )
    if pair.window_known is not None:
        mask = mask * (ndimage.map_coordinates(pair.window_known, places, order=1, mode="nearest") > 0.999)
    share = float(mask.mean())
    if share < _MIN_SHARE:
        return None
    under = ndimage.map_coordinates(
        pair.window, places, order=pair.order, output=np.float32, mode="mirror", prefilter=False
    )
    weight = None if share == 1 else mask
    own = pair.template_band if weight is None else _band(pair.template, pair.widths, weight)
    # Near the rim the field is blurred without what lies beyond it, the overview with it.
    mask = ndimage.minimum_filter(mask, 2 * pair.rim_px + 1, mode="constant")
    field, overview = _normalised(own, mask), _normalised(_band(under, pair.widths, weight), mask)
    if field is None or overview is None:
        return None
    score = float((field[0] * overview[0]).sum() / mask.sum())
    return Comparison(field[0], overview[0], mask, score, share, field[1] / overview[1])


def weighed(score: float, overlap: float) -> float:
    """Return a correlation that can be compared with those of other overlaps.

    Pictures with little in common correlate by chance. Fisher's transform of the correlation times the root
    of the number of pixels has the same spread for all.
    """
    return tanh(atanh(min(score, 0.9999)) * sqrt(overlap))


def _band(image: Array, widths: tuple[float, float], weight: Array | None) -> Array:
    return blurred(image, widths[0], weight) - blurred(image, widths[1], weight)


def _normalised(image: Array, mask: Array) -> tuple[Array, float] | None:
    """Mean 0 and mean square 1 over the mask, and the deviation it had; None where nothing varies."""
    count = float(mask.sum(dtype=np.float64))
    if count < _LEAST_PX:
        return None
    centred = (image - np.float32((image * mask).sum(dtype=np.float64) / count)) * mask
    deviation = sqrt(float((centred * centred).sum(dtype=np.float64)) / count)
    return None if deviation < 1e-6 else (centred * np.float32(1 / deviation), deviation)
