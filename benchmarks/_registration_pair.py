"""The truth between two scanners: one region of a slide, seen by both, related by a smooth field."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

#: Name and pixel size in µm of the two scans.
SOFT, CRISP = ("OS-2-ndpi.ome.tif", 0.2271), ("OS-2-vsi.ome.tif", 0.34605)
_BLOCK_PX = 160
_STEP_PX = 80
_DEGREE = 5
_ROUNDS = 3

Points = NDArray[np.float64]


def read_pair(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read both scans, RGB."""
    soft, crisp = (tifffile.imread(folder / name, key=0) for name, _ in (SOFT, CRISP))
    return soft, crisp


def relate(soft: np.ndarray, crisp: np.ndarray) -> tuple[Callable[[Points], Points], float]:
    """Measure the field between the scans, independently of what is to be judged by it.

    Blocks of optical density are matched by phase correlation, a polynomial of third degree is fitted to
    their shifts, and the scan is resampled through it before the next round.

    Returns
    -------
    to_crisp : callable
        Carries points (n, 2), (y, x) in pixels of the soft scan, to pixels of the crisp one.
    residual_px : float
        Root mean square of what the polynomial leaves, in pixels of the crisp scan.
    """
    moving, fixed = _density(soft), _density(crisp)
    ratio = SOFT[1] / CRISP[1]
    moving = ndimage.gaussian_filter(moving, 0.5 / ratio)
    centres = np.stack(
        [
            n.ravel()
            for n in np.meshgrid(
                *(np.arange(_BLOCK_PX / 2, size - _BLOCK_PX / 2, _STEP_PX) for size in fixed.shape),
                indexing="ij",
            )
        ],
        axis=1,
    )
    # From the crisp scan to the soft one: that is what resampling needs.
    back = _fit(centres, centres / ratio)
    grid = np.stack(np.mgrid[: fixed.shape[0], : fixed.shape[1]], -1).astype(float).reshape(-1, 2)
    for _ in range(_ROUNDS):
        resampled = ndimage.map_coordinates(moving, back(grid).T, order=1).reshape(fixed.shape)
        shifts = np.array([_shift(fixed, resampled, *np.rint(centre).astype(int)) for centre in centres])
        good = np.hypot(*(shifts - np.median(shifts, axis=0)).T) < 4
        measured = back(centres[good] - shifts[good])
        back = _fit(centres[good], measured)
        left = np.linalg.norm(back(centres[good]) - measured, axis=1)
        keep = left < 3 * np.median(left)
        back = _fit(centres[good][keep], measured[keep])
    residual = float(np.sqrt((left[keep] ** 2).mean())) * ratio
    forth = _fit(back(grid[::97]), grid[::97])
    return forth, residual


def _shift(fixed: np.ndarray, moving: np.ndarray, y: int, x: int) -> np.ndarray:
    cut = np.s_[y - _BLOCK_PX // 2 : y + _BLOCK_PX // 2, x - _BLOCK_PX // 2 : x + _BLOCK_PX // 2]
    window = np.outer(*(2 * [np.hanning(_BLOCK_PX)]))
    one, other = ((part[cut] - part[cut].mean()) * window for part in (fixed, moving))
    shift, _, _ = phase_cross_correlation(one, other, upsample_factor=50, normalization=None)
    return shift


def _density(image: np.ndarray) -> np.ndarray:
    density = -np.log((image.astype(np.float64) + 8) / 263).mean(-1)
    return ndimage.gaussian_filter(density, 0.8) - ndimage.gaussian_filter(density, 16)


def _fit(points: Points, values: Points) -> Callable[[Points], Points]:
    middle, spread = points.mean(0), np.ptp(points, axis=0).max() / 2

    def terms(where: Points) -> Points:
        y, x = ((where - middle) / spread).T
        return np.stack([y**i * x**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], -1)

    weights, *_ = np.linalg.lstsq(terms(points), values, rcond=None)
    return lambda where: terms(where) @ weights
