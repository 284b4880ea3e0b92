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
        n = len(spots.x)
        own = self._light(spots, np.arange(n)[:, None])
        others = self._light(spots, self.near)
        model = self._whole_light(own[:, 0, 2] * spots.photons[:, None]) + self.read
        model = np.maximum(model + spots.background[:, None], _LEAST)
        light = spots.photons[:, None, None]
        columns = [own[:, 0, :2] * light, own[:, 0, 2:3], own[:, 0, 3:4] * light]
        columns.append(np.broadcast_to(spots.background[:, None, None], (n, 1, model.shape[1])))
        brightness = np.append(spots.photons, 0.0)[self.near]
        others[:, :, :2] *= brightness[:, :, None, None]
        columns.append(others[:, :, :3].reshape(n, 3 * self.near.shape[1], model.shape[1]))
        jacobian = np.concatenate(columns, 1)
        weighted = jacobian * (self.inside / model)[:, None]
        information = weighted @ jacobian.swapaxes(1, 2)
        slope = (weighted @ (self.counts - model)[..., None])[..., 0]
        return self._with_priors(information, slope, spots, start)

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

    def _light(self, spots: Spots, which: NDArray[Any]) -> Array:
        """Return for each window and spot in `which` (n, k) d/dx, d/dy, light and d/dlog(sigma) per photon.

        The shape is (n, k, 4, pixels); a number beyond the last spot stands for none.
        """
        x, y = (np.append(value, 0.0)[which] for value in (spots.x, spots.y))
        sigma = np.append(spots.sigma_px, 1.0)[which]
        from_x, slope_x, width_x = _profile(self.columns[:, None], x[..., None], sigma[..., None])
        from_y, slope_y, width_y = _profile(self.rows[:, None], y[..., None], sigma[..., None])

        def plane(vertical: Array, horizontal: Array) -> Array:
            product: Array = vertical[..., :, None] * horizontal[..., None, :]
            return product.reshape(*product.shape[:2], self.at.shape[1])

        width = plane(width_y, from_x) + plane(from_y, width_x)
        light = np.stack([plane(from_y, slope_x), plane(slope_y, from_x), plane(from_y, from_x), width], 2)
        light[which == len(spots.x)] = 0.0
        return light

    def _whole_light(self, light: Array) -> Array:
        """Return the light of all spots together in the pixels of each window."""
        size = self.shape[0] * self.shape[1]
        whole = np.bincount(self.at.ravel(), (light * self.inside).ravel(), size)
        windows: Array = whole[self.at]
        return windows


def _profile(pixel: NDArray[Any], centre: Array, sigma: Array) -> tuple[Array, Array, Array]:
    """Return a Gaussian's integral over pixels and its derivatives by the centre and by log(sigma)."""
    low, high = (pixel - 0.5 - centre) / sigma, (pixel + 0.5 - centre) / sigma
    share = (erf(high / np.sqrt(2)) - erf(low / np.sqrt(2))) / 2
    bell_low, bell_high = (np.exp(-0.5 * edge**2) / np.sqrt(2 * np.pi) for edge in (low, high))
    return share, (bell_low - bell_high) / sigma, low * bell_low - high * bell_high


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
