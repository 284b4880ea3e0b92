"""Which tile is fastest on this CPU: time per output pixel, halo included, with each allocator setting.

    python benchmarks/tile_size.py [--model histology-x2] [--seconds 3]

glibc hands out blocks above its mmap threshold (at most 32 MB by itself) as fresh pages, which the kernel
clears at every use: activations above that size make a large tile slower per pixel than a small one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch
from _common import machine, print_table

from napari_microsr.core.device import resolve
from napari_microsr.core.weights import find
from napari_microsr.superres.registry import load_network

TUNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
TILES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)


def milliseconds_per_mpx(model: str, tile_px: int, reduced: bool, seconds: float) -> float:
    """Median time of the network on one window, per million output pixels of its tile."""
    card, weights = find(model)
    device = resolve("cpu")
    network = load_network(card, weights).eval().to(memory_format=torch.channels_last)
    halo = -(-card.halo_px // card.multiple_of) * card.multiple_of
    side = tile_px + 2 * halo
    window = torch.rand(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    times = []
    end = time.perf_counter() + seconds
    with device.inference(reduced):
        while len(times) < 4 or time.perf_counter() < end:
            start = time.perf_counter()
            network(window)
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[1:]) / ((tile_px * card.factor) ** 2 / 1e6)


def main() -> None:
    """Measure every tile in a process of its own, so that none inherits another's memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--reduced", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(milliseconds_per_mpx(options.model, options.one, options.reduced, options.seconds))
        return
    rows = []
    for tile in TILES:
        row = [tile]
        for reduced in (False, True):
            for allocator in ({}, TUNED):
                command = [sys.executable, __file__, "--model", options.model, "--one", str(tile)]
                command += ["--seconds", str(options.seconds), *(["--reduced"] if reduced else [])]
                run = subprocess.run(
                    command, env={**os.environ, **allocator}, capture_output=True, text=True, check=True
                )
                row.append(float(run.stdout))
        rows.append(row)
    head = ["tile px", "float32", "float32, tuned malloc", "reduced", "reduced, tuned malloc"]
    print_table(f"{options.model}: ms per Mpx of output, halo included; {machine()}", head, rows)


if __name__ == "__main__":
    main()
