"""Sample data: an overview and fields made from the shipped slide, with the true places of the fields."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from napari_microsr.registration.geometry import Matrix, similarity
from napari_microsr.registration.microscope import FORTY, FOUR, TEN, Objective, Pixels, observe, strong
from napari_microsr.registration.simulate import Specimen, View, shipped_specimen, take_overview

# A camera of 10 million pixels whose pixels are joined 2 x 2.
_BINNING, _SHAPE_YX = 2, (1374, 1792)
_OVERVIEW_YX = (976, 925)
#: Angle of the camera and true over nominal pixel size, of each objective.
_ANGLE_DEG = {"10x": -1.5, "40x": 3.0}
_STRETCH = {"10x": 0.99, "40x": 1.02}
# Middles on the overview, pixels (y, x): the 40x fields lie within the 10x fields, and two pairs overlap.
_CENTRES = {
    "10x": [(330, 520), (690, 500)],
    "40x": [(300, 470), (330, 570), (430, 600), (560, 450), (640, 500), (860, 520)],
}
# Middles in the strip of the same slide that the overview does not show, in its pixels.
_ELSEWHERE = [(300, 1000), (310, 1700)]


@dataclass(frozen=True, eq=False)
class SampleField:
    """A field of the sample.

    Attributes
    ----------
    name : str
        With the objective in it.
    image : array of shape (height, width, 3), uint8
        What the camera recorded.
    um : float
        Nominal size of a pixel.
    truth_yx : array of shape (3, 3), or None
        Field pixel to overview pixel; None where the field is not on the overview.
    """

    name: str
    image: Pixels
    um: float
    truth_yx: Matrix | None


@cache
def sample() -> tuple[View, tuple[SampleField, ...]]:
    """Return the overview at 4x and ten fields at 10x and 40x, two of them not on it; the same each time."""
    slide, strip = shipped_specimen(mirror_images=False)
    overview = take_overview(slide, np.random.default_rng(0), _OVERVIEW_YX, _binned(FOUR))
    fields: list[SampleField] = []
    for name, objective in (("10x", _binned(TEN)), ("40x", _binned(FORTY))):
        for centre in _CENTRES[name]:
            to_overview = _placement(name, objective.um / overview.um, centre)
            view = _take(slide, objective, overview.to_specimen @ to_overview, len(fields))
            fields.append(SampleField(f"{name} {len(fields) + 1}", view, objective.um, to_overview))
    finest = _binned(FORTY)
    for centre in _ELSEWHERE:
        view = _take(strip, finest, _placement("40x", finest.um / strip.um, centre), len(fields))
        fields.append(SampleField(f"40x {len(fields) + 1}", view, finest.um, None))
    return overview, tuple(fields)


def write_sample(folder: Path) -> tuple[Path, Path]:
    """Write the sample as TIFF files with their pixel sizes.

    Returns
    -------
    overview, fields : Path
        The file of the overview, and the folder of the fields.
    """
    overview, fields = sample()
    place = folder / "fields"
    place.mkdir(parents=True, exist_ok=True)
    _write(folder / "overview 4x.tif", overview.image, overview.um)
    for field in fields:
        _write(place / f"{field.name}.tif", field.image, field.um)
    return folder / "overview 4x.tif", place


def _binned(objective: Objective) -> Objective:
    return replace(objective, um=objective.um * _BINNING)


def _placement(name: str, ratio: float, centre: tuple[float, float]) -> Matrix:
    middle = ((_SHAPE_YX[0] - 1) / 2, (_SHAPE_YX[1] - 1) / 2)
    return similarity(ratio * _STRETCH[name], _ANGLE_DEG[name], centre=middle, onto=centre)


def _take(specimen: Specimen, objective: Objective, to_specimen: Matrix, number: int) -> Pixels:
    rng = np.random.default_rng((1, number))
    light, blur = strong(rng), objective.blur_um(rng.uniform(0, 0.5))
    return observe(specimen.pixels, specimen.um, to_specimen, _SHAPE_YX, blur, light, rng)


def _write(path: Path, image: Pixels, um: float) -> None:
    import tifffile

    per_cm = 1e4 / um
    tifffile.imwrite(
        path, image, photometric="rgb", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
        compression="jpeg",
    )  # fmt: skip
