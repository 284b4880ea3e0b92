"""The two searches that this package's registration descends from, kept as running references.

A field is reduced to the nominal ratio of pixel sizes and laid on a small overview, from the centre
outwards along a square spiral, until the colours differ by so little that they "overlap" by 90 % (brute
force). Or that is done on an overview halved a few times, and each finer level tries the 2 x 2 places below
the one found (pyramid). Both know neither rotation nor scale error, are as exact as a pixel of the small
overview, and take whatever passes the threshold: `benchmarks/registration.py` shows them beside `place`.
The idea is that of MedImageRefine-GUI's description, which published no code of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.registration.geometry import Matrix

Pixels = NDArray[np.uint8]

OVERLAP = 0.9
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class SpiralMatch:
    """Where a spiral search ended.

    Attributes
    ----------
    matrix_yx : array of shape (3, 3)
        Field pixel (y, x, 1) to overview pixel, centres at integers.
    overlap : float
        1 - mean absolute difference of the colours / 255.
    accepted : bool
        Whether the overlap reached the threshold.
    tried : int
        Number of places where the colours were compared, on all levels.
    difference : array of shape (height, width, 3), uint8
        Absolute difference of the reduced field and the overview below it.
    """

    matrix_yx: Matrix
    overlap: float
    accepted: bool
    tried: int
    difference: Pixels


def locate(
    field: Pixels,
    overview: Pixels,
    ratio: float,
    *,
    side_px: int = 512,
    levels: int = 1,
    threshold: float = OVERLAP,
    stop: bool = True,
) -> SpiralMatch:
    """Find a field on an overview by its colours.

    Parameters
    ----------
    field, overview : array of shape (height, width, 3), uint8
        RGB images.
    ratio : float
        Nominal pixel size of the field over that of the overview.
    side_px : int
        Longer side of the overview while it is searched.
    levels : int
        1 searches by brute force; more halve both images ``levels - 1`` times first.
    threshold : float
        Overlap that counts as found.
    stop : bool
        Whether the first place that reaches the threshold ends the search; the best of all places otherwise.

    Raises
    ------
    InputError
        The field has no pixel left on the smallest level, or is larger than the overview.
    """
    small = _fit(overview, min(1.0, side_px / max(overview.shape[:2])))
    step = overview.shape[1] / small.shape[1]
    tile = _fit(field, ratio / step)
    if min(tile.shape[:2]) < 2 ** (levels - 1) or any(
        t > s for t, s in zip(tile.shape, small.shape, strict=True)
    ):
        raise InputError(
            f"A field of {tile.shape[1]} x {tile.shape[0]} px at the overview's size cannot be searched for "
            f"on {small.shape[1]} x {small.shape[0]} px in {levels} levels.",
            "Check the ratio of pixel sizes, or search a larger overview in fewer levels.",
        )
    pyramid = [(small, tile)]
    for _ in range(levels - 1):
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    places = spiral(*(_last_place(*pyramid[-1]) + 1))
    (y, x), overlap, tried = _best(*pyramid[-1], places, threshold if stop else np.inf)
    for level in reversed(pyramid[:-1]):
        # An odd row or column that halving lost can put a place over the edge.
        below = np.minimum(2 * np.array([y, x]) + [[0, 0], [0, 1], [1, 0], [1, 1]], _last_place(*level))
        (y, x), overlap, count = _best(*level, np.unique(below, axis=0), np.inf)
        tried += count
    h, w = tile.shape[:2]
    difference = np.abs(small[y : y + h, x : x + w].astype(np.int16) - tile).astype(np.uint8)
    matrix = _matrix(field.shape, tile.shape, overview.shape, small.shape, (y, x))
    return SpiralMatch(matrix, overlap, overlap >= threshold, tried, difference)


def spiral(rows: int, cols: int) -> NDArray[np.int64]:
    """Return every place of a grid, (rows * cols, 2), from the centre outwards, ring by ring."""
    y, x = (n.ravel() for n in np.mgrid[:rows, :cols])
    dy, dx = y - (rows - 1) // 2, x - (cols - 1) // 2
    order = np.lexsort((np.arctan2(dy, dx), np.maximum(np.abs(dy), np.abs(dx))))
    return np.stack([y[order], x[order]], axis=1)


def _last_place(overview: Pixels, tile: Pixels) -> NDArray[np.int64]:
    return np.array(overview.shape[:2]) - tile.shape[:2]


def _best(
    overview: Pixels, tile: Pixels, places: NDArray[np.int64], enough: float
) -> tuple[tuple[int, int], float, int]:
    """Compare colours place by place until they overlap enough.

    Returns
    -------
    place : tuple of int
        (y, x) of the first place that overlaps enough, of the best one where none does.
    overlap : float
        There.
    tried : int
        Places compared.
    """
    h, w = tile.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(overview, (h, w), axis=(0, 1))
    wanted = tile.transpose(2, 0, 1).astype(np.int16)
    overlaps = np.empty(0)
    # A few hundred places at once: numpy's calls would cost more than the sums.
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        apart = np.abs(windows[some[:, 0], some[:, 1]].astype(np.int16) - wanted)
        overlaps = np.append(overlaps, 1 - apart.mean(axis=(1, 2, 3)) / 255)
        reached = np.flatnonzero(overlaps[first:] >= enough)
        if reached.size:
            overlaps = overlaps[: first + int(reached[0]) + 1]
            break
    at = len(overlaps) - 1 if overlaps[-1] >= enough else int(overlaps.argmax())
    return (int(places[at, 0]), int(places[at, 1])), float(overlaps[at]), len(overlaps)


def _fit(image: Pixels, factor: float) -> Pixels:
    from PIL import Image

    h, w = (max(1, round(n * factor)) for n in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BOX))


def _halve(image: Pixels) -> Pixels:
    h, w = (n // 2 for n in image.shape[:2])
    blocks = image[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1)
    return np.asarray(np.rint(blocks.mean((1, 3))), dtype=np.uint8)


def _matrix(
    field: tuple[int, ...],
    tile: tuple[int, ...],
    overview: tuple[int, ...],
    small: tuple[int, ...],
    place: tuple[int, int],
) -> Matrix:
    """Field pixel to overview pixel through both resized images, whose edges stay edges."""
    matrix = np.eye(3)
    for axis in (0, 1):
        stretch = small[axis] / overview[axis]
        matrix[axis, axis] = tile[axis] / field[axis] / stretch
        matrix[axis, 2] = 0.5 * matrix[axis, axis] + place[axis] / stretch - 0.5
    return matrix
