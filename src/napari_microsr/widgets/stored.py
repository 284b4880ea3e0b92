"""From stored results to napari's layers."""

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


class StoredLevel:
    """One level of a stored result, with its axes in the order of the input layer.

    Attributes
    ----------
    array : zarr.Array
        What is read; it may be exchanged for the same array under another path.

    Parameters
    ----------
    array : zarr.Array
        The level.
    stored, shown : str
        Letters of its axes in the store and in the layer. An axis c that the layer does not show is averaged.
    """

    def __init__(self, array: "zarr.Array[Any]", stored: str, shown: str) -> None:
        self.array, self._stored, self._shown = array, stored, shown
        self.shape = tuple(array.shape[stored.index(axis)] for axis in shown)
        self.ndim = len(shown)
        self._mean = set(shown) != set(stored)
        self.dtype = np.dtype(np.float32 if self._mean else array.dtype)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        where = dict(zip(self._shown, index, strict=True))
        block = np.asarray(self.array[tuple(where.get(axis, slice(None)) for axis in self._stored)])
        left = [axis for axis in self._stored if isinstance(where.get(axis, slice(None)), slice)]
        if self._mean:
            block = block.mean(axis=left.index("c"), dtype=self.dtype)
            left.remove("c")
        return block.transpose([left.index(axis) for axis in self._shown if axis in left])


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
    transforms = {"rotate": placement.rotate, "shear": placement.shear, "affine": placement.affine}
    return {
        "data": data if len(data) > 1 else data[0],
        "multiscale": len(data) > 1,
        "rgb": rgb,
        # napari would otherwise keep blocks that the run has not filled yet.
        "cache": False,
        "scale": placement.scale,
        "translate": placement.translate,
        "units": placement.units,
        "axis_labels": placement.axis_labels,
        "metadata": {"microsr": metadata},
        **{name: value for name, value in transforms.items() if value is not None},
    }


def open_result(path: Path) -> dict[str, Any]:
    """Return the arguments of `add_image` that show a finished store."""
    import zarr

    image, group = open_image(path), zarr.open_group(path, mode="r")
    shown = image.axes.replace("c", "") + "c" if image.rgb else image.axes
    count = len(list(group.array_keys()))
    levels = [StoredLevel(zarr.open_array(path / str(i), mode="r"), image.axes, shown) for i in range(count)]
    attributes: dict[str, Any] = group.attrs.asdict()
    metadata = {**attributes["microsr"]["provenance"], "store": str(path)}
    return layer_arguments(levels, image.placement, rgb=image.rgb, metadata=metadata)
