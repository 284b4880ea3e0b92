"""Maximum likelihood for spots that overlap: each is fitted together with its nearest neighbours."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import erf

Array = NDArray[np.float64]

#: Neighbours farther than this many PSF sigmas do not pull at a spot.
REACH_SIGMAS = 4.0
#: Half the side of the fitted window, in PSF sigmas and in pixels beyond.
WINDOW_SIGMAS, WINDOW_PX = 2.5, 1.0
#: Longest step of a position (pixels) and of a width (natural logarithm).
LONGEST_STEP_PX, LONGEST_STEP_WIDTH = 0.4, 0.15
#: Parameters of a window's own spot.
OWN = 5
#: Windows whose derivatives are computed at once: a megabyte, which stays in the processor's cache.
TOGETHER = 128
_LEAST = 1e-2


@dataclass(frozen=True)
class Spots:
    """Spots of one frame in photons whose variance is their mean; arrays of shape (n,).

    Attributes
    ----------
    x, y : numpy.ndarray
        Position [px].
    photons, sigma_px, background : numpy.ndarray
        Light, PSF width [px] and photons per pixel below it.
    x_err, y_err, photons_err : numpy.ndarray or None
        Square roots of the Cramér–Rao bounds of the joint fit.
    """

    x: Array
    y: Array
    photons: Array
    sigma_px: Array
    background: Array
    x_err: Array | None = None
    y_err: Array | None = None
    photons_err: Array | None = None


@dataclass(frozen=True)
class FitSettings:
    """How spots are fitted.

    Attributes
    ----------
    steps : int
        Of Fisher scoring.
    neighbours : int
        Nearest spots that are fitted together with each.
    width_sd : float
        How far (standard deviation of the logarithm) widths may lie from where they start.
    background_sd : float
        The same of backgrounds.
    """

    steps: int = 4
    neighbours: int = 3
    width_sd: float = 0.12
    background_sd: float = 0.15


def refine(frame: Array, read_variance: Array, spots: Spots, settings: FitSettings) -> Spots:
    """Climb the joint Poisson likelihood of all spots of a frame and return them with their bounds.

    Fisher scoring on integrated Gaussians (Smith et al., Nature Methods 7, 373 (2010)). Each spot is solved
    together with its nearest neighbours in a window of its own, and only its own part of the step is taken
    (restricted additive Schwarz); all spots take their steps at once. Read noise is added to both sides as
    variance (Huang et al., Nature Methods 10, 653 (2013)).

    Parameters
    ----------
    frame : numpy.ndarray, shape (H, W)
        Photons, divided by the camera's excess noise factor.
    read_variance : numpy.ndarray
        Broadcasts with `frame`.
    spots : Spots
        Where to start.
    settings : FitSettings
        Steps and priors.
    """
    if not len(spots.x):
        nothing = np.zeros(0)
        return replace(spots, x_err=nothing, y_err=nothing, photons_err=nothing)
    read = np.broadcast_to(np.asarray(read_variance, np.float64), frame.shape)
    problem = _Problem(frame, read, spots, settings)
    start = spots
    for _ in range(settings.steps):
        information, slope = problem.likelihood(spots, start)
        step = np.linalg.solve(information, slope[..., None])[..., 0]
        spots = _moved(spots, step, frame.shape)
    information, _ = problem.likelihood(spots, start)
    bound = np.sqrt(np.linalg.inv(information)[:, [0, 1, 2], [0, 1, 2]])
    return replace(spots, x_err=bound[:, 0], y_err=bound[:, 1], photons_err=bound[:, 2])


class _Problem:
    """What stays the same from step to step: windows, their pixels and who is whose neighbour.

    The parameters of a window are, in this order: x, y, photons, log sigma and log background of its own
    spot, then x, y, photons of each neighbour.
    """

    def __init__(self, frame: Array, read: Array, spots: Spots, settings: FitSettings) -> None:
        self.settings, self.shape = settings, frame.shape
        widest = float(np.median(spots.sigma_px))
        self.near = _neighbours(spots, settings.neighbours, REACH_SIGMAS * widest)
        half = int(np.ceil(WINDOW_SIGMAS * widest + WINDOW_PX))
        steps = np.arange(-half, half + 1)
        self.rows = np.rint(spots.y).astype(int)[:, None] + steps
        self.columns = np.rint(spots.x).astype(int)[:, None] + steps
        height, width = frame.shape
        inside_y = (self.rows >= 0) & (self.rows < height)
        inside_x = (self.columns >= 0) & (self.columns < width)
        self.inside = (inside_y[:, :, None] & inside_x[:, None, :]).reshape(len(spots.x), -1)
        at = self.rows.clip(0, height - 1)[:, :, None] * width + self.columns.clip(0, width - 1)[:, None, :]
        self.at = at.reshape(len(spots.x), -1)
        self.read = read.ravel()[self.at]
        self.counts = np.maximum(frame.ravel()[self.at] + self.read, 0.0)

    def likelihood(self, spots: Spots, start: Spots) -> tuple[Array, Array]:
        """Return Fisher information (n, P, P) and slope (n, P) of the log posterior in each window."""
        n, parameters = len(spots.x), OWN + 3 * self.near.shape[1]
        model = np.maximum(self._light(spots) + self.read + spots.background[:, None], _LEAST)
        information, slope = np.empty((n, parameters, parameters)), np.empty((n, parameters))
        for first in range(0, n, TOGETHER):
            part = slice(first, first + TOGETHER)
            jacobian = self._jacobian(spots, part)
            weighted = jacobian * (self.inside[part] / model[part])[:, None]
            information[part] = weighted @ jacobian.swapaxes(1, 2)
            slope[part] = (weighted @ (self.counts[part] - model[part])[..., None])[..., 0]
        return self._with_priors(information, slope, spots, start)

    def _jacobian(self, spots: Spots, part: slice) -> Array:
        """Return the derivatives (windows, P, pixels) of the light in some windows by their parameters."""
        rows, columns, near = self.rows[part], self.columns[part], self.near[part]
        jacobian = np.empty((len(rows), OWN + 3 * near.shape[1], rows.shape[1], columns.shape[1]))
        photons, sigma = spots.photons[part, None], spots.sigma_px[part]
        share_x, slope_x, width_x = _profile(columns, spots.x[part], sigma)
        share_y, slope_y, width_y = _profile(rows, spots.y[part], sigma)
        _outer(photons * share_y, slope_x, jacobian[:, 0])
        _outer(photons * slope_y, share_x, jacobian[:, 1])
        _outer(share_y, share_x, jacobian[:, 2])
        _outer(photons * width_y, share_x, jacobian[:, 3])
        jacobian[:, 3] += np.einsum("ni,nj->nij", photons * share_y, width_x)
        jacobian[:, 4] = spots.background[part, None, None]
        for first, who in zip(range(OWN, jacobian.shape[1], 3), near.T, strict=True):
            there = who < len(spots.x)
            who = np.where(there, who, 0)
            photons = (there * spots.photons[who])[:, None]
            share_x, slope_x, _ = _profile(columns, spots.x[who], spots.sigma_px[who])
            share_y, slope_y, _ = _profile(rows, spots.y[who], spots.sigma_px[who])
            _outer(photons * share_y, slope_x, jacobian[:, first])
            _outer(photons * slope_y, share_x, jacobian[:, first + 1])
            _outer(there[:, None] * share_y, share_x, jacobian[:, first + 2])
        return jacobian.reshape(*jacobian.shape[:2], -1)

    def _with_priors(
        self, information: Array, slope: Array, spots: Spots, start: Spots
    ) -> tuple[Array, Array]:
        for index, now, then, sd in (
            (3, spots.sigma_px, start.sigma_px, self.settings.width_sd),
            (4, spots.background, start.background, self.settings.background_sd),
        ):
            information[:, index, index] += sd**-2
            slope[:, index] -= np.log(now / then) / sd**2
        # No neighbour, no light, no step; and two spots in one place must not be singular.
        diagonal = np.arange(information.shape[1])
        information[:, diagonal, diagonal] *= 1 + 1e-6
        information[:, diagonal, diagonal] += 1e-9
        return information, slope

    def _light(self, spots: Spots) -> Array:
        """Return the light of all spots together in the pixels of each window."""
        share_x, share_y = (
            _profile(pixels, centre, spots.sigma_px)[0]
            for pixels, centre in ((self.columns, spots.x), (self.rows, spots.y))
        )
        own = np.einsum("ni,nj->nij", spots.photons[:, None] * share_y, share_x).reshape(self.at.shape)
        size = self.shape[0] * self.shape[1]
        whole = np.bincount(self.at.ravel(), (own * self.inside).ravel(), size)
        windows: Array = whole[self.at]
        return windows


def _profile(pixel: NDArray[Any], centre: Array, sigma: Array) -> tuple[Array, Array, Array]:
    """Return a Gaussian's integral over pixels (n, k) and its derivatives by the centre and by log(sigma)."""
    # Where a pixel ends the next one begins.
    edge = np.append(pixel, pixel[:, -1:] + 1, axis=1) - 0.5
    edge = (edge - centre[:, None]) / sigma[:, None]
    below = erf(edge / np.sqrt(2)) / 2
    bell = np.exp(-0.5 * edge**2) / np.sqrt(2 * np.pi)
    moment = edge * bell
    return np.diff(below), -np.diff(bell) / sigma[:, None], -np.diff(moment)


def _outer(vertical: Array, horizontal: Array, out: Array) -> None:
    """Write the product of each row and column (n, k, k) of windows to `out`."""
    np.einsum("ni,nj->nij", vertical, horizontal, out=out)


def _neighbours(spots: Spots, number: int, reach: float) -> NDArray[np.int64]:
    """Return the nearest spots of each (n, number), n for none."""
    n = len(spots.x)
    if number == 0:
        return np.zeros((n, 0), np.int64)
    places = np.column_stack([spots.x, spots.y])
    ranks = list(range(1, number + 2))
    found: NDArray[np.int64] = cKDTree(places).query(places, ranks, distance_upper_bound=reach)[1]
    # Of spots in one place either may come first: take out oneself wherever it stands.
    myself = found == np.arange(n)[:, None]
    myself[~myself.any(1), -1] = True
    others: NDArray[np.int64] = found[~myself].reshape(n, number)
    return others


def _moved(spots: Spots, step: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> Spots:
    height, width = shape
    shift = step[:, :2] / np.maximum(1, np.hypot(step[:, 0], step[:, 1]) / LONGEST_STEP_PX)[:, None]
    wider = np.clip(step[:, 3], -LONGEST_STEP_WIDTH, LONGEST_STEP_WIDTH)
    lighter = np.clip(step[:, 4], -0.5, 0.5)
    return replace(
        spots,
        x=np.clip(spots.x + shift[:, 0], -0.5, width - 0.5),
        y=np.clip(spots.y + shift[:, 1], -0.5, height - 0.5),
        photons=np.clip(spots.photons + step[:, 2], spots.photons / 2, spots.photons * 2),
        sigma_px=spots.sigma_px * np.exp(wider),
        background=spots.background * np.exp(lighter),
    )
