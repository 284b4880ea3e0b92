"""A long stack: memory of `microsr localize`, how soon it stops, and whether a resumed run is the same.

    python benchmarks/smlm_long.py [--frames 100000] [--side 32] [--density 1] [--model gaussian-mle]
                                   [--work FOLDER]

The command runs in processes of its own: once to its end, once with Ctrl-C in the middle and then again.
Memory is the peak of each process. Needs Linux.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from _common import machine, print_table

from napari_microsr.smlm.evaluation import usual_scene
from napari_microsr.smlm.simulate import simulate_frames

#: Different frames of the stack; they repeat.
DIFFERENT = 1000


def make_stack(path: Path, frames: int, side: int, density: float) -> None:
    """Write a stack of simulated frames, with 100 counts of offset."""
    made = simulate_frames(np.random.default_rng(90), DIFFERENT, (side, side), usual_scene(density))
    counts = np.rint(made.photons + 100).clip(0, 65535).astype(np.uint16)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        shape = (frames, side, side)
        file.write((counts[i % DIFFERENT] for i in range(frames)), shape=shape, dtype=np.uint16)


def start(stack: Path, table: Path, model: str) -> subprocess.Popen:
    """Start the command."""
    settings = ("--pixel-nm=100", "--offset=100", "--gain=1", "--psf-sigma-px=1.06")
    command = [sys.executable, "-m", "napari_microsr.cli", "localize", str(stack), str(table), *settings]
    command += ["--model", model]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait(process: subprocess.Popen) -> tuple[int, float, float]:
    """Wait for the end; return the exit status, the peak of memory [MB] and the processor seconds."""
    _, status, usage = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run twice and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--model", default="gaussian-mle")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        stack, whole, halves = (Path(folder) / name for name in ("stack.tif", "whole.hdf5", "halves.hdf5"))
        make_stack(stack, options.frames, options.side, options.density)
        began = time.perf_counter()
        rows = [["whole", *wait(start(stack, whole, options.model)), float("nan")]]
        length = time.perf_counter() - began
        process = start(stack, halves, options.model)
        time.sleep(length / 2)
        process.send_signal(signal.SIGINT)
        began = time.perf_counter()
        rows.append(["stopped", *wait(process), time.perf_counter() - began])
        rows.append(["resumed", *wait(start(stack, halves, options.model)), float("nan")])
        print_table(
            f"{options.frames} frames of {options.side}², {options.model}",
            ["run", "exit status", "peak MB", "CPU s", "stopped after s"],
            rows,
        )
        print(f"identical: {whole.read_bytes() == halves.read_bytes()}, {whole.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
