"""From windows of the image to finished output tiles: normalise, run the network, crop, quantise."""

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_microsr.core.device import Device, is_out_of_memory
from napari_microsr.core.progress import Progress
from napari_microsr.errors import DeviceError
from napari_microsr.superres.ensemble import Member, Turned, spread
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.fast import FastResidual
from napari_microsr.superres.normalise import Normalisation
from napari_microsr.superres.reduction import Reduction

Array = NDArray[Any]
Stack = TypeVar("Stack", torch.Tensor, NDArray[Any])
SMALLEST_TILE_PX = 32
COMPUTE_NICENESS = 10


class NetworkProcess:
    """A `TileProcess` that runs one network on one device.

    A window too large for the device's memory is cut into four smaller ones with the same halo: the
    output tile and the files stay as planned, only the computation is done in smaller pieces.

    Parameters
    ----------
    network : torch.nn.Module
        (N, C, H, W) -> (N, C, factor * H, factor * W), in normalised units.
    device : Device
        Where it runs.
    normalisation : Normalisation
        Of the image.
    dtype : numpy.dtype
        Of the image and of the result.
    factor, halo_px, multiple_of : int
        Of the network.
    reduced : bool
        Run the network in the device's reduced precision. Normalisation stays in float32.
    tile_typed : bool
        Whether the user chose the tile; then a tile too large is an error instead of being cut.
    residual : bool
        Also return the result minus its baseline (the input, or its bicubic enlargement).
    progress : Progress
        Told when a tile has to be cut.
    reduction : Reduction, optional
        Also return the result brought back to the input's grid, minus the input, in float32.
    others : sequence of Member
        Also return how far the results of the network and of these lie apart.
    self_ensemble : bool
        Likewise with the network's own results on the turned and mirrored image.
    """

    def __init__(
        self,
        network: nn.Module,
        device: Device,
        normalisation: Normalisation,
        dtype: np.dtype[Any],
        *,
        factor: int,
        halo_px: int,
        multiple_of: int,
        reduced: bool,
        tile_typed: bool,
        residual: bool,
        progress: Progress,
        reduction: Reduction | None = None,
        others: Sequence[Member] = (),
        self_ensemble: bool = False,
    ) -> None:
        self._device = device
        self._format = torch.channels_last if device.channels_last else torch.contiguous_format
        self.network = self._placed(network)
        self._baseline = Bicubic(factor=factor).to(device.name) if residual and factor > 1 else None
        self._normalisation = normalisation
        self._others = [Member(self._placed(other), norm) for other, norm in others]
        if self_ensemble:
            self._others += [Member(Turned(self.network, turn), normalisation) for turn in range(1, 8)]
        self._reduction, self._margin = reduction, reduction.reach_px if reduction else 0
        self._dtype = dtype
        self._factor, self._halo, self._multiple = factor, halo_px, multiple_of
        self._reduced, self._tile_typed, self._residual = reduced, tile_typed, residual
        self._progress = progress
        self._cuts = 0
        self.workers = device.workers
        self._cores = torch.get_num_threads()

    def _placed(self, network: nn.Module) -> nn.Module:
        """Make a network ready to run on the device."""
        if isinstance(network, FastResidual):
            network = network.without_padding()
        network = network.eval().requires_grad_(False).to(self._device.name)
        return network.to(memory_format=self._format)  # type: ignore[call-overload, no-any-return]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # torch gives the last number set to every thread that begins later.
        torch.set_num_threads(self._cores)

    def begin_thread(self) -> None:
        """Share the processor's cores among the threads that compute, and let the viewer go before them."""
        torch.set_num_threads(max(1, self._cores // self.workers))
        if sys.platform == "linux":  # where a priority belongs to a thread
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), COMPUTE_NICENESS)

    def __call__(self, windows: Array, channel: int) -> tuple[Array, ...]:
        """Process a batch of windows; see `TileProcess`."""
        outputs = self._cut(windows, channel, 0)
        # Without this the program grows from tile to tile: several threads share out blocks of many sizes.
        self._device.trim()
        return outputs

    def _cut(self, windows: Array, channel: int, depth: int) -> tuple[Array, ...]:
        """Compute windows that have been cut `depth` times, cutting them further where needed."""
        if depth >= self._cuts:
            try:
                return self._compute(windows, channel)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                smaller = self._smaller(windows, error)
            self._device.release()
            self._cuts = depth + 1
            self._progress.warn(smaller)
        return self._quarters(windows, channel, depth + 1)

    def _quarters(self, windows: Array, channel: int, depth: int) -> tuple[Array, ...]:
        """Process the four quarters of each tile; they start on the network's grid and may overlap."""
        margin = 2 * self._halo
        height, width = windows.shape[2] - margin, windows.shape[3] - margin
        part_y, part_x = self._half(height), self._half(width)
        outputs: tuple[Array, ...] | None = None
        for y in sorted({0, height - part_y}):
            for x in sorted({0, width - part_x}):
                part = windows[:, :, y : y + part_y + margin, x : x + part_x + margin]
                blocks = self._cut(np.ascontiguousarray(part), channel, depth)
                scales = [block.shape[2] // part_y for block in blocks]
                if outputs is None:
                    outputs = tuple(
                        np.empty((*block.shape[:2], scale * height, scale * width), block.dtype)
                        for block, scale in zip(blocks, scales, strict=True)
                    )
                for output, block, scale in zip(outputs, blocks, scales, strict=True):
                    rows = slice(scale * y, scale * (y + part_y))
                    cols = slice(scale * x, scale * (x + part_x))
                    output[:, :, rows, cols] = block
        assert outputs is not None
        return outputs

    def _half(self, size: int) -> int:
        return min(size, -(-size // (2 * self._multiple)) * self._multiple)

    def _smaller(self, windows: Array, error: BaseException) -> str:
        """Say that a tile is too large: as a warning where it may be cut, as an error where it may not."""
        tile = max(windows.shape[2:]) - 2 * self._halo
        half = self._half(tile)
        memory = self._device.memory()
        where = self._device.name + (f" ({memory[0]:.1f} of {memory[1]:.1f} GB free)" if memory else "")
        if self._tile_typed:
            raise DeviceError(
                f"A tile of {tile} px does not fit into the memory of {where}.",
                f"Set the tile to {half} px or less, or to auto.",
            ) from error
        if half < SMALLEST_TILE_PX or half == tile:
            raise DeviceError(
                f"Even a tile of {tile} px does not fit into the memory of {where}.",
                "Close other programs that use the device, or run on the CPU.",
            ) from error
        return f"A tile of {tile} px does not fit into the memory of {where}; using {half} px."

    def _compute(self, windows: Array, channel: int) -> tuple[Array, ...]:
        raw = torch.from_numpy(np.ascontiguousarray(windows, np.float32)).to(self._device.name)
        hole = ~torch.isfinite(raw) if np.issubdtype(self._dtype, np.floating) else None
        size = [self._factor * (side - 2 * self._halo) for side in windows.shape[2:]]
        with self._device.inference(self._reduced):
            own = Member(self.network, self._normalisation)
            pixels, result = self._run(own, raw, hole, channel)
            # Wider than the tile where the reduction has to look beyond it.
            wide = self._stored(own, _centre(result, self._widened(size)), hole, channel)
            outputs = [np.ascontiguousarray(_centre(wide, size))]
            if self._residual:
                base = pixels if self._baseline is None else self._baseline(pixels)
                scale = self._normalisation.high[channel] - self._normalisation.low[channel]
                change = _scaled(_centre(result, size) - _centre(base, size), scale, 0.0)
                outputs.append(self._finish(change, hole, residual_dtype(self._dtype)))
            if self._reduction is not None:
                outputs.append(self._strayed(self._reduction, wide, raw))
            if self._others:
                runs = ((other, self._run(other, raw, hole, channel)[1]) for other in self._others)
                results = [self._stored(other, _centre(run, size), hole, channel) for other, run in runs]
                outputs.append(spread([outputs[0], *results]))
        return tuple(outputs)

    def _widened(self, size: Sequence[int]) -> list[int]:
        return [side + 2 * self._factor * self._margin for side in size]

    def _run(
        self, member: Member, raw: torch.Tensor, hole: torch.Tensor | None, channel: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return normalised pixels and the network's result on them."""
        low, high = member.normalisation.low[channel], member.normalisation.high[channel]
        pixels = raw if hole is None else torch.where(hole, low, raw)
        pixels = (pixels - low) / (high - low)
        return pixels, member.network(pixels.contiguous(memory_format=self._format)).float()

    def _stored(self, member: Member, result: torch.Tensor, hole: torch.Tensor | None, channel: int) -> Array:
        """Return a network's result as intensities of the image's type."""
        low, high = member.normalisation.low[channel], member.normalisation.high[channel]
        return self._finish(_scaled(result, high - low, low), hole, self._dtype)

    def _strayed(self, reduction: Reduction, wide: Array, raw: torch.Tensor) -> Array:
        """Return how far a result, as it is stored and then reduced, lies from its input."""
        low = reduction(torch.from_numpy(wide.astype(np.float32)).to(raw.device))
        map_: Array = (low - _centre(raw, low.shape[2:])).contiguous().cpu().numpy()
        return map_

    def _finish(self, result: torch.Tensor, hole: torch.Tensor | None, dtype: np.dtype[Any]) -> Array:
        """Put holes back and convert to the result's type; changes `result`."""
        if hole is not None:
            for axis in (2, 3):
                hole = hole.repeat_interleave(self._factor, axis)
            result = result.masked_fill(_centre(hole, result.shape[2:]), torch.nan)
        if dtype == np.uint8:
            # Truncation after adding a half is rounding, with one pass less over the pixels.
            return result.add_(0.5).clamp_(0, 255).to(torch.uint8).contiguous().cpu().numpy()
        array: Array = result.contiguous().cpu().numpy()
        if np.issubdtype(dtype, np.integer):
            # In float64, where the limits of every integer type up to 32 bits are exact.
            limits = np.iinfo(dtype)
            array = np.rint(array).astype(np.float64).clip(limits.min, limits.max)
        return array.astype(dtype)


def _scaled(result: torch.Tensor, scale: float, offset: float) -> torch.Tensor:
    """Return `scale * result + offset` in one pass."""
    return torch.add(torch.tensor(offset, device=result.device), result, alpha=scale)


def _centre(large: Stack, size: Sequence[int]) -> Stack:
    """Crop the last two axes about the centre; networks without padding have done part of it."""
    y, x = (large.shape[2] - size[0]) // 2, (large.shape[3] - size[1]) // 2
    return large[:, :, y : y + size[0], x : x + size[1]]


def residual_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds the difference of two images of `dtype` as an image."""
    return np.dtype(np.int16 if dtype == np.uint8 else np.float32)
