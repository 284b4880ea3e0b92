"""What a network looks at: its halo and its alignment, measured on the network itself.

A tile that carries these around it gives the pixels that the whole image gives; nothing is typed in by
hand, so a new network is tiled exactly from its first run on.
"""

import contextlib
import copy
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from napari_microsr.errors import ModelError

#: Grids that are tried; pooling networks have powers of two.
ALIGNMENTS = (1, 2, 4, 8, 16, 32, 64)
#: Pixels to each side after which a network counts as one that looks at the whole image.
FARTHEST = 1024
#: Largest difference between the same pixels in two windows, in units of the output's spread.
TOLERANCE = 1e-3


class Reach(NamedTuple):
    """What a tile needs.

    Attributes
    ----------
    halo_px : int
        Input pixels around a tile, enough for all four sides.
    multiple_of : int
        Tile sizes and origins are multiples of this many input pixels.
    """

    halo_px: int
    multiple_of: int


def probe(module: nn.Module, channels: int, smallest: int = 1) -> Reach:
    """Measure halo and alignment of a network.

    The halo is found by NaN: an input row that is NaN makes exactly those outputs NaN that depend on it,
    because NaN times zero is NaN. The alignment is the smallest grid on which moving the window moves the
    result, found with random weights, since trained ones could hide a weak dependence.

    Parameters
    ----------
    module : nn.Module
        (N, C, H, W) -> (N, C, f*H, f*W); stays as it is.
    channels : int
        C.
    smallest : int
        Grid that the network is known to need; coarser ones are tried as well.

    Raises
    ------
    ModelError
        If the network cannot be tiled: it looks at the whole image, or moves with no grid up to 64 px.
    """
    module = copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
    _randomise(module)
    with torch.inference_mode(), _plain_convolutions():
        for multiple in (smallest * grid for grid in ALIGNMENTS if smallest * grid <= ALIGNMENTS[-1]):
            try:
                halo = max(_halo(module, channels, multiple, axis) for axis in (2, 3))
                if _moves_with(module, channels, multiple, halo):
                    return Reach(halo, multiple)
            except _SizeRefusedError:
                continue
    raise ModelError(
        f"The network {type(module).__name__} cannot be tiled: its result does not move with its input "
        f"on any grid up to {ALIGNMENTS[-1]} px.",
        "Use a network without position-dependent layers.",
    )


@contextlib.contextmanager
def _plain_convolutions() -> Iterator[None]:
    """Switch oneDNN off: it may skip products with zero, and with them the NaN."""
    with warnings.catch_warnings():
        # torch 2.13 reads an option for Intel GPUs here and then warns that there is none.
        warnings.filterwarnings("ignore", message="TF32 acceleration")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


class _SizeRefusedError(Exception):
    """The network does not take images of this size, or returns them in another."""


def _run(module: nn.Module, x: Tensor) -> Tensor:
    try:
        y: Tensor = module(x)
    except RuntimeError as error:
        raise _SizeRefusedError from error
    if y.ndim != 4 or y.shape[2] * x.shape[3] != y.shape[3] * x.shape[2] or y.shape[2] % x.shape[2]:
        raise _SizeRefusedError
    return y


def _randomise(module: nn.Module) -> None:
    """Give every weight tensor random values that keep the signal's size through the layers."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            spread = (parameter.ndim - 1) ** 0.5 / parameter[0].numel() ** 0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * spread


def _halo(module: nn.Module, channels: int, multiple: int, axis: int) -> int:
    """Return the halo along one axis, for tiles that begin and end on the grid."""
    reach = 16
    while reach <= FARTHEST:
        # An odd number of grid cells: a size that a coarser grid would not take.
        cells = 2 * -(-reach // multiple) + 1
        halo = _halo_within(module, channels, multiple, axis, cells)
        if halo is not None:
            return halo
        reach *= 2
    raise ModelError(
        f"The network {type(module).__name__} cannot be tiled: each of its outputs depends on the whole "
        f"image (farther than {FARTHEST} px).",
        "Use a network without global pooling or attention over the image.",
    )


def _halo_within(module: nn.Module, channels: int, multiple: int, axis: int, cells: int) -> int | None:
    """Return the halo as seen in a strip of `cells` grid cells, None if it reaches the strip's end."""
    length, middle = cells * multiple, cells // 2 * multiple
    across = (max(1, 16 // multiple) | 1) * multiple
    halo = 0
    for position in range(middle, middle + multiple):
        shape = [1, channels, across, across]
        shape[axis] = length
        x = torch.zeros(shape)
        x.narrow(axis, position, 1).fill_(torch.nan)
        y = _run(module, x)
        factor = y.shape[axis] // length
        others = [a for a in range(4) if a != axis]
        hit = y.isnan().amax(dim=others).nonzero() // factor
        if not len(hit):
            continue
        first, last = int(hit.min()), int(hit.max())
        if first == 0 or last == length - 1:
            return None
        # A tile that begins at `start` holds outputs that look back to `position`, one that ends
        # before `stop` holds outputs that look ahead to it.
        start = last // multiple * multiple
        stop = (first // multiple + 1) * multiple
        halo = max(halo, start - position, position - stop + 1)
    return halo


def _moves_with(module: nn.Module, channels: int, multiple: int, halo: int) -> bool:
    """Say whether the inside of the result moves with a window that is moved by `multiple`."""
    cells = 2 * -(-halo // multiple) + 5
    size = (cells | 1) * multiple
    generator = torch.Generator().manual_seed(1)
    x = torch.rand((1, channels, size + multiple, size + multiple), generator=generator)
    here = _run(module, x[..., :size, :size])
    moved = _run(module, x[..., multiple:, multiple:])
    factor = here.shape[2] // size
    rim = -(-halo // multiple) * multiple
    inside = slice(factor * (rim + multiple), factor * (size - rim))
    shifted = slice(factor * rim, factor * (size - rim - multiple))
    difference = (here[..., inside, inside] - moved[..., shifted, shifted]).abs().max()
    return bool(difference <= TOLERANCE * here.std())
