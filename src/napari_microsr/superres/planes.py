"""One picture to train on: read by region, with its map to network units and its noise measured once."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.sampling import choose_blocks
from napari_microsr.errors import InputError
from napari_microsr.superres.background import noise_level
from napari_microsr.superres.degrade import Pixels
from napari_microsr.superres.normalise import percentile_range

#: Images of at most this many pixels are held in memory; larger ones and stacks are read patch by patch.
HELD_PX = 2**24
#: Pixels of a larger picture that its intensities are measured on.
MEASURED_PX = 4_000_000
#: Blocks of a larger picture that its noise is measured on.
NOISE_BLOCKS = 16


@dataclass(frozen=True, eq=False)
class Plane:
    """A picture (H, W, 3) of 8 bits, or (H, W) of any type.

    Attributes
    ----------
    source : ImageSource
        Where it comes from.
    index : int
        Its plane there.
    grey : bool
        Whether a grey picture was saved as RGB: its first sample is taken.
    zero, one : float
        Intensities that are 0 and 1 in network units: 0 and 255 of RGB, quantiles of one channel.
    noise : float
        Standard deviation of the noise of one channel.
    constant : bool
        Whether all its pixels are equal.
    held : ndarray or None
        Its pixels, if it is small.
    """

    source: ImageSource
    index: int
    grey: bool
    zero: float
    one: float
    noise: float
    constant: bool
    held: Pixels | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.source.height, self.source.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its pixels."""
        return self.source.dtype

    def read(self, y: slice, x: slice) -> Pixels:
        """Return a region, (h, w, 3) or (h, w); what is not finite is 0 in network units."""
        if self.held is not None:
            return self.held[y, x]
        return _finite(_read(self.source, self.index, self.grey, y, x), self.zero)

    def read_whole(self) -> Pixels:
        """Return all of it."""
        return self.read(*(slice(0, size) for size in self.shape))


def open_planes(source: ImageSource, channels: int) -> list[Plane]:
    """Return the pictures of an image that a network of 3 (RGB) or 1 channels can be trained on.

    Raises
    ------
    InputError
        If its channels are others.
    """
    what = source.path or source.name
    if channels == 3 and not (source.rgb and source.dtype == np.uint8):
        kind = f"an RGB image of {source.dtype}" if source.rgb else "made of single channels"
        raise InputError(
            f"The image {what} is {kind}, and the network is for 8-bit RGB.",
            "Convert or remove it, or give the network the argument channels: 1.",
        )
    if channels not in (1, 3):
        raise InputError(
            f"A network of {channels} channels cannot be trained.", "Give it 3 channels (RGB) or 1."
        )
    return [_measured(source, plane, channels) for plane in range(source.n_planes)]


def _measured(source: ImageSource, index: int, channels: int) -> Plane:
    grey = source.rgb and channels == 1
    read = partial(_read, source, index, grey)
    if source.n_planes * source.height * source.width <= HELD_PX:
        held = read(slice(0, source.height), slice(0, source.width))
        blocks = [held]
    else:
        held = None
        places = choose_blocks([0], source.height, source.width, MEASURED_PX)
        blocks = [read(y, x) for _, y, x in places]
    values = np.concatenate([block.ravel() for block in blocks]) if len(blocks) > 1 else blocks[0]
    finite = values[np.isfinite(values)] if np.issubdtype(source.dtype, np.floating) else values
    constant = finite.size == 0 or bool(finite.min() == finite.max())
    if channels == 3:
        return Plane(source, index, grey, 0.0, 255.0, 0.0, constant, held)
    zero, one = percentile_range(finite)
    chosen = blocks[:: max(1, len(blocks) // NOISE_BLOCKS)]
    noise = float(np.median([noise_level(block, one - zero) for block in chosen]))
    held = held if held is None else _finite(held, zero)
    return Plane(source, index, grey, zero, one, noise, constant, held)


def _read(source: ImageSource, index: int, grey: bool, y: slice, x: slice) -> Pixels:
    block: NDArray[Any] = source.read(index, y, x)
    first: Pixels = block[0]
    if not source.rgb:
        return first
    if grey:
        if (block != block[:1]).any():
            raise InputError(
                f"The image {source.path or source.name} is in colour, and the network is for one channel.",
                "Save its channels as single images, or give the network the argument channels: 3.",
            )
        return first
    return np.ascontiguousarray(block.transpose(1, 2, 0))


def _finite(image: Pixels, instead: float) -> Pixels:
    if not np.issubdtype(image.dtype, np.floating):
        return image
    return np.where(np.isfinite(image), image, np.asarray(instead, image.dtype))
