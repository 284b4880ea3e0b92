"""The tile that a network runs fastest on."""

from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_microsr.core.device import Device
from napari_microsr.core.weights import ModelCard
from napari_microsr.superres.networks.conditioned import conditioned
from napari_microsr.superres.registry import load_network

# Measured by benchmarks/tile_size.py: a tile pays for its halo, but gains little beyond about 400 px, and
# where a tensor passes 32 MB glibc takes it from no heap: each is fresh pages, which the kernel clears first,
# and a pixel costs half as much again. Well below that limit, several tensors share one of the 64 MB heaps
# that glibc gives a thread, and the program's memory stays flat from tile to tile (benchmarks/memory.py).
CPU_TENSOR_BYTES = 22 * 2**20
CPU_TILES_PX = (128, 1024)
GPU_TILE_PX = 1024


def automatic_tile_px(card: ModelCard, weights: Path | None, device: Device, reduced: bool) -> int:
    """Return the side of the tile that was measured to be fastest for a network on a kind of device."""
    if device.kind != "cpu":
        return GPU_TILE_PX
    network = load_network(card, weights)
    if card.conditioned:
        network = conditioned(network, 0.0, 0.0)
    values = values_per_pixel(network, card.channels or 3)
    window = isqrt(CPU_TENSOR_BYTES // (values * (2 if reduced else 4)))
    smallest, largest = CPU_TILES_PX
    return min(max((window - 2 * card.halo_px) // 64 * 64, smallest), largest)


def values_per_pixel(network: nn.Module, channels: int) -> int:
    """Return how many numbers per input pixel the largest tensor inside a network holds."""
    side, sizes = 64, [0]

    def note(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        sizes.extend(x.numel() for x in (*inputs, output) if isinstance(x, torch.Tensor))

    seen = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    for program in set(network.modules()).difference(seen):
        # TorchScript lets nobody look inside; there the widest convolution tells.
        sizes.extend(side**2 * len(p) for p in program.parameters() if p.ndim == 4)
    hooks = [module.register_forward_hook(note) for module in seen]
    with torch.inference_mode():
        network(torch.zeros(1, channels, side, side))
    for hook in hooks:
        hook.remove()
    return max(sizes) // side**2
