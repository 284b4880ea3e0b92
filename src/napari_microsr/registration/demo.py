"""What a first user sees of registration: fields of the shipped slide found on its overview."""

from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_microsr.core.progress import Progress
from napari_microsr.registration.geometry import Matrix, apply, corners
from napari_microsr.registration.job import RegisterJob, register
from napari_microsr.registration.placement import FieldPlacement, Placements
from napari_microsr.registration.sample import sample, write_sample

COLOURS = {"placed": "#00a53c", "uncertain": "#ff8c00", "not_found": "#d00000"}


def run_demo(folder: Path, progress: Progress) -> dict[str, Any]:
    """Register the sample fields on the sample overview and draw their outlines.

    Parameters
    ----------
    folder : pathlib.Path
        Where images, placements and picture go; those of a former demo there are replaced.
    progress : Progress
        Told of each field.

    Returns
    -------
    dict
        `outputs`: the files written; `figures`: how many fields of those on the overview were placed and how
        many of the others were not found, and the largest error in overview pixels.
    """
    overview, fields = write_sample(folder)
    placements, picture = folder / "placements.json", folder / "outlines.png"
    placements.unlink(missing_ok=True)
    job = RegisterJob(overviews=[str(overview)], fields=[str(fields)], output=placements)
    result = register(job, progress=progress)
    _outlines(result).save(picture)
    return {"outputs": [*map(str, (placements, picture, overview, fields))], "figures": _figures(result)}


def _figures(result: Placements) -> dict[str, float]:
    """Compare with the truth, which the sample knows."""
    truth = {field.name: field.truth_yx for field in sample()[1]}
    there = [field for field in result.fields if truth[field.name] is not None]
    elsewhere = [field for field in result.fields if truth[field.name] is None]
    placed = [field for field in there if field.status == "placed"]
    errors = [_largest_error(field, matrix) for field in placed if (matrix := truth[field.name]) is not None]
    return {
        "fields": len(there),
        "placed": len(placed),
        "others": len(elsewhere),
        "not_found": sum(field.status == "not_found" for field in elsewhere),
        "largest_error_px": round(max(errors, default=float("nan")), 3),
    }


def _largest_error(field: FieldPlacement, truth: Matrix) -> float:
    """Return the distance of the corner that lies farthest from its place."""
    outer = corners(field.shape_yx)
    return float(np.linalg.norm(field.to_overview(outer) - apply(truth, outer), axis=1).max())


def _outlines(result: Placements) -> Image.Image:
    """Draw the fields over the overview, in the colour of their verdict, and name those not found below."""
    image = sample()[0].image
    height, width = image.shape[:2]
    lost = [f"{field.name}: {field.reason}" for field in result.fields if field.status == "not_found"]
    lines = [line for text in lost for line in wrap(text, 110)]
    picture = Image.new("RGB", (width, height + 24 * (1 + len(lines))), "white")
    picture.paste(Image.fromarray(image), (0, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    for field in result.fields:
        if field.matrix_yx is not None:
            _outline(draw, font, field)
    for row, line in enumerate(lines):
        draw.text((8, height + 8 + 24 * row), line, fill=COLOURS["not_found"], font=font)
    return picture


def _outline(draw: ImageDraw.ImageDraw, font: Any, field: FieldPlacement) -> None:
    yx = field.to_overview(corners(field.shape_yx))
    points = [(float(x), float(y)) for y, x in yx]
    draw.line([*points, points[0]], fill=COLOURS[field.status], width=3, joint="curve")
    place = points[0][0] + 6, points[0][1] + 6
    draw.text(place, field.name, COLOURS[field.status], font, stroke_width=3, stroke_fill="white")
