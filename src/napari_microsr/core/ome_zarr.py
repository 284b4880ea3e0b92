"""How a result is laid out as OME-Zarr 0.5: axes, levels, shards and metadata."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaozarrs.v05

from napari_microsr.core.image import ImageSource, Placement
from napari_microsr.core.journal import Block
from napari_microsr.core.tiles import TilePlan
from napari_microsr.errors import InputError

# Levels are added until the coarsest is no larger than this, so that a viewer shows the whole image at once.
COARSEST_PX = 512
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
