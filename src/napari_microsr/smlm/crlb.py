"""The Cramér-Rao bound: how precisely an emitter can be localised at best."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from napari_microsr.errors import InputError

Floats = NDArray[np.float64]


def closed_form(photons: ArrayLike, background: ArrayLike, sigma_px: ArrayLike) -> Floats:
    """Return the bound of x (or y) of an isolated emitter, by a formula.

    Rieger and Stallinga, ChemPhysChem 15, 664 (2014), eq. 6 after Mortensen et al., Nature Methods 7, 377
    (2010): var = s²/N (1 + 4 tau + sqrt(2 tau / (1 + 4 tau))), tau = 2 pi s² b / N, s² = sigma² + 1/12.

    Parameters
    ----------
    photons, background, sigma_px : array-like
        Photons of the emitter, photons per pixel below it, width of the PSF [px]. For an EM camera divide
        both numbers of photons by 2; for read noise add its variance to the background.

    Returns
    -------
    numpy.ndarray
        Standard deviation [px].
    """
    n, b, sigma = (np.asarray(value, np.float64) for value in (photons, background, sigma_px))
    variance = sigma**2 + 1 / 12
    tau = 2 * np.pi * variance * b / n
    bound: Floats = np.sqrt(variance / n * (1 + 4 * tau + np.sqrt(2 * tau / (1 + 4 * tau))))
    return bound


def fisher_information(
    x: ArrayLike,
    y: ArrayLike,
    photons: ArrayLike,
    sigma_px: ArrayLike,
    background: float,
    shape_yx: tuple[int, int],
    *,
    fit_sigma: bool = False,
) -> Floats:
    """Return the Fisher matrix of emitters with Gaussian PSFs that are fitted together.

    F_ij = sum over pixels of (d mu / d theta_i)(d mu / d theta_j) / mu, for Poisson noise (Smith et al.,
    Nature Methods 7, 373 (2010)).

    Parameters
    ----------
    x, y, photons, sigma_px : array-like, shape (n,)
        The emitters of one frame.
    background : float
        Photons per pixel, one unknown for all.
    shape_yx : tuple of int
        Height and width of the region that is fitted.
    fit_sigma : bool
        Whether each emitter's width is unknown too.

    Returns
    -------
    numpy.ndarray, shape (3 n + 1, 3 n + 1), or (4 n + 1, 4 n + 1) with the widths
        In the order of all x, all y, all photons, (all widths,) background.

    Raises
    ------
    InputError
        If there is no light at all in some pixel.
    """
    cx, cy, n, sigma = (np.atleast_1d(np.asarray(v, np.float64)) for v in (x, y, photons, sigma_px))
    height, width = shape_yx
    share_x, slope_x, wide_x = _profile(cx, sigma, width)
    share_y, slope_y, wide_y = _profile(cy, sigma, height)

    def image(rows: Floats, columns: Floats) -> Floats:
        return (rows[:, :, None] * columns[:, None, :]).reshape(len(n), -1)

    unit = image(share_y, share_x)
    expected = n @ unit + background
    if (expected <= 0).any():
        raise InputError("A pixel without any light bounds nothing.", "Give a background above 0.")
    derivatives = [n[:, None] * image(share_y, slope_x), n[:, None] * image(slope_y, share_x), unit]
    if fit_sigma:
        derivatives.append(n[:, None] * (image(share_y, wide_x) + image(wide_y, share_x)))
    jacobian = np.concatenate([*derivatives, np.ones((1, height * width))])
    information: Floats = (jacobian / expected) @ jacobian.T
    return information


def joint_bound(
    x: ArrayLike,
    y: ArrayLike,
    photons: ArrayLike,
    sigma_px: ArrayLike,
    background: float,
    shape_yx: tuple[int, int],
    *,
    fit_sigma: bool = False,
) -> Floats:
    """Return the bounds of emitters that are fitted together: what a dense frame allows at best.

    Parameters
    ----------
    x, y, photons, sigma_px, background, shape_yx, fit_sigma
        As for `fisher_information`.

    Returns
    -------
    numpy.ndarray, shape (n, 3) or (n, 4)
        Standard deviations of x, y [px], photons (and sigma [px]).

    Raises
    ------
    InputError
        If there is no light at all in some pixel, or two emitters coincide.
    """
    information = fisher_information(x, y, photons, sigma_px, background, shape_yx, fit_sigma=fit_sigma)
    # Scaled to a diagonal of 1: photons and positions differ by orders of magnitude.
    scale = np.sqrt(np.diag(information))
    try:
        covariance = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    except np.linalg.LinAlgError as error:
        raise InputError("Two emitters at one place have no bound.", "Leave one of them out.") from error
    each: Any = np.sqrt(np.diag(covariance)[:-1]).reshape(4 if fit_sigma else 3, -1).T
    return np.asarray(each)


def _profile(centre: Floats, sigma: Floats, size: int) -> tuple[Floats, Floats, Floats]:
    """Share of each pixel along one axis and its derivatives by centre and width, (n, size) each."""
    edges = (np.arange(size + 1) - 0.5 - centre[:, None]) / sigma[:, None]
    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi) / sigma[:, None]
    share = np.diff(erf(edges / np.sqrt(2)), axis=1) / 2
    return share, -np.diff(density, axis=1), -np.diff(density * edges, axis=1)
