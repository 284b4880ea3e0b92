"""Point-spread functions integrated over pixels, and the frames that emitters expect with them."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.special import erf, j0

Psf = Literal["gaussian", "airy"]
Floats = NDArray[np.floating[Any]]

#: A PSF is cut off at this many standard deviations; an Airy pattern, which has wide rings, at RINGS_SIGMA.
CUT_SIGMA = 5.0
RINGS_SIGMA = 12.0
#: Standard deviation of a Gaussian as wide at half its height as the Airy pattern [lambda / (2 pi NA)].
AIRY_SIGMA_V = 2 * 1.61634 / 2.35482
# Pixels drawn at once, in all patches together, if the stack has no more.
CHUNK_PX = 2**20
TABLE_STEP = 0.05


def expected_photons(
    frame: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    photons: ArrayLike,
    sigma_px: ArrayLike,
    *,
    n_frames: int,
    shape_yx: tuple[int, int],
    psf: Psf = "gaussian",
    defocus: float = 0.0,
) -> NDArray[np.float32]:
    """Return the photons that emitters bring to each pixel on average, without background.

    Parameters
    ----------
    frame, x, y, photons, sigma_px : array-like, shape (n,)
        The emitters as in `Localizations`; they may lie outside the field.
    n_frames, shape_yx : int, tuple of int
        Size of the stack.
    psf : str
        A Gaussian, or the pattern of a circular aperture of the same width at half height.
    defocus : float
        Phase at the rim of the aperture [rad], for `airy`: 2 pi z (n - sqrt(n^2 - NA^2)) / lambda, nearly.

    Returns
    -------
    numpy.ndarray of float32, shape (n_frames, H, W)
        Pixel i holds the integral from i - 0.5 to i + 0.5.
    """
    height, width = shape_yx
    emitters = np.stack(
        [np.atleast_1d(np.asarray(v, np.float64)) for v in (frame, x, y, photons, sigma_px)], axis=1
    )
    emitters = emitters[np.argsort(-emitters[:, 4], kind="stable")]
    stack = np.zeros(n_frames * height * width)
    cut = CUT_SIGMA if psf == "gaussian" else RINGS_SIGMA
    start = 0
    while start < len(emitters):
        reach = int(np.ceil(cut * emitters[start, 4]))  # of the widest that is left
        chunk = max(1, max(CHUNK_PX, stack.size) // (2 * reach + 1) ** 2)
        t, cx, cy, n, sigma = emitters[start : start + chunk].T
        start += chunk
        rows, columns = (
            np.rint(c)[:, None].astype(np.int64) + np.arange(-reach, reach + 1) for c in (cy, cx)
        )
        edge_y = _edges(rows, cy, sigma)
        edge_x = _edges(columns, cx, sigma)
        if psf == "gaussian":
            share = _gaussian(edge_y)[:, :, None] * _gaussian(edge_x)[:, None, :]
        else:
            share = _airy(edge_y, edge_x, defocus)
        share *= n[:, None, None].astype(np.float32)
        share *= ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
            :, None, :
        ]
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        rows += t.astype(np.int64)[:, None] * height
        place = rows[:, :, None] * width + columns[:, None, :]
        stack += np.bincount(place.ravel(), share.ravel(), minlength=stack.size)
    return stack.reshape(n_frames, height, width).astype(np.float32)


def _edges(pixels: NDArray[np.int64], centre: Floats, sigma: Floats) -> NDArray[np.float32]:
    """Edges of pixels, seen from the emitter, in standard deviations: (n, pixels + 1)."""
    first = pixels[:, :1] - 0.5 - centre[:, None]
    edges = (first + np.arange(pixels.shape[1] + 1)) / sigma[:, None]
    return edges.astype(np.float32)


def _gaussian(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    share: NDArray[np.float32] = np.diff(erf(edges / np.float32(np.sqrt(2))), axis=1) / 2
    return share


def _airy(edge_y: NDArray[np.float32], edge_x: NDArray[np.float32], defocus: float) -> NDArray[np.float32]:
    shape = (len(edge_y), edge_y.shape[1], edge_x.shape[1])
    where = np.stack([np.broadcast_to(edge_y[:, :, None], shape), np.broadcast_to(edge_x[:, None, :], shape)])
    integral = map_coordinates(
        _airy_integral(defocus), (where + RINGS_SIGMA) / TABLE_STEP, order=1, mode="nearest"
    )
    share: NDArray[np.float32] = np.diff(np.diff(integral, axis=1), axis=2).astype(np.float32)
    return share


@lru_cache(maxsize=8)
def _airy_integral(defocus: float) -> NDArray[np.float64]:
    """Integral of the pattern from the lower left corner, on a grid in standard deviations.

    The amplitude is the Hankel transform of the aperture, whose defocus is a phase quadratic in its radius
    (Born and Wolf, Principles of Optics, 8.8). Of its square the integral over the plane is pi.
    """
    half = round(RINGS_SIGMA / TABLE_STEP)
    centres = (np.arange(-half, half) + 0.5) * TABLE_STEP
    radius = np.hypot(centres[:, None], centres)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    rho, weights = (nodes + 1) / 2, weights / 2
    v = np.arange(0, radius.max() + 2 * TABLE_STEP, TABLE_STEP / 4)
    phase = np.exp(1j * defocus * rho**2)
    amplitude = (j0(AIRY_SIGMA_V * v[:, None] * rho) * phase * rho) @ weights
    density = np.abs(amplitude) ** 2 / np.pi * AIRY_SIGMA_V**2
    cells = np.interp(radius, v, density) * TABLE_STEP**2
    return np.pad(cells.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
