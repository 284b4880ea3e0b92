"""The sample data that the plugin offers in napari's File menu."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.image import open_image
from napari_microsr.core.job import read_job_file
from napari_microsr.core.samples import FILAMENTS, SLIDE


def slide() -> list[tuple[Any, dict[str, Any], str]]:
    """Return the shipped H&E slide region as layer data: RGB, with its pixel size in µm."""
    image = open_image(SLIDE)
    place = image.placement
    arguments = {
        "name": "H&E skin 20x",
        "rgb": True,
        "scale": place.scale,
        "units": place.units,
        "axis_labels": place.axis_labels,
        # So that a run on the layer can be repeated by command.
        "metadata": {"microsr": {"file": str(SLIDE)}},
    }
    return [(image.array[:], arguments, "image")]


def slide_with_fields() -> list[tuple[Any, dict[str, Any], str]]:
    """Return an overview at 4x and ten fields at 10x and 40x, simulated from the shipped slide.

    As a microscope leaves them, all begin at the same corner, and two of the fields are not on the overview.
    """
    from napari_microsr.registration.sample import sample

    overview, fields = sample()
    images = [("overview 4x", overview.image, overview.um), *((f.name, f.image, f.um) for f in fields)]
    place = {"units": ("um", "um"), "axis_labels": ("y", "x"), "rgb": True}
    return [(image, {"name": name, "scale": (um, um), **place}, "image") for name, image, um in images]


def filaments() -> list[tuple[Any, dict[str, Any], str]]:
    """Return a simulated stack of blinking filaments, with its camera, and its truth as hidden points.

    It is simulated once, into the user's folder of samples, so that a run can be repeated by command.
    """
    from napari_microsr.smlm.formats import Field, read_table
    from napari_microsr.smlm.simulate_job import SimulateJob, simulate

    home = Path(os.environ.get("MICROSR_HOME", "~/.napari-microsr")).expanduser() / "samples"
    home.mkdir(parents=True, exist_ok=True)
    _, settings = read_job_file(FILAMENTS)
    job = SimulateJob.parse({**settings, "output": home / settings["output"], "restart": True})
    if not (job.output.exists() and job.truth.exists()):
        simulate(job)
    stack = open_image(job.output)
    truth = read_table(job.truth, Field(job.pixel_nm, (stack.height, stack.width), job.frames))
    camera = {name: getattr(job, name) for name in ("offset", "gain", "em_gain", "qe", "read_noise_e")}
    place = {name: getattr(stack.placement, name) for name in ("scale", "units", "axis_labels")}
    known = {"file": str(job.output), "camera": camera}
    points = {"size": 1.5, "face_color": "transparent", "border_color": "lime", "visible": False}
    return [
        (stack.array[:], {"name": "filaments", "metadata": {"microsr": known}, **place}, "image"),
        (np.column_stack([truth.frame, truth.y, truth.x]), {"name": "truth", **points, **place}, "points"),
    ]
