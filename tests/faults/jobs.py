"""Small runs of every kind that leaves files: what the faults are tried on."""

import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import fuzzing
import numpy as np
import pandas  # noqa: F401
import tifffile
import torch
import writers
from scipy.ndimage import gaussian_filter, zoom

from napari_microsr import tasks
from napari_microsr.core import runner, sink, training  # noqa: F401 - imported before a fork
from napari_microsr.core.progress import SilentProgress
from napari_microsr.registration import session  # noqa: F401
from napari_microsr.smlm import parts, prepare, stream  # noqa: F401
from napari_microsr.superres import datasets, evidence, export, run  # noqa: F401

torch.set_num_threads(1)

#: What each job makes, apart from what it needs.
OUTPUTS = {
    "upscale": ("out.ome.zarr", "out.residual.ome.zarr"),
    "localize": ("out.csv", "out.provenance.json"),
    "register": ("out.json",),
    "train": ("small/small.safetensors", "small/small.json", "small/metrics.csv"),
}


def make_inputs(folder):
    """Write the inputs of all jobs."""
    rng = np.random.default_rng(3)
    noise = sum(gaussian_filter(rng.normal(size=(150, 190)), sigma) * sigma for sigma in (1, 2))
    noise = (noise - noise.min()) / np.ptp(noise)
    slide = np.stack([255 - 120 * noise, 250 - 200 * noise, 255 - 90 * noise], -1).astype(np.uint8)
    tifffile.imwrite(folder / "slide.tif", slide, photometric="rgb", tile=(64, 64), compression="zlib")
    (folder / "fields").mkdir()
    for name, (y, x) in {"a": (20, 30), "b": (60, 80)}.items():
        field = zoom(slide[y : y + 80, x : x + 100], (2, 2, 1), order=1)
        tifffile.imwrite(folder / "fields" / f"{name}.tif", field, photometric="rgb")
    (folder / "images").mkdir()
    for name in "abc":
        crop = np.roll(slide, ord(name) * 31, 1)[:96, :96]
        tifffile.imwrite(folder / "images" / f"{name}.tif", crop, photometric="rgb")
    yx = np.mgrid[:24, :24]
    frames = np.full((12, 24, 24), 100.0)
    for frame in frames:
        for _ in range(2):
            y, x = rng.uniform(4, 20, 2)
            frame += 150 * np.exp(-((yx[0] - y) ** 2 + (yx[1] - x) ** 2) / (2 * 1.2**2))
    tifffile.imwrite(folder / "stack.tif", rng.poisson(frames).astype(np.uint16), imagej=True)


def settings(name, folder, order):
    """Return a job's settings."""
    inputs = order.get("inputs", str(folder))
    if name == "upscale":
        return {
            "source": f"{inputs}/slide.tif",
            "output": str(folder / "out.ome.zarr"),
            "model": order.get("model", "bicubic"),
            "tile_px": 48,
            "device": "cpu",
            "residual": True,
        }
    if name == "localize":
        return {
            "source": f"{inputs}/stack.tif",
            "output": str(folder / "out.csv"),
            "model": "gaussian-mle",
            "pixel_nm": 100,
            "offset": 0,
            "gain": 1,
            "psf_sigma_px": 1.2,
            "block_frames": 4,
        }
    if name == "register":
        return {
            "overviews": [f"{inputs}/slide.tif"],
            "fields": [f"{inputs}/fields"],
            "overview_um": 2.0,
            "field_um": 1.0,
            "output": str(folder / "out.json"),
        }
    return {
        "name": "small",
        "out": str(folder),
        "data": f"{inputs}/images",
        "architecture": "fast-residual",
        "arguments": {"channels": 3, "features": 4, "blocks": 1},
        "hold_out": ["c"],
        "steps": 9,
        "check_every": 3,
        "batch": 1,
        "patch_px": 16,
        "precision": "32-true",
        "device": "cpu",
        "card": {"summary": "Small.", "domain": "histology", "licence": "CC0"},
    }


class Talking(SilentProgress):
    """Waits after the first tile, where a file is named, until somebody takes that file away."""

    def __init__(self, path):
        super().__init__()
        self.path = path and Path(path)

    def advance(self, label, done, total):
        if self.path and label == "tiles" and done:
            self.path.touch()
            while self.path.exists():
                time.sleep(0.02)


def do(name, folder, order):
    """Do a job, as the command does it."""
    if name == "fuzz":
        fuzzing.survive(**order["cases"], folder=folder)
        return
    if name == "write":
        writers.write(order["writer"], folder)
        return
    kind = tasks.TASKS[name][0]
    job = kind.parse({**settings(name, folder, order), **order.get("settings", {})})
    options = {}
    if name == "train":
        options["resume"] = (folder / "small" / "last.ckpt").exists()
    tasks.perform(job, Talking(order.get("wait")), **options)
