"""Many fields at once: 32 at 40x and 8 at 10x on 4 overviews, all of 3584 x 2748 px; bar: 30 s on 2 cores.

    python benchmarks/registration_batch.py

Each overview shows a quarter of the shipped slide on glass, so that a field lies on one of them only. The
fields come shuffled, all turned by the angle of the camera, their pixel sizes wrong by 1.2 % at 40x and 0.7 %
at 10x, as one microscope does it.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from _common import print_table

from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement
from napari_microsr.core.samples import SLIDE
from napari_microsr.registration.geometry import apply
from napari_microsr.registration.job import RegisterJob, register
from napari_microsr.registration.microscope import FORTY, TEN
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.simulate import (
    BACKGROUND,
    Conditions,
    Specimen,
    View,
    take_field,
    take_overview,
)

CANVAS_YX = (3312, 4320)


def main() -> None:
    rng = np.random.default_rng(1)
    quarters = specimens()
    overviews = [take_overview(quarter, rng) for quarter in quarters]
    usual = Conditions(max_rotation_deg=0.05, rotation_deg=1.5, scale_error=(0, 0))
    wrong = {FORTY: 1.012, TEN: 0.993}
    kinds = [(FORTY, 0.3)] * 8 + [(TEN, 0.15)] * 2
    taken = []
    for i, quarter in enumerate(quarters):
        for objective, tissue in kinds:
            true = replace(objective, um=objective.um * wrong[objective])
            field = take_field(quarter, replace(usual, objective=true, min_tissue=tissue), rng)
            taken.append((replace(field, um=objective.um), i))
    order = rng.permutation(len(taken))
    fields = [taken[k] for k in order]
    with tempfile.TemporaryDirectory() as folder:
        job = RegisterJob(overviews=["overview"], fields=["field"], output=Path(folder) / "placements.json")
        sources = [source(view, f"overview {i}") for i, view in enumerate(overviews)]
        moving = [source(view, f"field {i}") for i, (view, _) in enumerate(fields)]
        wall, cpu = time.perf_counter(), time.process_time()
        found = register(job, overviews=sources, fields=moving)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    errors = [
        error_px(placement, view, overviews[i])
        for placement, (view, i) in zip(found.fields, fields, strict=True)
        if placement.matrix_yx is not None and placement.overview == f"overview {i}"
    ]
    placed = sum(placement.status == "placed" for placement in found.fields)
    head = ["fields", "placed", "on their overview", "median px", "worst px", "wall s", "CPU s"]
    row = [len(fields), placed, len(errors), float(np.median(errors)), max(errors), wall, cpu]
    print_table("Many fields at once", head, [row])


def specimens() -> list[Specimen]:
    """Lay each quarter of the slide on glass of its own."""
    whole = tifffile.imread(SLIDE)
    h, w = (n // 2 for n in whole.shape[:2])
    laid = []
    for top, left in ((0, 0), (0, w), (h, 0), (h, w)):
        canvas = np.full((*CANVAS_YX, 3), BACKGROUND, np.uint8)
        y, x = (CANVAS_YX[0] - h) // 2, (CANVAS_YX[1] - w) // 2
        canvas[y : y + h, x : x + w] = whole[top : top + h, left : left + w]
        laid.append(Specimen(canvas, 0.5, (((y, x, y + h, x + w), 1.0),)))
    return laid


def source(view: View, name: str) -> ImageSource:
    scale = Placement(("y", "x"), ("um", "um"), (view.um, view.um), (0.0, 0.0))
    return ImageSource.from_array(view.image, axes="yxc", rgb=True, placement=scale, name=name)


def error_px(placement: FieldPlacement, field: View, overview: View) -> float:
    """Return the mean distance from the truth over 5 x 5 points of the field."""
    h, w = placement.shape_yx
    grid = np.stack(np.mgrid[0 : h - 1 : 5j, 0 : w - 1 : 5j], -1).reshape(-1, 2)
    away = placement.to_overview(grid) - apply(field.on(overview), grid)
    return float(np.linalg.norm(away, axis=1).mean())


if __name__ == "__main__":
    main()
