"""What it costs that a run can be resumed and says how it was made: journal, parts, locks, provenance.

    python benchmarks/bookkeeping.py [--side 1024] [--frames 200]

Processor time in the calls below, of whatever thread, as a share of the whole run's. Disks make one wait: the
last column is the share of the time that passed.
"""

import argparse
import functools
import importlib
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tifffile
from _common import machine, print_table, tiled_slide

from napari_microsr import tasks
from napari_microsr.core.progress import SilentProgress
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.simulate import Scene, simulate_frames

#: Module, class ("" for a function) and names of what is bookkeeping.
CALLS = (
    ("core.journal", "Journal", ("__init__", "add", "close")),
    ("core.lock", "Lock", ("__init__", "release")),
    ("core.job", "Job", ("provenance",)),
    ("core.image", "ImageSource", ("fingerprint",)),
    ("superres.run", "UpscaleRun", ("provenance", "fingerprint")),
    ("smlm.prepare", "LocalizeRun", ("fingerprint",)),
    ("smlm.parts", "Parts", ("__init__", "missing", "write", "read", "remove")),
    ("smlm.job", "", ("write_provenance",)),
)


class Spent:
    """Adds up what the calls took; a call within another counts once."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self._here = threading.local()

    def watch(self) -> None:
        """Put a clock around each call."""
        for module, kind, names in CALLS:
            place = importlib.import_module(f"napari_microsr.{module}")
            for name in names:
                owner = getattr(place, kind) if kind else place
                setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, call):
        @functools.wraps(call)
        def timed(*args, **options):
            if getattr(self._here, "within", False):
                return call(*args, **options)
            self._here.within = True
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                self.cpu += time.thread_time() - cpu
                self.wall += time.perf_counter() - wall
                self._here.within = False

        return timed


def jobs(folder: Path, side: int, frames: int):
    """Yield names and settings of runs."""
    tifffile.imwrite(
        folder / "slide.tif", np.asarray(tiled_slide(side).array), photometric="rgb", tile=(256, 256)
    )
    scene = Scene(density_um2=(0.5, 0.5), photons=(1500.0, 4000.0), background=(10.0, 10.0))
    stack = simulate_frames(np.random.default_rng(0), frames, (64, 64), scene, Camera()).photons
    tifffile.imwrite(folder / "stack.tif", np.rint(stack).astype(np.uint16), imagej=True)
    for model in ("bicubic", "histology-x2"):
        settings = {
            "source": str(folder / "slide.tif"),
            "output": str(folder / f"{model}.ome.zarr"),
            "model": model,
        }
        yield f"upscale, {model}, {side}²", "upscale", {**settings, "device": "cpu"}
    for model in ("gaussian-mle", "emitters-2d"):
        settings = {
            "source": str(folder / "stack.tif"),
            "output": str(folder / f"{model}.csv"),
            "model": model,
        }
        camera = {"pixel_nm": 100, "offset": 0, "gain": 1, "psf_sigma_px": 1.06, "device": "cpu"}
        yield f"localize, {model}, {frames} of 64²", "localize", {**settings, **camera}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    spent, rows = Spent(), []
    with tempfile.TemporaryDirectory() as name:
        warm = Path(name, "warm")
        warm.mkdir()
        for _, task, settings in jobs(warm, 64, 5):  # imports and first calls are no part of a run
            tasks.perform(tasks.TASKS[task][0].parse(settings), SilentProgress())
        spent.watch()
        for title, task, settings in jobs(Path(name), options.side, options.frames):
            job = tasks.TASKS[task][0].parse(settings)
            spent.cpu = spent.wall = 0.0
            cpu, wall = time.process_time(), time.perf_counter()
            tasks.perform(job, SilentProgress())
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            rows.append([title, cpu, spent.cpu, 100 * spent.cpu / cpu, 100 * spent.wall / wall])
    head = ["run", "CPU s", "of it bookkeeping s", "CPU %", "time %"]
    print_table(machine(), head, rows)


if __name__ == "__main__":
    main()
