"""Images whose pixels are computed where they are read."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement

Array = NDArray[Any]
Compute = Callable[[int, slice, slice], Array]
"""(plane, y, x) to the pixels (channels, height, width), of any real type."""


class Computed:
    """A lazy array with the axes, planes and type of another image.

    Parameters
    ----------
    like : ImageSource
        The other image.
    shape_yx : tuple of int
        Height and width.
    compute : callable
        Returns a part of a plane; it is rounded and clipped to the type of `like`.
    """

    def __init__(self, like: ImageSource, shape_yx: tuple[int, int], compute: Compute) -> None:
        self._axes, self._plane_axes, self._planes = like.axes, like.plane_axes, like.plane_shape
        self._compute = compute
        sizes = dict(zip("yx", shape_yx, strict=True)) | ({"c": 3} if like.rgb else {})
        given = dict(zip(like.axes, like.array.shape, strict=True)) | sizes
        self.shape = tuple(int(given[axis]) for axis in like.axes)
        self.dtype, self.ndim = like.dtype, len(self.shape)

    def __getitem__(self, index: tuple[Any, ...]) -> Array:
        """Compute a part of one plane, as `ImageSource.read` asks for it."""
        where = dict(zip(self._axes, index, strict=True))
        places = tuple(where[axis] for axis in self._plane_axes)
        number = int(np.ravel_multi_index(places, self._planes)) if places else 0
        pixels: Array = cast(self._compute(number, where["y"], where["x"]), self.dtype)
        left = [axis for axis in self._axes if axis not in self._plane_axes]
        if "c" in left:
            return pixels.transpose(["cyx".index(axis) for axis in left])
        plane: Array = pixels[0]
        return plane.transpose(["yx".index(axis) for axis in left])


def computed_image(
    like: ImageSource, shape_yx: tuple[int, int], compute: Compute, placement: Placement, name: str
) -> ImageSource:
    """Return an image that is computed as it is read.

    Parameters
    ----------
    like, shape_yx, compute
        As in `Computed`.
    placement : Placement
        Of the image; its axes are those of `like`.
    name : str
        What to call it.
    """
    array = Computed(like, shape_yx, compute)
    return ImageSource.from_array(array, axes=like.axes, rgb=like.rgb, placement=placement, name=name)


def as_channels(block: Array, channels: int) -> Array:
    """Turn grey into RGB by repetition, RGB into grey by the mean."""
    if len(block) == channels:
        return block
    return np.repeat(block, channels, 0) if len(block) == 1 else block.mean(0, keepdims=True)


def recoloured(block: Array, gain: Array, offset: Array) -> Array:
    """Return gain * block + offset, channel by channel."""
    kind = block.dtype
    result: Array = gain.astype(kind)[:, None, None] * block + offset.astype(kind)[:, None, None]
    return result


def cast(block: Array, dtype: np.dtype[Any]) -> Array:
    """Round and clip to integers where the type has them."""
    if dtype.kind == "f":
        return block.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    whole: Array = np.rint(np.nan_to_num(block)).clip(limits.min, limits.max).astype(dtype)
    return whole
