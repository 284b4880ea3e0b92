"""How a result is laid out as OME-Zarr 0.5: axes, levels, shards and metadata."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaozarrs.v05
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from napari_microsr.core.image import ImageSource, Placement
from napari_microsr.core.journal import Block
from napari_microsr.core.remote import for_zarr
from napari_microsr.core.tiles import TilePlan
from napari_microsr.errors import InputError

# Levels are added until the coarsest is no larger than this, so that a viewer shows the whole image at once.
COARSEST_PX = 512
# Chunks are what a viewer reads at a time; shards are what one tile writes.
CHUNK_PX = 512
UNITS = {
    "angstrom": "angstrom", "nm": "nanometer", "um": "micrometer", "mm": "millimeter", "cm": "centimeter",
    "m": "meter", "inch": "inch", "ns": "nanosecond", "us": "microsecond", "ms": "millisecond",
    "s": "second", "min": "minute", "h": "hour",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Shapes and metadata of one result.

    OME-Zarr orders axes as time, channel, z, y, x, so an RGB image is stored as (c, y, x).

    Attributes
    ----------
    source : ImageSource
        The image that the result is made from.
    plan : TilePlan
        Its tiles; tile (row, col) of a plane becomes shard (row, col).
    dtype : numpy.dtype
        Of the result.
    provenance : dict
        Kept in the store's attributes.
    channels : dict or None
        Names, colours and limits of the channels, as OME-Zarr's "omero" has them.
    """

    source: ImageSource
    plan: TilePlan
    dtype: np.dtype[Any]
    provenance: dict[str, Any]
    channels: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        others = [axis for axis in self.axes[:-2] if axis not in "tcz"]
        if len(others) + ("c" in self.axes) > 1 or len(self.axes) > 5:
            raise InputError(
                f"An image with the axes {', '.join(self.source.axes)} does not fit in OME-Zarr.",
                "Give one with at most the axes t, c, z, y and x.",
            )

    @property
    def axes(self) -> str:
        """Axes of the stored arrays."""
        rank = "tczyx"
        return "".join(sorted(self.source.axes, key=lambda axis: rank.index(axis) if axis in rank else 1))

    @property
    def placement(self) -> Placement:
        """Where the result's pixels lie."""
        return self.source.placement.finer(self.plan.factor)

    @property
    def shard_height(self) -> int:
        """Output pixels of a tile along y."""
        return self.plan.tile_height * self.plan.factor

    @property
    def shard_width(self) -> int:
        """Output pixels of a tile along x."""
        return self.plan.tile_width * self.plan.factor

    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every level, the finest first."""
        sizes = [(self.plan.height * self.plan.factor, self.plan.width * self.plan.factor)]
        while max(sizes[-1]) > COARSEST_PX:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return sizes

    def shape(self, level: int) -> tuple[int, ...]:
        """Shape of a level's array."""
        size = dict(zip("yx", self.sizes()[level], strict=True))
        given = dict(zip(self.source.axes, self.source.array.shape, strict=True))
        if self.source.rgb:
            given["c"] = self.source.channels
        return tuple(size.get(axis, given[axis]) for axis in self.axes)

    def index(self, plane: int, y: slice, x: slice) -> tuple[int | slice, ...]:
        """Return the index of a part of one plane in a level's array; every axis is kept."""
        places = np.unravel_index(plane, self.source.plane_shape or (1,))
        index: dict[str, int | slice] = {"y": y, "x": x}
        for axis, place in zip(self.source.plane_axes, places, strict=False):
            index[axis] = slice(int(place), int(place) + 1)
        return tuple(index.get(axis, slice(None)) for axis in self.axes)

    def grid(self, level: int) -> tuple[int, int]:
        """Rows and columns of shards of a level."""
        height, width = self.sizes()[level]
        return -(-height // self.shard_height), -(-width // self.shard_width)

    def parent(self, place: Block) -> Block | None:
        """Return the shard of the next coarser level that covers this one."""
        level, plane, row, col = place
        if level + 1 == len(self.sizes()):
            return None
        return level + 1, plane, row // 2, col // 2

    def children(self, place: Block) -> list[Block]:
        """Return the (one to four) shards that a coarser shard is made from."""
        level, plane, row, col = place
        rows, cols = self.grid(level - 1)
        return [
            (level - 1, plane, r, c)
            for r in range(2 * row, min(2 * row + 2, rows))
            for c in range(2 * col, min(2 * col + 2, cols))
        ]

    def blocks(self) -> Iterator[Block]:
        """Yield every shard of every level, the finest level first."""
        for level in range(len(self.sizes())):
            rows, cols = self.grid(level)
            for plane in range(self.plan.n_planes):
                for row in range(rows):
                    for col in range(cols):
                        yield level, plane, row, col

    def key(self, place: Block) -> str:
        """Return where a shard lies below the store."""
        level, plane, row, col = place
        places = np.unravel_index(plane, self.source.plane_shape or (1,))
        index = {axis: int(i) for axis, i in zip(self.source.plane_axes, places, strict=False)}
        index |= {"y": row, "x": col}
        return "/".join([str(level), "c", *(str(index.get(axis, 0)) for axis in self.axes)])

    def attributes(self) -> dict[str, Any]:
        """Return the group's attributes: OME metadata and, beside it, the provenance and exact placement."""
        image = yaozarrs.v05.Image.model_validate(
            {"multiscales": [{"name": self.source.name, "axes": self._axes(), "datasets": self._datasets()}]}
        )
        ome = image.model_dump(mode="json", exclude_none=True, by_alias=True)
        return {
            "ome": {"version": "0.5", **ome, **({"omero": self.channels} if self.channels else {})},
            "microsr": {
                "rgb": self.source.rgb,
                "provenance": self.provenance,
                "placement": self.placement.as_dict(),
            },
        }

    def _axes(self) -> list[dict[str, str]]:
        units = dict(zip(self._placed(), self.placement.units, strict=True))
        kinds = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
        axes = []
        for axis in self.axes:
            entry = {"name": axis, "type": kinds.get(axis, "other")}
            if entry["type"] in ("time", "space") and (unit := UNITS.get(units.get(axis, ""))):
                entry["unit"] = unit
            axes.append(entry)
        return axes

    def _datasets(self) -> list[dict[str, Any]]:
        fine = self.placement
        scales = dict(zip(self._placed(), fine.scale, strict=True))
        shifts = dict(zip(self._placed(), fine.translate, strict=True))
        datasets = []
        for level in range(len(self.sizes())):
            step = {axis: 2.0**level if axis in "yx" else 1.0 for axis in self.axes}
            scale = [scales.get(axis, 1.0) * step[axis] for axis in self.axes]
            # The centre of a coarse pixel lies between those of the fine ones that it averages.
            shift = [
                shifts.get(axis, 0.0) + scales.get(axis, 1.0) * (step[axis] - 1) / 2 for axis in self.axes
            ]
            transforms = [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": shift},
            ]
            datasets.append({"path": str(level), "coordinateTransformations": transforms})
        return datasets

    def _placed(self) -> str:
        return "".join(a for a in self.source.axes if not (self.source.rgb and a == "c"))


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
