"""The transform through pairs of points that a person has set."""

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix, apply

Points = NDArray[np.float64]

# The linear part is a sum of these, so that its fit is a linear problem.
_TURNED = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]]])
_MIRRORED = _TURNED @ np.diag([1.0, -1.0])
_AFFINE = np.eye(4).reshape(4, 2, 2)


def fit_points(field: Points, overview: Points, *, affine: bool = False) -> tuple[Matrix, Points]:
    """Fit the placement that carries points of a field to points of the overview (least squares).

    Parameters
    ----------
    field, overview : array of shape (n, 2)
        The same n places as (y, x) in pixels of either image.
    affine : bool
        Fit shear, too; that takes three pairs instead of two.

    Returns
    -------
    matrix : array of shape (3, 3)
        Field pixel to overview pixel. A similarity is mirrored where that fits three or more pairs better.
    residuals : array of shape (n,)
        How far each point of the overview lies from its partner, in overview pixels.

    Raises
    ------
    InputError
        If there are too few pairs, points without a partner, or they do not span the transform.
    """
    if len(field) != len(overview):
        raise InputError(
            f"The field has {len(field)} landmarks and the overview {len(overview)}.",
            "Give each landmark its partner, in the same order.",
        )
    needed = 3 if affine else 2
    if len(field) < needed:
        raise InputError(
            f"There are {len(field)} pairs of landmarks.",
            f"Set at least {needed}, far apart from each other.",
        )
    # Counted from their middle, points far from the origin lose no digits.
    start, end = field.mean(0), overview.mean(0)
    target = (overview - end).ravel()
    fits = []
    for basis in [_AFFINE] if affine else [_TURNED, _MIRRORED][: 1 + (len(field) > 2)]:
        known = np.stack([((field - start) @ part.T).ravel() for part in basis], -1)
        solution, _, rank, _ = np.linalg.lstsq(known, target, rcond=1e-9)
        linear = np.tensordot(solution, basis, 1)
        if rank == len(basis) and abs(np.linalg.det(linear)) > 0:
            fits.append((float(np.square(known @ solution - target).sum()), linear))
    if not fits:
        raise InputError("The landmarks lie in one place or on one line.", "Set them far apart.")
    linear = min(fits, key=lambda fit: fit[0])[1]
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, end - linear @ start
    return matrix, np.hypot(*(apply(matrix, field) - overview).T)
