"""A tiled run that streams to zarr, against the same network's raw time on the same pixels.

    python benchmarks/overhead.py [--side 4096] [--model histology-x2] [--repeats 5] [--tile-px N]

Raw: the network alone on blocks of the same tile, already in memory as normalised tensors, no halo, nothing
kept. Tiled: the whole command, from reading and normalising to the finished pyramid. Both run in turn in one
process; the ratio is of medians.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _common import machine, print_table, tiled_slide

from napari_microsr.core.progress import SilentProgress
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.run import UpscaleRun, prepare


def raw(run: UpscaleRun) -> None:
    """Run the network on every tile without its halo."""
    network = load_network(run.card, run.weights).eval().to(memory_format=torch.channels_last)
    tile = torch.rand(1, 3, run.plan.tile_height, run.plan.tile_width)
    tile = tile.contiguous(memory_format=torch.channels_last)
    pixels = 0
    while pixels < run.plan.height * run.plan.width:
        with run.device.inference(run.reduced):
            network(tile)
        pixels += run.plan.tile_height * run.plan.tile_width


def timed(task) -> tuple[float, float]:
    """Return wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure float32 and the automatic precision."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tile-px", type=int)
    options = parser.parse_args()
    source = tiled_slide(options.side)
    rows = []
    for precision in ("float32", "auto"):
        with tempfile.TemporaryDirectory() as folder:
            job = UpscaleJob(
                source="slide",
                output=Path(folder) / "out.ome.zarr",
                model=options.model,
                device="cpu",
                precision=precision,
                tile_px=options.tile_px,
            )
            run = prepare(job, source, SilentProgress())
            raws, tileds = [], []
            for repeat in range(options.repeats):
                raws.append(timed(lambda run=run: raw(run)))
                again = job.model_copy(update={"restart": repeat > 0})
                tileds.append(timed(lambda again=again: upscale(again, source=source)))
        wall_raw, wall = (statistics.median(t[0] for t in times) for times in (raws, tileds))
        cpu_raw, cpu = (statistics.median(t[1] for t in times) for times in (raws, tileds))
        tile, halo = run.plan.tile_height, run.plan.halo_px
        rows.append(
            [
                run.precision,
                tile,
                ((tile + 2 * halo) / tile) ** 2,
                wall_raw,
                wall,
                wall / wall_raw,
                cpu / cpu_raw,
            ]
        )
    head = ["precision", "tile px", "halo cost", "raw s", "tiled s", "wall ratio", "CPU ratio"]
    print_table(f"{options.model}, {options.side}² RGB, median of {options.repeats}; {machine()}", head, rows)


if __name__ == "__main__":
    main()
