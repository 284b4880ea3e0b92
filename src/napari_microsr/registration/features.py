"""Scale-invariant features: a quick first guess of where a field lies, where OpenCV is installed.

SIFT after Lowe, IJCV 60 (2004) 91, with the square-rooted descriptors of Arandjelović and Zisserman,
CVPR 2012. Points are complex numbers x + iy, so that a similarity is ``q = a p + b``.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.bands import Array
from napari_microsr.registration.geometry import Matrix

_RATIO = 0.8
_PAIRS = 1500
_SIZE_SLACK = 1.6
# Numbers of the table of likeness that are held at once.
_LIKENESS_NUMBERS = 4_000_000
_TILE_PX = 1024
_MARGIN_PX = 48


@dataclass(frozen=True, eq=False)
class Features:
    """Points of a picture with what surrounds them.

    Attributes
    ----------
    points : complex128, (n,)
        x + iy in pixels of the whole image.
    sizes : float64, (n,)
        Diameter of each feature in the same pixels.
    descriptors : float32, (n, 128)
        Unit vectors.
    """

    points: NDArray[np.complex128]
    sizes: NDArray[np.float64]
    descriptors: NDArray[np.float32]


def available() -> bool:
    """Tell whether OpenCV is installed."""
    return find_spec("cv2") is not None


def detect(density: Array, factor: int, count: int) -> Features:
    """Find the strongest features of a picture, tile by tile so that memory stays small.

    Parameters
    ----------
    density : float32, (h, w)
        The picture shrunk by `factor`; NaN where nothing is known.
    factor : int
        Shrink, to return points in pixels of the whole image.
    count : int
        Most features kept, shared among the tiles by area.
    """
    import cv2

    low, high = np.nanpercentile(density[::4, ::4], (0.5, 99.5)) if density.size >= 64 else (0.0, 1.0)
    grey = np.nan_to_num((density - low) * (255 / max(high - low, 1e-6)), nan=0.0)
    grey = np.clip(grey, 0, 255).astype(np.uint8)
    h, w = grey.shape
    found = []
    for top in range(0, h, _TILE_PX):
        for left in range(0, w, _TILE_PX):
            bottom, right = min(top + _TILE_PX, h), min(left + _TILE_PX, w)
            share = max(16, round(count * (bottom - top) * (right - left) / (h * w)))
            y0, x0 = max(top - _MARGIN_PX, 0), max(left - _MARGIN_PX, 0)
            tile = grey[y0 : bottom + _MARGIN_PX, x0 : right + _MARGIN_PX]
            sift = cv2.SIFT.create(nfeatures=2 * share, contrastThreshold=0.01, enable_precise_upscale=True)
            keys, descriptors = sift.detectAndCompute(np.ascontiguousarray(tile), None)
            rows = np.array([(k.pt[0] + x0, k.pt[1] + y0, k.size, k.response) for k in keys]).reshape(-1, 4)
            if not len(rows):
                continue
            x, y, _, response = rows.T
            inside = np.flatnonzero((x >= left) & (x < right) & (y >= top) & (y < bottom))
            best = inside[np.argsort(-response[inside], kind="stable")[:share]]
            chosen = descriptors[best]
            roots = np.sqrt(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-6))
            found.append((rows[best], roots.astype(np.float32)))
    if not found:
        return Features(np.empty(0, complex), np.empty(0), np.empty((0, 128), np.float32))
    rows = np.concatenate([r for r, _ in found])
    points = rows[:, 0] + 1j * rows[:, 1]
    points = (points + 0.5 * (1 + 1j)) * factor - 0.5 * (1 + 1j)
    return Features(points, rows[:, 2] * factor, np.concatenate([d for _, d in found]))


@dataclass(frozen=True, eq=False)
class Matches:
    """Features of a field with those that look like them.

    Attributes
    ----------
    field, overview : complex128, (n,)
        Where they are.
    grown : float64, (n,)
        Size on the overview over size in the field.
    """

    field: NDArray[np.complex128]
    overview: NDArray[np.complex128]
    grown: NDArray[np.float64]


def guess(
    matches: Matches,
    *,
    tolerance: float,
    scales: tuple[float, float],
    rotations_deg: tuple[float, float],
) -> tuple[Matrix, int] | None:
    """Find the similarity on which most matched features agree.

    Parameters
    ----------
    matches : Matches
        Of which some are right.
    tolerance : float
        Largest distance of a feature that agrees, in overview pixels.
    scales : tuple of float
        Least and largest scale, overview pixels per field pixel.
    rotations_deg : tuple of float
        Centre and half width of the allowed angles.

    Returns
    -------
    matrix : array of shape (3, 3)
        Field to overview pixel (y, x, 1).
    inliers : int
        How many features agree; at least 3, else None is returned.
    """
    p, q = _of_size(matches, scales)
    if len(p) < 3:
        return None
    i, j = np.random.default_rng(0).integers(len(p), size=(2, _PAIRS))
    apart = np.abs(p[i] - p[j]) * scales[0] > 4 * tolerance
    i, j = i[apart], j[apart]
    a = (q[i] - q[j]) / (p[i] - p[j])
    # Complex angles turn x to y, ours the other way round.
    turned = np.degrees(np.angle(a.conj() * np.exp(-1j * np.radians(rotations_deg[0]))))
    fits = (np.abs(a) >= scales[0]) & (np.abs(a) <= scales[1]) & (np.abs(turned) <= rotations_deg[1])
    if not fits.any():
        return None
    a = a[fits, None]
    b = q[i[fits], None] - a * p[i[fits], None]
    agree = np.abs(a * p + b - q) < tolerance
    chosen = agree[np.argmax(agree.sum(axis=1))]
    for _ in range(3):
        if chosen.sum() < 3:
            return None
        a1, b1 = _fit(p[chosen], q[chosen])
        chosen = np.abs(a1 * p + b1 - q) < tolerance
    matrix = np.array([[a1.real, a1.imag, b1.imag], [-a1.imag, a1.real, b1.real], [0, 0, 1]])
    return matrix, int(chosen.sum())


def match(field: Features, overview: Features) -> Matches:
    """Pair each field feature with its nearest in the overview, where that is clearly the nearest."""
    if not len(field.points) or len(overview.points) < 2:
        return Matches(np.empty(0, complex), np.empty(0, complex), np.empty(0))
    first, clear = np.empty(len(field.points), int), np.empty(len(field.points), bool)
    chunk = max(1, _LIKENESS_NUMBERS // len(overview.points))
    for start in range(0, len(first), chunk):
        part = slice(start, start + chunk)
        likeness = field.descriptors[part] @ overview.descriptors.T
        every = np.arange(len(likeness))
        first[part] = likeness.argmax(axis=1)
        best = likeness[every, first[part]]
        likeness[every, first[part]] = -1
        clear[part] = (1 - best) < _RATIO**2 * (1 - likeness.max(axis=1))
    found = first[clear]
    return Matches(field.points[clear], overview.points[found], overview.sizes[found] / field.sizes[clear])


def _of_size(
    matches: Matches, scales: tuple[float, float]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the pairs whose sizes are as the scale asks for, each overview feature once."""
    fits = (matches.grown > scales[0] / _SIZE_SLACK) & (matches.grown < scales[1] * _SIZE_SLACK)
    p, q = matches.field[fits], matches.overview[fits]
    # One overview feature that draws many field features would vote as often.
    _, once = np.unique(q, return_index=True)
    return p[once], q[once]


def _fit(p: NDArray[np.complex128], q: NDArray[np.complex128]) -> tuple[complex, complex]:
    """Fit q = a p + b by least squares."""
    p0, q0 = p.mean(), q.mean()
    a = np.vdot(p - p0, q - q0) / max(float(np.vdot(p - p0, p - p0).real), 1e-9)
    return complex(a), complex(q0 - a * p0)
