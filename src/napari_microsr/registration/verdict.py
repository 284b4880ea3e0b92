"""The verdict on a refined placement: do the parts of the field agree with the whole, and how well."""

from dataclasses import dataclass
from itertools import pairwise
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_microsr.registration.bend import bend
from napari_microsr.registration.compare import Comparison, Pair, Pose, weighed
from napari_microsr.registration.geometry import parts
from napari_microsr.registration.placement import Status
from napari_microsr.registration.refine import Transform, linearised, shift_basis

#: Correlation, weighed by the overlap, from which a field is placed, and is worth a person's look.
PLACED_SCORE, UNCERTAIN_SCORE = 0.65, 0.5
#: The same for its significance: the best of a million wrong places reaches 5 by chance.
PLACED_SIGNIFICANCE, UNCERTAIN_SIGNIFICANCE = 6.5, 5.0
PLACED_AGREEMENT, PLACED_INLIERS = 0.5, 12
NOWHERE = "No place on the overview looks like this field: it may be of another slide or region."
_BLOCKS = 5, 6
_BLOCK_SCORE = 0.3
_BLOCK_SHIFT_PX = 1.5
# Blocks of coarse template pixels overstate the error: by 2^0.6 at four overview pixels, none at one, in the
# median of the calibration fields of benchmarks/registration.py.
_COARSE = 0.3


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for a placement.

    Attributes
    ----------
    score : float
        Correlation of the band-passed pictures.
    agreement : float
        Share of the field, by its texture, in blocks that look alike where the whole field puts them.
    inliers : int
        Features that agree.
    significance : float
        The correlation over the deviation that pictures of such texture have by chance.
    overlap : float
        Share of the field that lies on the overview.
    error_px : float
        Expected distance from the true place, mean over the field, in overview pixels.
    """

    score: float
    agreement: float
    inliers: int
    significance: float
    overlap: float
    error_px: float


def examine(
    comparison: Comparison,
    pair: Pair,
    pose: Pose,
    transform: Transform,
    inliers: int,
) -> Evidence:
    """Compare block by block.

    The expected error is that of the least-squares fit, whose noise is what the blocks pull in different
    directions: quasi-likelihood with one dispersion (Wedderburn, Biometrika 61 (1974) 439), which few blocks
    tell better than a whole covariance. To it comes how far the field bends away from what was fitted.
    """
    slopes, misfit = linearised(comparison, pair, transform)
    pulls, normals, centres, alike, power = [], [], [], [], []
    middle = (np.array(comparison.mask.shape) - 1) / 2
    for block in blocks(comparison.mask.shape, _BLOCKS):
        if comparison.mask[block].mean() < 0.3:
            continue
        rows = slopes[(slice(None), *block)].reshape(len(slopes), -1).astype(np.float64)
        pulls.append(rows @ misfit[block].ravel())
        normals.append(rows @ rows.T)
        centres.append([(part.start + part.stop - 1) / 2 for part in block])
        f, o = comparison.field[block], comparison.overview[block]
        strength = float((f * f).sum()), float((o * o).sum())
        alike.append(float((f * o).sum()) / max((strength[0] * strength[1]) ** 0.5, 1e-9))
        power.append(min(strength))
    if len(pulls) < 2:
        return Evidence(comparison.score, 0.0, inliers, 0.0, comparison.overlap, float("inf"))
    moved = np.array([_shift(n, p) for n, p in zip(normals, pulls, strict=True)])
    agrees = (np.array(alike) > _BLOCK_SCORE) & (moved < _BLOCK_SHIFT_PX)
    level_px = parts(pose.matrix).scale * pair.shrink
    places = (np.array(centres) - middle) / (max(comparison.mask.shape) / 2)
    error = level_px * hypot(
        _expected(np.array(normals), np.array(pulls), pair.field_yx, transform)
        / max(1.0, level_px) ** _COARSE,
        bend(np.array(normals), np.array(pulls), places, transform),
    )
    share = np.array(power) / sum(power)
    return Evidence(
        comparison.score,
        min(1.0, float(agrees @ share)),
        inliers,
        significance(comparison),
        comparison.overlap,
        error,
    )


def significance(comparison: Comparison) -> float:
    """Return the correlation over its standard deviation between unrelated pictures of the same spectra.

    The deviation squared is ``sum(F O) / (sum(F) sum(O))`` of the power spectra F and O (Bartlett, J. R.
    Stat. Soc. 98 (1935) 536, in two dimensions): pictures of few large blobs correlate by chance.
    """
    size = [fft.next_fast_len(n, real=True) for n in comparison.mask.shape]
    own, other = (np.abs(fft.rfft2(image, size)) ** 2 for image in (comparison.field, comparison.overview))
    chance = float((own * other).sum(dtype=np.float64)) / (
        float(own.sum(dtype=np.float64)) * float(other.sum(dtype=np.float64))
    )
    return comparison.score / sqrt(chance / 2)  # the sums are over half of the plane


def judge(evidence: Evidence) -> tuple[Status, str]:
    """Return the verdict on a placement, and its reason."""
    supported = evidence.agreement >= PLACED_AGREEMENT or evidence.inliers >= PLACED_INLIERS
    score = weighed(evidence.score, evidence.overlap)
    if score >= PLACED_SCORE and evidence.significance >= PLACED_SIGNIFICANCE and supported:
        return "placed", ""
    if score >= PLACED_SCORE and evidence.significance >= UNCERTAIN_SIGNIFICANCE:
        return "uncertain", (
            "There is too little texture in the field to tell places apart: look whether it is right, then"
            " correct or confirm it."
        )
    if score >= UNCERTAIN_SCORE and evidence.significance >= UNCERTAIN_SIGNIFICANCE and supported:
        return "uncertain", (
            f"The match is weak (correlation {evidence.score:.2f}): look whether it is right, then correct or"
            " confirm it."
        )
    return "not_found", NOWHERE


def blocks(shape: tuple[int, int], counts: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Cut an image into so many rows and columns of blocks, fewer where they would be less than 8 pixels."""
    rows, columns = (
        np.linspace(0, size, min(count, max(1, size // 8)) + 1).astype(int)
        for size, count in zip(shape, counts, strict=True)
    )
    return [
        (slice(int(a), int(b)), slice(int(c), int(d)))
        for a, b in pairwise(rows)
        for c, d in pairwise(columns)
    ]


def _shift(normal: NDArray[np.float64], pull: NDArray[np.float64]) -> float:
    """Length of the shift that a block alone would make, from the two parameters of translation."""
    own = normal[:2, :2] + np.eye(2) * (1e-6 * np.trace(normal[:2, :2]) + 1e-9)
    return float(np.hypot(*np.linalg.solve(own, pull[:2])))


def _expected(
    normals: NDArray[np.float64],
    pulls: NDArray[np.float64],
    field_yx: tuple[int, int],
    transform: Transform,
) -> float:
    """Root mean square over the field of the fit's standard error, in template pixels."""
    normal = normals.sum(axis=0)
    inverse = np.linalg.inv(normal + np.eye(len(normal)) * (1e-6 * np.trace(normal) / len(normal) + 1e-9))
    dispersion = np.trace(inverse @ pulls.T @ pulls) / len(normal)
    dispersion *= len(pulls) / max(1, len(pulls) - len(normal) / 2)
    v, u = np.array(field_yx) / max(field_yx)
    grid = [
        shift_basis(a * v, b * u, transform) for a in np.linspace(-1, 1, 5) for b in np.linspace(-1, 1, 5)
    ]
    return float(np.sqrt(dispersion * np.mean([np.trace(basis @ inverse @ basis.T) for basis in grid])))
