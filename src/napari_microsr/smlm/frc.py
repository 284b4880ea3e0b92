"""Resolution by Fourier ring correlation (Nieuwenhuizen et al., Nature Methods 10, 557 (2013))."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.frc import THRESHOLD, Rings, correlation, crossing, smooth
from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render import Canvas, histogram

Floats = NDArray[np.float64]

# A larger field is not transformed as a whole: its fullest window of this size stands for it.
LARGEST_PX = 4096
BLOCKS = 50
FEWEST = 100


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """A Fourier ring correlation.

    Attributes
    ----------
    frequency_nm : numpy.ndarray
        Of each ring [1/nm].
    correlation, smoothed : numpy.ndarray
        Of each ring.
    resolution_nm : float
        1 / the frequency at which the smoothed curve first falls below 1/7; NaN if it does not.
    pixel_nm : float
        Of the images that were compared; the resolution cannot be below twice that.
    """

    frequency_nm: Floats
    correlation: Floats
    smoothed: Floats
    resolution_nm: float
    pixel_nm: float


def fourier_ring_correlation(table: Localizations, pixel_nm: float = 5.0, seed: int = 0) -> RingCorrelation:
    """Compare the images of two halves of a table, cut into random blocks of time.

    Parameters
    ----------
    table : Localizations
        Merge repeated events first: molecules seen in both halves look like resolution.
    pixel_nm : float
        Of the images.
    seed : int
        Of the choice of blocks.

    Returns
    -------
    RingCorrelation

    Raises
    ------
    InputError
        If there are less than 100 localisations or a single frame.
    JobError
        If the pixel size is not positive.
    """
    if len(table) < FEWEST or table.n_frames < 2:
        raise InputError(
            f"{len(table)} localisations in {table.n_frames} frames have no two halves to compare.",
            f"Give at least {FEWEST} localisations in several frames.",
        )
    canvas = fullest_window(table, pixel_nm)
    first = _half(table, seed)
    rings = Rings(canvas.height, canvas.width)
    a, b = (rings.transform(histogram(table.select(half), canvas)) for half in (first, ~first))
    curve = correlation(rings.shared(a, b), rings.power(a), rings.power(b))
    frequency, smoothed = rings.frequency / canvas.pixel_nm, smooth(curve)
    resolution_nm = 1 / crossing(frequency, smoothed)
    return RingCorrelation(frequency, curve, smoothed, resolution_nm, canvas.pixel_nm)


def fullest_window(table: Localizations, pixel_nm: float) -> Canvas:
    """Return the whole field, or its square window of 4096 px that holds the most localisations."""
    whole = Canvas.over(table, pixel_nm)
    height, width = min(whole.height, LARGEST_PX), min(whole.width, LARGEST_PX)
    if (height, width) == (whole.height, whole.width):
        return whole
    step = LARGEST_PX // 4
    counts = histogram(table, Canvas.over(table, pixel_nm * step))
    sums = np.pad(counts.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = (-(-size // step) for size in (height, width))
    held = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = np.unravel_index(int(np.argmax(held)), held.shape)
    return Canvas(pixel_nm, height, width, int(top) * step, int(left) * step)


def _half(table: Localizations, seed: int) -> NDArray[np.bool_]:
    """Choose half the blocks of time at random, and say which rows lie in them."""
    blocks = min(BLOCKS, table.n_frames)
    chosen = np.arange(blocks) % 2 == 0
    np.random.default_rng(seed).shuffle(chosen)
    half: NDArray[np.bool_] = chosen[table.frame.astype(np.int64) * blocks // table.n_frames]
    if half.all() or not half.any():
        raise InputError(
            "All localisations lie in a few neighbouring frames, which have no two halves to compare.",
            "Give a table of a whole measurement.",
        )
    return half


def check_resolution(result: RingCorrelation) -> float:
    """Return the resolution.

    Raises
    ------
    JobError
        If the curve does not cross 1/7.
    """
    if np.isnan(result.resolution_nm):
        side = "below" if result.smoothed[0] < THRESHOLD else "above"
        raise JobError(
            f"The ring correlation is {side} 1/7 everywhere: it shows no resolution.",
            "Choose smaller pixels." if side == "above" else "Give more localisations of the same structure.",
        )
    return result.resolution_nm
