"""The placement that serves the whole field where the field bends, as between two devices.

Least squares over the pixels serve best where there is most texture. That is right where only noise is left;
where the tissue lies bent, the rest of the field pays for it.
"""

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.compare import Pair, Pose, compare
from napari_microsr.registration.refine import Transform, linearised, moved, shift_basis
from napari_microsr.registration.verdict import blocks

_BLOCKS = 8, 10
_LEAST_BLOCKS = 20
_SEEN = 0.3
# Texture that a block must have, of the mean: where there is little, differing light looks like a shift.
_TELLING = 0.3
# Pixels of a band-passed picture whose noise is one number.
_CORRELATED_PX = 12.0
# Squares of the shifts over those that their errors explain: up to 6 without a bend, 20 and more with it.
_BENT = 10.0
_HALVINGS = 30


def evened(pair: Pair, pose: Pose, transform: Transform) -> Pose:
    """Fit a placement to the shifts of blocks, each as uncertain as its texture and the bend make it.

    Blocks have their own true shifts, which scatter about the placement: a random-effects model. The scatter
    is what the blocks' own errors leave unexplained (Paule and Mandel, J. Res. Natl. Bur. Stand. 87 (1982)
    377), in blocks with texture. Where that is little, as between pictures of one device, the pose is
    returned as it is.

    Parameters
    ----------
    pair : Pair
        Field and overview at the finest level.
    pose : Pose
        Refined there.
    transform : str
        What may change.
    """
    comparison = compare(pair, pose)
    if comparison is None:
        return pose
    slopes, misfit = linearised(comparison, pair, "similarity")
    middle, half = (np.array(comparison.mask.shape) - 1) / 2, max(comparison.mask.shape) / 2
    shifts, errors, bases, textures = [], [], [], []
    for block in blocks(comparison.mask.shape, _BLOCKS):
        if comparison.mask[block].mean() < _SEEN:
            continue
        rows = slopes[(slice(0, 2), *block)].reshape(2, -1).astype(np.float64)
        left = misfit[block].ravel().astype(np.float64)
        normal = rows @ rows.T
        inverse = np.linalg.inv(normal + np.eye(2) * (1e-3 * np.trace(normal) + 1e-9))
        shift = inverse @ rows @ left
        shifts.append(shift)
        textures.append(np.trace(normal))
        errors.append(inverse * (_CORRELATED_PX * float(np.mean((left - shift @ rows) ** 2)) + 1e-9))
        v, u = (np.array([(part.start + part.stop - 1) / 2 for part in block]) - middle) / half
        bases.append(shift_basis(v, u, transform))
    telling = np.array(textures) > _TELLING * np.mean(textures or 0)
    if np.count_nonzero(telling) < _LEAST_BLOCKS:
        return pose
    model = np.array(shifts), np.array(errors), np.array(bases)
    scatter = _scatter(*(values[telling] for values in model))
    return pose if scatter is None else moved(pose, _fit(*model, scatter)[0], pair, transform)


def _scatter(
    shifts: NDArray[np.float64], errors: NDArray[np.float64], bases: NDArray[np.float64]
) -> float | None:
    """Return the variance of the shifts (n, 2) beyond their errors (n, 2, 2); None where that is little."""
    free = shifts.size - bases.shape[2]
    if _fit(shifts, errors, bases, 0.0)[1] < _BENT * free:
        return None
    low, high = 0.0, float((shifts**2).sum())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _fit(shifts, errors, bases, middle)[1] > free else (low, middle)
    return high


def _fit(
    shifts: NDArray[np.float64], errors: NDArray[np.float64], bases: NDArray[np.float64], scatter: float
) -> tuple[NDArray[np.float64], float]:
    """Return the step that fits the shifts by weighted least squares, and the weighted squares it leaves."""
    weights = np.linalg.inv(errors + scatter * np.eye(2))
    normal = np.einsum("bij,bik,bkl->jl", bases, weights, bases)
    step = np.linalg.solve(normal, np.einsum("bij,bik,bk->j", bases, weights, shifts))
    rest = shifts - bases @ step
    return step, float(np.einsum("bi,bij,bj->", rest, weights, rest))
