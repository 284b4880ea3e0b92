"""Peak memory of a run at three image sizes, lazily generated, each in a process of its own.

    python benchmarks/memory.py [--model histology-x2] [--sides 2048 8192 16384]

Baseline: the peak after everything is imported and a run on an image of one tile is done, which is the
program plus the tile's own cost.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import endless_source, machine, print_table

from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.run import automatic_tile_px  # noqa: F401 - part of the import baseline


def peak_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(side_px: int, model: str) -> dict[str, float]:
    """Run once and report the peaks on the way."""
    import lightning  # noqa: F401
    import torch  # noqa: F401
    import zarr  # noqa: F401

    imported = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.ome.zarr"
        job = UpscaleJob(source="endless", output=output, model=model, device="cpu")
        upscale(job, source=endless_source(1024))
        tile = peak_mb()
        upscale(job.model_copy(update={"restart": True}), source=endless_source(side_px))
    return {"imported": imported, "tile": tile, "peak": peak_mb()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--sides", type=int, nargs="+", default=[2048, 8192, 16384])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.model)))
        return
    rows, first = [], None
    for side in options.sides:
        command = [sys.executable, __file__, "--one", str(side), "--model", options.model]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        output_mb = 3 * (2 * side) ** 2 / 1e6
        first = first or (found["peak"], output_mb)
        grown = output_mb - first[1]
        growth = f"{100 * (found['peak'] - first[0]) / grown:.2f} %" if grown else "-"
        row = [side, output_mb, found["imported"], found["tile"], found["peak"]]
        rows.append([*(round(v) for v in row), round(found["peak"] - found["tile"]), growth])
    head = ["side px", "output MB", "imported MB", "one small image MB", "peak MB", "above it MB"]
    print_table(f"{options.model}; {machine()}", [*head, "growth of peak / growth of output"], rows)


if __name__ == "__main__":
    main()
