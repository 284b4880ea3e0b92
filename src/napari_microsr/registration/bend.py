"""How far a field bends away from the placement that was fitted to it, as between two devices."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.refine import Transform, shift_basis

# Twelve parameters are fitted to two numbers per block.
_BLOCKS = 10
# A bend counts if its square is so many times what noise alone would bend: one in seventy straight fields has
# one.
_BEYOND_NOISE = 5.0


def bend(
    normals: NDArray[np.float64],
    pulls: NDArray[np.float64],
    centres: NDArray[np.float64],
    transform: Transform,
) -> float:
    """Return the distance of the placement fitted from the best quadratic one, beyond what noise explains.

    The blocks' own shifts are fitted with a quadratic polynomial, weighted by what each block knows of its
    shift. What the fitted transform could have followed is not bent, so a quadratic one never is.

    Parameters
    ----------
    normals : array of shape (blocks, parameters, parameters)
        Normal matrix of each block; its first two parameters are the shift.
    pulls : array of shape (blocks, parameters)
        Right-hand side of each block.
    centres : array of shape (blocks, 2)
        (v, u) of each block, from -1 to 1 over the longer side of the field.
    transform : {"similarity", "affine", "quadratic"}
        What was fitted.

    Returns
    -------
    float
        Root mean square over the blocks, in template pixels.
    """
    count = len(centres)
    if transform == "quadratic" or count < _BLOCKS:
        return 0.0
    curves = np.array([shift_basis(v, u, "quadratic") for v, u in centres])
    followed = np.vstack([shift_basis(v, u, transform) for v, u in centres])
    weights, shifts = normals[:, :2, :2], pulls[:, :2]
    normal = np.einsum("bij,bik,bkl->jl", curves, weights, curves)
    inverse = np.linalg.inv(normal + np.eye(len(normal)) * 1e-6 * np.trace(normal))
    fitted = inverse @ np.einsum("bij,bi->j", curves, shifts)
    left = shifts - np.einsum("bij,bjk,k->bi", weights, curves, fitted)
    scatter = np.einsum("bij,bi->bj", curves, left)
    spread = inverse @ (scatter.T @ scatter) @ inverse * count / max(1, count - len(normal) / 2)
    stacked = curves.reshape(2 * count, -1)
    beyond = stacked - followed @ np.linalg.lstsq(followed, stacked, rcond=None)[0]
    square, noise = float(((beyond @ fitted) ** 2).sum()), float(np.trace(beyond @ spread @ beyond.T))
    return sqrt((square - noise) / count) if square > _BEYOND_NOISE * noise else 0.0
