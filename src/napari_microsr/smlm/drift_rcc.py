"""Drift by redundant cross-correlation (Wang et al., Optics Express 22, 15982 (2014))."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.smlm.segments import Floats, Segments

MOST_CELLS = 1024
SMALLEST_CELL_NM = 15.0
#: Half the side of the window around a peak that its centre is taken from [cells].
PEAK = 3
#: Pairs that disagree by more than this with all others together are left out.
OUTLIER_NM = 30.0
#: Share of the pairs beyond the least number that must agree.
AGREEING = 0.2


def redundant_correlation(segments: Segments, progress: Progress) -> Floats:
    """Return the shift (y, x) of each segment [nm], shape (n, 2), relative to the first.

    Every two segments are correlated; the shifts that agree best with all pairs are a least-squares problem.
    """
    spectra, cell_nm = _spectra(segments)
    pairs = [(i, j) for i in range(len(spectra)) for j in range(i + 1, len(spectra))]
    measured = np.zeros((len(pairs), 2))
    for number, (i, j) in enumerate(pairs):
        correlation = fft.irfft2(spectra[j] * spectra[i].conj())
        measured[number] = _peak(correlation) * cell_nm
        progress.advance("drift", number + 1, len(pairs))
    return _solve(np.array(pairs), measured, len(spectra))


def _spectra(segments: Segments) -> tuple[list[NDArray[np.complexfloating]], float]:
    """Spectra of the segments' histograms, padded to twice their size, and the size of a cell."""
    low = np.min([p.min(0) for p in segments.position_nm], axis=0)
    high = np.max([p.max(0) for p in segments.position_nm], axis=0)
    cell_nm = max(SMALLEST_CELL_NM, float((high - low).max()) / MOST_CELLS)
    shape = tuple(int(n) + 1 for n in (high - low) / cell_nm)
    padded = [fft.next_fast_len(2 * n, real=True) for n in shape]
    spectra = []
    for position in segments.position_nm:
        row, column = ((position - low) / cell_nm).astype(np.int64).T
        image = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
        spectra.append(fft.rfft2((image - image.mean()).astype(np.float32), padded))
    return spectra, cell_nm


def _peak(correlation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the place of the highest value, as a shift (y, x): the centre of mass around it."""
    row, column = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    steps = np.arange(-PEAK, PEAK + 1)
    part = correlation[np.ix_((row + steps) % correlation.shape[0], (column + steps) % correlation.shape[1])]
    part = part - part.min()
    moved = np.array([part.sum(1) @ steps, part.sum(0) @ steps]) / max(float(part.sum()), 1e-12)
    size = np.array(correlation.shape)
    place: NDArray[np.float64] = (np.array([row, column]) + moved + size / 2) % size - size / 2
    return place


def _solve(pairs: NDArray[np.int64], measured: Floats, count: int) -> Floats:
    """Return the shifts that most pairs agree on, from those pairs alone.

    Weights of an absolute error first, which a few wrong pairs cannot lead astray however wrong they are,
    then Cauchy's, which let them go.
    """
    matrix = np.zeros((len(pairs), count))
    rows = np.arange(len(pairs))
    matrix[rows, pairs[:, 0]], matrix[rows, pairs[:, 1]] = -1, 1
    shifts, weight = np.zeros((count, 2)), np.ones(len(pairs))
    for step in range(40):
        root = np.sqrt(weight)[:, None]
        shifts[1:] = np.linalg.lstsq(root * matrix[:, 1:], root * measured, rcond=None)[0]
        off = np.hypot(*(matrix @ shifts - measured).T) / OUTLIER_NM
        weight = 1 / np.maximum(off, 1) if step < 20 else 1 / (1 + off**2)
    agree = off <= 1
    # So many pairs can always be fitted, also those of noise: of the others enough must agree as well.
    free = count - 1
    redundant = agree.sum() - free
    if np.linalg.matrix_rank(matrix[agree, 1:]) < free or redundant < AGREEING * (len(pairs) - free):
        raise InputError(
            f"The images of {count} segments do not show one drift: only {agree.sum()} of {len(pairs)} pairs"
            f" agree within {OUTLIER_NM:.0f} nm.",
            "Give longer segments, which hold more localisations, or use the method aim.",
        )
    shifts[1:] = np.linalg.lstsq(matrix[agree, 1:], measured[agree], rcond=None)[0]
    return shifts
