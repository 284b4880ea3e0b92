"""Resolution by Fourier ring correlation (Nieuwenhuizen et al., Nature Methods 10, 557 (2013))."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey

from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render import Canvas, histogram

Floats = NDArray[np.float64]

THRESHOLD = 1 / 7
# A larger field is not transformed as a whole: its fullest window of this size stands for it.
LARGEST_PX = 4096
TAPER = 0.25
BLOCKS = 50
SMOOTHING = 0.02
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
    window = np.outer(tukey(canvas.height, TAPER), tukey(canvas.width, TAPER)).astype(np.float32)
    images = (histogram(table.select(half), canvas) for half in (first, ~first))
    a, b = (fft.rfft2((image - image.mean()) * window) for image in images)
    frequency, correlation = _rings(a, b, canvas)
    smoothed = uniform_filter1d(correlation, max(3, round(SMOOTHING * len(correlation))), mode="nearest")
    crossing = _crossing(frequency, smoothed)
    return RingCorrelation(frequency, correlation, smoothed, 1 / crossing, canvas.pixel_nm)


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


def _rings(a: NDArray[Any], b: NDArray[Any], canvas: Canvas) -> tuple[Floats, Floats]:
    row = fft.fftfreq(canvas.height) / canvas.pixel_nm
    column = fft.rfftfreq(canvas.width) / canvas.pixel_nm
    # Half the plane is stored: all columns but the first and, of an even width, the last stand for two.
    weight = np.full(len(column), 2.0)
    weight[0] = 1
    if canvas.width % 2 == 0:
        weight[-1] = 1
    step = 1 / (canvas.pixel_nm * max(canvas.height, canvas.width))
    ring = np.rint(np.hypot(row[:, None], column) / step).astype(np.int64).ravel()
    last = int(0.5 / canvas.pixel_nm / step)

    def total(values: NDArray[Any]) -> Floats:
        sums: Floats = np.bincount(ring, (values * weight).ravel()).astype(np.float64)[1 : last + 1]
        return sums

    powers = total(np.abs(a) ** 2) * total(np.abs(b) ** 2)
    correlation: Floats = total((a * b.conj()).real) / np.sqrt(np.maximum(powers, np.finfo(float).tiny))
    return np.arange(1.0, len(correlation) + 1) * step, correlation


def _crossing(frequency: Floats, smoothed: Floats) -> float:
    below = np.flatnonzero(smoothed < THRESHOLD)
    if not len(below) or below[0] == 0:
        return float("nan")
    k = below[0]
    share = (smoothed[k - 1] - THRESHOLD) / (smoothed[k - 1] - smoothed[k])
    return float(frequency[k - 1] + share * (frequency[k] - frequency[k - 1]))


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
