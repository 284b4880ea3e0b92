"""From stored results to napari's layers."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import open_image
from napari_microsr.core.placement import Placement

if TYPE_CHECKING:
    import zarr

# dask cuts a slice out of a block before it is read, so large blocks cost nothing and keep its graph small.
_BLOCK_PX = 8192
CHUNK_PX = 512
_KEPT_BLOCKS = 4

#: Start and stop along each axis.
Spans = tuple[tuple[int, int], ...]


class StoredLevel:
    """One level of a stored result, with its axes in the order of the input layer.

    It keeps the blocks that were read last, so that a viewer which draws again, or moves a little, does not
    read again; `reread` brings them up to date in another thread while a run writes.

    Attributes
    ----------
    array : zarr.Array
        What is read.

    Parameters
    ----------
    array : zarr.Array
        The level.
    stored, shown : str
        Letters of its axes in the store and in the layer. An axis c that the layer does not show is averaged.
    clear : bool
        Add to 8-bit colours an alpha of 0 where nothing is written yet, so that the input shows through.
    """

    def __init__(self, array: "zarr.Array[Any]", stored: str, shown: str, *, clear: bool = False) -> None:
        self.array, self._stored, self._shown = array, stored, shown
        self._clear = clear
        self.shape = tuple(array.shape[stored.index(axis)] + (clear and axis == "c") for axis in shown)
        self.ndim, self.size = len(shown), math.prod(self.shape)
        self._mean = set(shown) != set(stored)
        self.dtype = np.dtype(np.float32 if self._mean else array.dtype)
        self._kept: dict[Spans, NDArray[Any]] = {}

    def __getitem__(self, index: Any) -> NDArray[Any]:
        given = index if isinstance(index, tuple) else (index,)
        index = given + (slice(None),) * (self.ndim - len(given))
        spans = tuple(_chunk_span(i, size) for i, size in zip(index, self.shape, strict=True))
        block = self._kept.get(spans)
        if block is None:
            block = self._read(spans)
            self._kept = {**dict(list(self._kept.items())[1 - _KEPT_BLOCKS :]), spans: block}
        return block[tuple(map(_inside, index, spans, self.shape))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[(slice(None),) * self.ndim], dtype=dtype)

    def reread(self) -> bool:
        """Read the kept blocks again, and say whether any has changed."""
        changed = False
        for spans, old in list(self._kept.items()):
            new = self._read(spans)
            if not np.array_equal(old, new):
                # Exchanged as a whole: the main thread may be reading.
                self._kept = {key: new if key == spans else block for key, block in self._kept.items()}
                changed = True
        return changed

    def finished(self, array: "zarr.Array[Any]") -> "StoredLevel":
        """Return the same level of the finished store, with the blocks read that are kept here."""
        level = StoredLevel(array, self._stored, self._shown)
        for kept in self._kept:
            spans = tuple(
                (start, min(stop, size)) for (start, stop), size in zip(kept, level.shape, strict=True)
            )
            level._kept[spans] = level._read(spans)
        return level

    def _read(self, spans: "Spans") -> NDArray[Any]:
        where = dict(zip(self._shown, itertools.starmap(slice, spans), strict=True))
        if self._clear:
            where["c"] = slice(None)
        block = np.asarray(self.array[tuple(where.get(axis, slice(None)) for axis in self._stored)])
        left = list(self._stored)
        if self._mean:
            block = block.mean(axis=left.index("c"), dtype=self.dtype)
            left.remove("c")
        block = block.transpose([left.index(axis) for axis in self._shown])
        if self._clear:
            written = block.any(axis=-1, keepdims=True).astype(block.dtype) * np.iinfo(block.dtype).max
            block = np.concatenate([block, written], axis=-1)
        return block


def _chunk_span(index: int | slice, size: int) -> tuple[int, int]:
    """Widen an index to whole chunks, which are decoded as a whole anyway."""
    if not isinstance(index, slice):
        return int(index) % size, int(index) % size + 1
    start, stop, _ = index.indices(size)
    return start // CHUNK_PX * CHUNK_PX, min(-(-stop // CHUNK_PX) * CHUNK_PX, size)


def _inside(index: int | slice, span: tuple[int, int], size: int) -> int | slice:
    """Return the index relative to a span that holds it."""
    if not isinstance(index, slice):
        return 0
    start, stop, step = index.indices(size)
    return slice(start - span[0], stop - span[0], step)


def layer_arguments(
    levels: list[StoredLevel], placement: Placement, *, rgb: bool, metadata: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `add_image` that show a result in its place.

    Parameters
    ----------
    levels : list of StoredLevel
        The finest first; pixels are read when they are shown.
    placement : Placement
        Of the finest level.
    rgb : bool
        Whether the last axis holds colours.
    metadata : dict
        What made the result; kept as the layer's metadata "microsr".
    """
    transforms = {"rotate": placement.rotate, "shear": placement.shear, "affine": placement.affine}
    return {
        "data": levels if len(levels) > 1 else levels[0],
        "multiscale": len(levels) > 1,
        "rgb": rgb,
        "scale": placement.scale,
        "translate": placement.translate,
        "units": placement.units,
        "axis_labels": placement.axis_labels,
        "metadata": {"microsr": metadata},
        **{name: value for name, value in transforms.items() if value is not None},
    }


def as_dask(levels: list[StoredLevel]) -> Any:
    """Return the data of a layer that will not change any more, as arrays that one can compute with."""
    import dask.array

    data = [
        dask.array.from_array(
            level,
            chunks=tuple(min(size, _BLOCK_PX) for size in level.shape),
            name=False,
            meta=np.empty((0,) * level.ndim, level.dtype),
        )
        for level in levels
    ]
    return data if len(data) > 1 else data[0]


def open_result(path: Path) -> dict[str, Any]:
    """Return the arguments of `add_image` that show a finished store."""
    import zarr

    image, group = open_image(path), zarr.open_group(path, mode="r")
    shown = image.axes.replace("c", "") + "c" if image.rgb else image.axes
    count = len(list(group.array_keys()))
    levels = [StoredLevel(zarr.open_array(path / str(i), mode="r"), image.axes, shown) for i in range(count)]
    attributes: dict[str, Any] = group.attrs.asdict()
    known = attributes["microsr"]
    metadata = {**known["provenance"], "evidence": known.get("evidence", {}), "store": str(path)}
    arguments = layer_arguments(levels, image.placement, rgb=image.rgb, metadata=metadata)
    return {**arguments, "data": as_dask(levels)}
