"""Search of all angles and scales by coarse correlation: slower than features, and content with less.

Correlation by Fourier transform of the band-passed pictures. The overview's energy below the field is that
of a disk of the same area, the same for every angle; it only ranks candidates, which refinement judges.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from math import ceil, degrees, hypot, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_microsr.registration.bands import Array, blurred
from napari_microsr.registration.geometry import Matrix, enlarging, similarity
from napari_microsr.registration.picture import Picture

_WORKERS = 2
_CHUNK_PX = 1_000_000
_CORNER_STEP_PX = 2.0
_SAME_ANGLE_DEG = 15
_HIGH_PX = 5.0
_OPTICS_PX = 1.9
_LEAST_ENERGY = 0.15
# Shorter side of the field at the search level, and pixels of the overview there.
_SHORT_PX, _FINE_SHORT_PX, _OVERVIEW_PX = 20, 28, 60_000


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
    keep : int
        Most candidates returned, best first, no two alike.
    check : callable
        Called between batches; raises to stop.
    """
    middle = sqrt(scales[0] * scales[1])
    factor = field.factor_near(level / middle)
    pitch = middle * factor / level
    template = _band(field.level(factor), _OPTICS_PX / level / pitch, _HIGH_PX / pitch)
    ground = _band(overview.level(level), 0.0, _HIGH_PX)
    radius = hypot(*template.shape) / 2 * pitch * scales[1] / middle
    poses = _poses(scales, rotations_deg, radius)
    patch = 2 * ceil(radius) + 3
    size = [fft.next_fast_len(n + patch, real=True) for n in ground.shape]
    # Shifted by half a patch, so that a match is found where the patch's centre lies.
    spectrum = fft.rfft2(np.pad(ground, ((patch // 2, 0), (patch // 2, 0))), size)
    strength = _energy(ground, sqrt(template.size * pitch**2 / pi))

    def best(some: list[tuple[float, float]]) -> list[tuple[float, int, int]]:
        check()
        pitches, angles = [s * factor / level for s, _ in some], [a for _, a in some]
        patches = _turned(template, pitches, angles, mirrored, patch)
        spectra = fft.fft(fft.rfft(patches, size[1], axis=2), size[0], axis=1)
        matched = fft.irfft2(spectrum * spectra.conj(), size)
        return [_peak(image[: ground.shape[0], : ground.shape[1]] * strength) for image in matched]

    chunk = max(1, _CHUNK_PX // (size[0] * size[1]))
    with ThreadPoolExecutor(_WORKERS) as pool:
        peaks = pool.map(best, [poses[k : k + chunk] for k in range(0, len(poses), chunk)])
        found = [(*peak, *pose) for peak, pose in zip(chain.from_iterable(peaks), poses, strict=True)]
    centre = ((field.shape_yx[0] - 1) / 2, (field.shape_yx[1] - 1) / 2)
    candidates = []
    for score, y, x, scale, angle in _distinct(found, patch / 6, keep):
        onto = enlarging(level) @ (y, x, 1.0)
        matrix = similarity(scale, angle, centre=centre, onto=(onto[0], onto[1]), mirrored=mirrored)
        candidates.append(Candidate(matrix, score))
    return candidates


def _peak(image: Array) -> tuple[float, int, int]:
    y, x = np.unravel_index(int(image.argmax()), image.shape)
    return float(image[y, x]), int(y), int(x)


def _poses(
    scales: tuple[float, float], rotations_deg: tuple[float, float], radius: float
) -> list[tuple[float, float]]:
    """All (scale, angle), so close that the corner moves little between them."""
    step = _CORNER_STEP_PX / radius
    count = ceil((scales[1] / scales[0] - 1) / step) + 1
    some = np.geomspace(scales[0], scales[1], count) if count > 1 else [sqrt(scales[0] * scales[1])]
    centre, half = rotations_deg
    turns = 2 * ceil(half / degrees(step)) + 1
    angles = centre + np.linspace(-half, half, turns, endpoint=half < 180)
    return [(float(s), float(a)) for s in some for a in angles]


def _turned(
    template: Array, pitches: list[float], angles_deg: list[float], mirrored: bool, patch: int
) -> NDArray[np.float32]:
    """Draw the template at all scales and angles into patches; each has mean 0 in it and norm 1."""
    centre = (np.array(template.shape) - 1) / 2
    grid = np.mgrid[:patch, :patch] - patch // 2
    places = np.empty((2, len(pitches), patch, patch))
    for k, (pitch, angle) in enumerate(zip(pitches, angles_deg, strict=True)):
        forward = similarity(pitch, angle, centre=(0, 0), onto=(0, 0), mirrored=mirrored)[:2, :2]
        places[:, k] = np.einsum("ij,jhw->ihw", np.linalg.inv(forward), grid) + centre[:, None, None]
    h, w = template.shape
    inside = (places[0] >= 0) & (places[0] <= h - 1) & (places[1] >= 0) & (places[1] <= w - 1)
    drawn = ndimage.map_coordinates(template, places, order=1, output=np.float32, mode="nearest") * inside
    axes = (1, 2)
    drawn -= inside * (drawn.sum(axes, keepdims=True) / np.maximum(inside.sum(axes, keepdims=True), 1))
    drawn /= np.maximum(np.sqrt((drawn * drawn).sum(axes, keepdims=True)), 1e-9)
    return np.asarray(drawn, np.float32)


def _energy(ground: Array, radius: float) -> Array:
    """One over the norm of the picture in a disk around each pixel."""
    r = ceil(radius)
    disk = np.hypot(*np.mgrid[-r : r + 1, -r : r + 1]) <= radius
    size = [fft.next_fast_len(n + 2 * r + 1, real=True) for n in ground.shape]
    product = fft.rfft2(ground * ground, size) * fft.rfft2(disk.astype(np.float32), size)
    h, w = ground.shape
    local = fft.irfft2(product, size)[r : r + h, r : r + w]
    floor = _LEAST_ENERGY * max(float(np.percentile(local, 95)), 1e-9)
    return np.asarray(1 / np.sqrt(np.maximum(local, floor)), np.float32)


def _band(density: Array, low: float, high: float) -> Array:
    known = np.isfinite(density)
    weight = None if known.all() else known.astype(np.float32)
    filled = np.where(known, density, np.float32(0))
    band = blurred(filled, low, weight) - blurred(filled, high, weight)
    return band if weight is None else band * weight


def _distinct(
    found: list[tuple[float, int, int, float, float]], apart_px: float, keep: int
) -> list[tuple[float, int, int, float, float]]:
    """Return the best (score, y, x, scale, angle), without those that lie where a better one does."""
    chosen: list[tuple[float, int, int, float, float]] = []
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
