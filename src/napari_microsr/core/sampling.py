"""Which parts of an image stand for the whole of it."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import isqrt

import numpy as np

_BLOCK_PX = 256


def choose_blocks(
    channels: Sequence[int], height: int, width: int, max_pixels: int
) -> Iterator[tuple[int, slice, slice]]:
    """Choose blocks at equal distances over all planes, every channel with an equal share.

    Parameters
    ----------
    channels : sequence of int
        Channel of each plane.
    height, width : int
        Size of a plane.
    max_pixels : int
        Most pixels chosen in all, at least one per channel; an image of no more is chosen whole.

    Yields
    ------
    plane : int
        Number of the plane.
    y, x : slice
        The block, at most 256 pixels high and wide, at a multiple of its size.
    """
    planes: dict[int, list[int]] = {}
    for plane, channel in enumerate(channels):
        planes.setdefault(channel, []).append(plane)
    whole = len(channels) * height * width <= max_pixels
    share = max_pixels // len(planes)
    edge = _BLOCK_PX if whole else max(1, min(_BLOCK_PX, isqrt(share)))
    grid = -(-height // edge), -(-width // edge)
    for members in planes.values():
        count = max(1, share // (min(edge, height) * min(edge, width)))
        chosen = members if whole else _spread(members, count)
        rows, cols = grid if whole else _fit(grid, count // len(chosen))
        cells = list(product(_spread(range(grid[0]), rows), _spread(range(grid[1]), cols)))
        for plane, (row, col) in product(chosen, cells):
            y = slice(row * edge, min((row + 1) * edge, height))
            x = slice(col * edge, min((col + 1) * edge, width))
            yield plane, y, x


def _spread(items: Sequence[int], count: int) -> list[int]:
    """Choose up to `count` items at equal distances, the first and the last among them."""
    if count >= len(items):
        return list(items)
    if count == 1:
        return [items[(len(items) - 1) // 2]]  # of two cells the first: the last may be a sliver
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def _fit(grid: tuple[int, int], count: int) -> tuple[int, int]:
    """Rows and columns of at most `count` cells, in the proportion of `grid`."""
    rows = min(max(1, isqrt(count * grid[0] // grid[1])), grid[0], count)
    cols = min(count // rows, grid[1])
    return min(count // cols, grid[0]), cols
