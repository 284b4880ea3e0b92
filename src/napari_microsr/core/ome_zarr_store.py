"""The arrays of a result in OME-Zarr 0.5, written shard by shard, and the coarser levels made from them."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from napari_microsr.core.journal import Block
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.remote import for_zarr

# Chunks are what a viewer reads at a time; shards are what one tile writes.
CHUNK_PX = 512


class Store:
    """The arrays of one result, written shard by shard.

    Opening creates what is missing and keeps what is there, so that several processes may hold one store:
    each shard has one writer.

    Attributes
    ----------
    layout : Layout
        Of the result.
    levels : list of zarr.Array
        The finest first.

    Parameters
    ----------
    folder : pathlib.Path
        Of the store.
    layout : Layout
        Of the result.
    published : bool
        Whether the group's metadata are there from the beginning, or come last, with `publish`.
    """

    def __init__(self, folder: Path, layout: Layout, *, published: bool = True) -> None:
        self.layout = layout
        self._folder = folder
        self._attributes = layout.attributes()
        self._published = published
        if published and not (folder / "zarr.json").exists():
            self._publish()
        self.levels = [self._level(folder / str(i), i) for i in range(len(layout.sizes()))]

    def publish(self) -> None:
        """Write the group's metadata, if that has been put off: they make an image of the arrays."""
        if not self._published:
            self._publish()
            self._published = True

    def _publish(self) -> None:
        zarr.create_group(for_zarr(self._folder), zarr_format=3, attributes=self._attributes)

    def _level(self, folder: Path, level: int) -> "zarr.Array[Any]":
        if (folder / "zarr.json").exists():
            return zarr.open_array(for_zarr(folder), mode="r+")
        layout = self.layout
        sizes = {"y": layout.shard_height, "x": layout.shard_width}
        if layout.source.rgb:
            sizes["c"] = layout.source.channels
        shards = tuple(sizes.get(axis, 1) for axis in layout.axes)
        return zarr.create_array(
            for_zarr(folder),
            shape=layout.shape(level),
            dtype=layout.dtype,
            chunks=(*shards[:-2], chunk_px(shards[-2]), chunk_px(shards[-1])),
            shards=shards,
            compressors=ZstdCodec(level=1),
            fill_value=0,
            dimension_names=list(layout.axes),
        )

    def note(self, name: str, value: Any) -> None:
        """Add an entry to the group's attribute "microsr"."""
        if not self._published:
            self._attributes["microsr"][name] = value
            return
        group = zarr.open_group(for_zarr(self._folder), mode="r+")
        attributes: dict[str, Any] = group.attrs.asdict()
        group.attrs["microsr"] = {**attributes["microsr"], name: value}

    def write(self, place: Block, block: NDArray[Any]) -> None:
        """Write one shard, shape (C, Y, X)."""
        level, plane, row, col = place
        layout = self.layout
        y, x = row * layout.shard_height, col * layout.shard_width
        height, width = block.shape[-2:]
        index = layout.index(plane, slice(y, y + height), slice(x, x + width))
        # Every axis of the store has one entry in a shard but y, x and the colours, which stand before y.
        shape = [layout.source.channels if a == "c" and layout.source.rgb else 1 for a in layout.axes]
        self.levels[level][index] = block.reshape(*shape[:-2], height, width)

    def write_coarser(self, place: Block) -> None:
        """Make one shard of a coarser level from the finished ones below it, by reading them back."""
        level, plane, row, col = place
        height, width = 2 * self.layout.shard_height, 2 * self.layout.shard_width
        below = self.levels[level - 1]
        rows = slice(row * height, min((row + 1) * height, below.shape[-2]))
        cols = slice(col * width, min((col + 1) * width, below.shape[-1]))
        self.write(place, area_mean(np.asarray(below[self.layout.index(plane, rows, cols)])))


def chunk_px(shard: int) -> int:
    """Return the largest divisor of a shard's side that is no larger than a chunk should be."""
    return max(size for size in range(1, min(shard, CHUNK_PX) + 1) if shard % size == 0)


def area_mean(block: NDArray[Any]) -> NDArray[Any]:
    """Halve the last two axes by the mean of 2 x 2 pixels; a last odd row or column is repeated.

    Integers are rounded half up. NaN in any of the four gives NaN.
    """
    height, width = block.shape[-2:]
    if height % 2 or width % 2:
        pad = [(0, 0)] * (block.ndim - 2) + [(0, height % 2), (0, width % 2)]
        block = np.pad(block, pad, mode="edge")
    if block.dtype.kind in "iu":
        total = _sum_of_four(block.astype(np.int32 if block.dtype.itemsize <= 2 else np.int64))
        return ((total + 2) >> 2).astype(block.dtype)
    mean: NDArray[Any] = _sum_of_four(block) * np.asarray(0.25, block.dtype)
    return mean


def _sum_of_four(block: NDArray[Any]) -> NDArray[Any]:
    rows = block[..., ::2, :] + block[..., 1::2, :]
    total: NDArray[Any] = rows[..., ::2] + rows[..., 1::2]
    return total
