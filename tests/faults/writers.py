"""Whatever writes a single file, on small content: what is killed in the middle of its writing."""

import numpy as np
import torch
from PIL import Image

from napari_microsr.core.checkpoint import WholeCheckpoints
from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.weights import ModelCard, export
from napari_microsr.smlm.drift import Drift
from napari_microsr.smlm.drift_job import write_curve
from napari_microsr.smlm.formats import write_table
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render_job import RenderJob, render
from napari_microsr.superres.keep_images import keep_images
from napari_microsr.superres.networks.fast import FastResidual
from napari_microsr.superres.prepare_job import PrepareJob, prepare

RNG = np.random.default_rng(0)


def molecules():
    x, y = RNG.uniform(0, 30, (2, 200))
    frame = np.sort(RNG.integers(0, 50, 200))
    return Localizations.from_columns(frame=frame, x=x, y=y, pixel_nm=100.0, shape_yx=(32, 32), n_frames=50)


def weights(path):
    card = ModelCard(
        id="out", architecture="fast-residual", arguments={"channels": 1, "features": 8, "blocks": 2},
        task="super-resolution", factor=2, domain="any", summary="", channels=1, parameters=1, licence="CC0",
        halo_px=4, multiple_of=1, normalisation="range", reduced_precision=False,
    )  # fmt: skip
    export(FastResidual(1, 8, 2), card, path.parent)


def rendering(path):
    render(RenderJob(table="none", output=path, restart=True), table=molecules())


def pairs(path):
    folder = path.parent / "images"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(RNG.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{name}.png")
    prepare(PrepareJob(data=folder, output=path), SilentProgress())


def layer(path):
    source = ImageSource.from_array(RNG.integers(0, 255, (64, 64), np.uint8), axes="yx", name="a")
    keep_images({path.name: source}, path.parent)


def curve(path):
    write_curve(path, Drift(*RNG.normal(size=(2, 100))), 100.0)


def checkpoint(path):
    WholeCheckpoints().save_checkpoint({"weights": torch.zeros(1000)}, path)


#: Name -> the file, and what writes it.
WRITERS = {
    "weights": ("out.safetensors", weights),
    "table as CSV": ("out.csv", lambda path: write_table(path, molecules())),
    "table as HDF5": ("out.hdf5", lambda path: write_table(path, molecules())),
    "table as Parquet": ("out.parquet", lambda path: write_table(path, molecules())),
    "rendering": ("out.tif", rendering),
    "pairs": ("out.h5", pairs),
    "layer": ("out.tif", layer),
    "drift": ("out.csv", curve),
    "checkpoint": ("last.ckpt", checkpoint),
}
#: Those that refuse to replace what is there.
NEVER_REPLACED = {"pairs"}


def write(name, folder):
    """Write a file by name."""
    file, writer = WRITERS[name]
    writer(folder / file)
