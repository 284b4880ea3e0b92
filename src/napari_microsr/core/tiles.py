"""Exact tiling: a tile is integers, and its halo covers all that the network looks at.

Why no blending: a network with finite reach computes each output pixel from the input pixels within
`halo_px` of it. A window that holds the tile and its halo therefore gives the same pixels as the whole
image, if the window starts on the network's pooling grid. Blending would only average wrong values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import JobError

# Sides of tiles are multiples of this, so that a tile's shard divides into chunks of a useful size: 631 px, a
# prime number, would leave chunks of 1 px.
GRID_PX = 16
# Of tiles fitted to the image, none of which is so large that its shard would divide badly: the finer
# the grid, the less is computed beyond the image's edge (at 4096 px and tiles of about 384 px 2 %, not 6 %).
EVEN_GRID_PX = 8


@dataclass(frozen=True)
class Tile:
    """One tile of one plane, in input pixels; the part beyond the image's edge is not written.

    Attributes
    ----------
    index : int
        Number of the tile in its plan, in reading order.
    plane, row, col : int
        Plane of the image and place in the grid of tiles.
    y, x : int
        First pixel.
    height, width : int
        Size of the part that lies inside the image.
    """

    index: int
    plane: int
    row: int
    col: int
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class TilePlan:
    """The grid of equal tiles that covers every plane of an image.

    Attributes
    ----------
    n_planes, height, width : int
        Size of the image, input pixels.
    tile_height, tile_width : int
        Size of every tile, multiples of the network's alignment.
    halo_px : int
        Pixels that the network needs around a tile, a multiple of the alignment.
    factor : int
        Output pixels per input pixel along y and along x.
    """

    n_planes: int
    height: int
    width: int
    tile_height: int
    tile_width: int
    halo_px: int
    factor: int

    @classmethod
    def cover(
        cls,
        source: ImageSource,
        tile_px: int,
        *,
        halo_px: int,
        multiple_of: int,
        factor: int,
        even: bool = False,
    ) -> "TilePlan":
        """Plan tiles of `tile_px`, rounded up to the alignment and shrunk to an image below that.

        Where `even`, tiles are made smaller so that as many of them just cover the image: all tiles of a
        plan have one size, and what the last ones stand out over the image is computed for nothing.

        Raises
        ------
        JobError
            If `tile_px` is not positive.
        """
        if tile_px < 1:
            raise JobError(f"A tile of {tile_px} px holds no pixel.", "Set the tile to 64 px or more.")

        def align(size: int, grid: int) -> int:
            return -(-size // grid) * grid

        def side(size: int) -> int:
            if not even:
                return align(min(tile_px, size), lcm(multiple_of, GRID_PX))
            count = -(-size // tile_px)
            return align(-(-size // count), lcm(multiple_of, EVEN_GRID_PX))

        return cls(
            n_planes=source.n_planes,
            height=source.height,
            width=source.width,
            tile_height=side(source.height),
            tile_width=side(source.width),
            halo_px=align(halo_px, multiple_of),
            factor=factor,
        )

    @property
    def rows(self) -> int:
        """Number of tiles from top to bottom."""
        return -(-self.height // self.tile_height)

    @property
    def cols(self) -> int:
        """Number of tiles from left to right."""
        return -(-self.width // self.tile_width)

    def __len__(self) -> int:
        return self.n_planes * self.rows * self.cols

    def tile(self, index: int) -> Tile:
        """Return tile number `index`."""
        plane, place = divmod(index, self.rows * self.cols)
        row, col = divmod(place, self.cols)
        y, x = row * self.tile_height, col * self.tile_width
        height = min(self.tile_height, self.height - y)
        width = min(self.tile_width, self.width - x)
        return Tile(index, plane, row, col, y, x, height, width)

    def batches(self, size: int, visible: "Region | None" = None) -> list[range]:
        """Return the tiles' indices in groups of `size` within a plane, the visible region's first.

        The groups do not depend on what is done already: a resumed run computes the same batches as an
        uninterrupted one, so its floating-point results are the same to the bit.
        """
        per_plane = self.rows * self.cols
        groups = [
            range(start, min(start + size, first + per_plane))
            for first in range(0, len(self), per_plane)
            for start in range(first, first + per_plane, size)
        ]
        if visible is not None:
            groups.sort(key=lambda group: not any(visible.meets(self.tile(i)) for i in group))
        return groups


@dataclass(frozen=True)
class Region:
    """A rectangle of one plane, in input pixels: what the viewer shows."""

    plane: int
    y: slice
    x: slice

    def meets(self, tile: Tile) -> bool:
        """Say whether any pixel of the tile lies in the region."""
        return (
            tile.plane == self.plane
            and tile.y < self.y.stop
            and self.y.start < tile.y + tile.height
            and tile.x < self.x.stop
            and self.x.start < tile.x + tile.width
        )


def read_windows(source: ImageSource, plan: TilePlan, tiles: Sequence[Tile]) -> NDArray[Any]:
    """Read tiles with their halos; beyond the image's true edge the edge pixels are repeated.

    Returns
    -------
    numpy.ndarray, shape (len(tiles), channels, tile_height + 2 * halo, tile_width + 2 * halo)
        In the source's dtype.
    """
    return np.stack([_read_window(source, plan, tile) for tile in tiles])


def _read_window(source: ImageSource, plan: TilePlan, tile: Tile) -> NDArray[Any]:
    y, pad_y = _inside(tile.y - plan.halo_px, plan.tile_height + 2 * plan.halo_px, plan.height)
    x, pad_x = _inside(tile.x - plan.halo_px, plan.tile_width + 2 * plan.halo_px, plan.width)
    return np.pad(source.read(tile.plane, y, x), ((0, 0), pad_y, pad_x), mode="edge")


def _inside(start: int, length: int, size: int) -> tuple[slice, tuple[int, int]]:
    """Split a span into the part inside [0, size) and the pixels missing before and after it."""
    first, last = max(start, 0), min(start + length, size)
    return slice(first, last), (first - start, start + length - last)
