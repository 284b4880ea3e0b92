"""Images of a slide whose true placement is known: a specimen, and the views that a microscope gives of it.

The truth is a matrix from image pixel to specimen pixel, (y, x, 1), centres at integers, so that the
placement of a field on an overview is exact by construction (`View.on`). `microscope` makes the pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, hypot

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from napari_microsr.core.samples import SLIDE
from napari_microsr.registration.geometry import Matrix, similarity
from napari_microsr.registration.microscope import (
    FORTY,
    FOUR,
    Light,
    Objective,
    Pixels,
    mild,
    observe,
    strong,
)

#: First and last + 1 (y0, x0, y1, x1), in specimen pixels.
Box = tuple[float, float, float, float]

CAMERA_YX = (2748, 3584)
BACKGROUND = 243
TISSUE_BELOW = 215
#: Rows of the shipped slide that are kept off the specimen: their fields are not on the overview.
RESERVED_ROWS = 617
#: Half the diagonal of a 40x field: nearer to the canvas' edge a field would show much of its own reflection.
_MARGIN_PX = 270
_SHRINK = 8
_DRAWS = 5000


@dataclass(frozen=True, eq=False)
class Specimen:
    """A slide without a microscope.

    Attributes
    ----------
    pixels : array of shape (height, width, 3), uint8
        As sharp as there is.
    um : float
        Size of a pixel.
    homes : tuple of (Box, float)
        Where fields are taken, with the share of them taken there.
    """

    pixels: Pixels
    um: float
    homes: tuple[tuple[Box, float], ...]

    @cached_property
    def tissue(self) -> NDArray[np.float32]:
        """Share of tissue in blocks of 8 x 8 pixels."""
        h, w = (n // _SHRINK for n in self.pixels.shape[:2])
        # 3 * TISSUE_BELOW fits no byte, hence the type of the sum.
        dark = self.pixels[: h * _SHRINK, : w * _SHRINK].sum(2, dtype=np.uint16) < 3 * TISSUE_BELOW
        return np.asarray(dark.reshape(h, _SHRINK, w, _SHRINK).mean((1, 3)), dtype=np.float32)

    def tissue_around(self, centre_yx: tuple[float, float], radius_px: float) -> float:
        """Return the share of tissue in a disc, glass where it reaches off the specimen."""
        cy, cx, r = ((v + 0.5) / _SHRINK for v in (*centre_yx, radius_px))
        y, x = np.ogrid[ceil(cy - r - 0.5) : int(cy + r) + 1, ceil(cx - r - 0.5) : int(cx + r) + 1]
        inside = (y + 0.5 - cy) ** 2 + (x + 0.5 - cx) ** 2 <= r * r
        h, w = self.tissue.shape
        on = inside & (y >= 0) & (y < h) & (x >= 0) & (x < w)
        seen = self.tissue[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)]
        return float((seen * on).sum() / max(inside.sum(), 1))


def shipped_specimen(
    first_reserved_row: int = 2350, others: tuple[Pixels, ...] = (), *, mirror_images: bool = True
) -> tuple[Specimen, Specimen]:
    """Lay the shipped slide out on a canvas of 2.2 x 1.7 mm, and a strip of it aside.

    Parameters
    ----------
    first_reserved_row : int
        Where the strip of `RESERVED_ROWS` begins that the canvas lacks.
    others : tuple of array, uint8
        Images of other tissue at 0.5 µm per pixel, 600 px or larger, laid below the slide.
    mirror_images : bool
        Whether each image gets its mirror image beside it, which makes it hard to tell places apart. A
        field of a mirrored camera belongs to both.

    Returns
    -------
    slide : Specimen
        The slide, and below it the others.
    strip : Specimen
        What was reserved: tissue of the same slide that is not on the canvas.
    """
    import tifffile

    whole = tifffile.imread(SLIDE)
    last = first_reserved_row + RESERVED_ROWS
    strip, kept = whole[first_reserved_row:last], np.delete(whole, np.s_[first_reserved_row:last], axis=0)
    canvas = np.full((3312, 4320, 3), BACKGROUND, np.uint8)
    _paste(canvas, kept, 0, 0)
    h, w = kept.shape[:2]
    homes: list[tuple[Box, float]] = [((_MARGIN_PX, _MARGIN_PX, h, w), 0.8 if others else 1.0)]
    if mirror_images:
        _paste(canvas, kept[:, :2100][:, ::-1], 0, w)
    x = 0
    for other in others:
        last_y = min(h + other.shape[0], canvas.shape[0] - _MARGIN_PX)
        homes.append(((h, max(x, _MARGIN_PX), last_y, x + other.shape[1]), 0.2 / len(others)))
        for pixels in (other, other[:, ::-1])[: 1 + mirror_images]:
            _paste(canvas, pixels, h, x)
            x += other.shape[1]
    if mirror_images:
        _paste(
            canvas, kept.transpose(1, 0, 2)[600:], h, x
        )  # flipped and turned; turned alone would be the same
    whole_strip = (0.0, 0.0, float(strip.shape[0]), float(strip.shape[1]))
    return Specimen(canvas, 0.5, tuple(homes)), Specimen(strip, 0.5, ((whole_strip, 1.0),))


def _paste(canvas: Pixels, pixels: Pixels, y: int, x: int) -> None:
    """Lay pixels down; what reaches over the edge is lost."""
    under = canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]]
    under[:] = pixels[: under.shape[0], : under.shape[1]]


@dataclass(frozen=True, eq=False)
class View:
    """A simulated image.

    Attributes
    ----------
    image : array of shape (height, width, 3), uint8
        What the camera recorded.
    to_specimen : array of shape (3, 3)
        Image pixel (y, x, 1) to specimen pixel, centres at integers.
    um : float
        Nominal size of a pixel; the true one can differ by the scale error.
    """

    image: Pixels
    to_specimen: Matrix
    um: float

    def on(self, overview: "View") -> Matrix:
        """Return the true placement: pixel of this image to pixel of the overview."""
        return np.asarray(np.linalg.solve(overview.to_specimen, self.to_specimen), dtype=np.float64)

    def columns(self, start: int, stop: int) -> "View":
        """Return the part of the image between two columns."""
        shift = np.array([[1, 0, 0], [0, 1, start], [0, 0, 1]], dtype=np.float64)
        return View(self.image[:, start:stop], self.to_specimen @ shift, self.um)


@dataclass(frozen=True)
class Conditions:
    """Under which conditions fields are taken.

    Attributes
    ----------
    objective : Objective
        With its nominal pixel size.
    max_rotation_deg : float
        Fields are turned by at most this.
    scale_error : tuple of float
        Smallest and largest error of the nominal pixel size, either sign.
    light : callable
        Draws the light of a field.
    defocus_um : tuple of float
        Smallest and largest sigma of the defocus.
    min_tissue : float
        Least share of tissue in the field.
    rotation_deg : float
        Angle of the camera, from which the rotations count.
    mirrored : bool
        Whether the camera exchanges left and right.
    shape_yx : tuple of int
        Height and width of a field.
    """

    objective: Objective = FORTY
    max_rotation_deg: float = 180.0
    scale_error: tuple[float, float] = (0.0, 0.03)
    light: Callable[[Generator], Light] = strong
    defocus_um: tuple[float, float] = (0.0, 1.0)
    min_tissue: float = 0.4
    rotation_deg: float = 0.0
    mirrored: bool = False
    shape_yx: tuple[int, int] = CAMERA_YX


def take_overview(
    specimen: Specimen, rng: Generator, shape_yx: tuple[int, int] = CAMERA_YX, objective: Objective = FOUR
) -> View:
    """Image the specimen from its upper left corner on at low magnification."""
    step = objective.um / specimen.um
    to_specimen = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2], [0, 0, 1]])
    image = observe(
        specimen.pixels,
        specimen.um,
        to_specimen,
        shape_yx,
        objective.blur_um(),
        mild(rng),
        rng,
        reflect=False,
    )
    return View(image, to_specimen, objective.um)


def take_field(
    specimen: Specimen,
    conditions: Conditions,
    rng: Generator,
    within: Box | None = None,
    accept: Callable[[Matrix], bool] = lambda to_specimen: True,
) -> View:
    """Image a place of the specimen drawn at random.

    Parameters
    ----------
    specimen, conditions
        What is imaged, and how.
    rng : Generator
        Seed it by set and index, so that each field can be made again alone.
    within : Box, optional
        Where the field's centre lies; empty takes the specimen's homes.
    accept : callable
        Further condition on the place, given the field's matrix to the specimen.

    Raises
    ------
    ValueError
        No place was drawn that fulfils the conditions.
    """
    objective, (h, w) = conditions.objective, conditions.shape_yx
    error = rng.uniform(*conditions.scale_error) * rng.choice((-1, 1))
    scale = objective.um * (1 + error) / specimen.um
    light, defocus = conditions.light(rng), rng.uniform(*conditions.defocus_um)
    homes = ((within, 1.0),) if within else specimen.homes
    for _ in range(_DRAWS):
        y0, x0, y1, x1 = homes[rng.choice(len(homes), p=[share for _, share in homes])][0]
        onto = (rng.uniform(y0, y1), rng.uniform(x0, x1))
        rotation = conditions.rotation_deg + rng.uniform(-1, 1) * conditions.max_rotation_deg
        centre, mirrored = ((h - 1) / 2, (w - 1) / 2), conditions.mirrored
        matrix = similarity(scale, rotation, centre=centre, onto=onto, mirrored=mirrored)
        enough = specimen.tissue_around(onto, 0.7 * hypot(h, w) / 2 * scale) >= conditions.min_tissue
        if enough and accept(matrix):
            break
    else:
        raise ValueError(f"no place with {conditions.min_tissue:.0%} tissue in {_DRAWS} draws")
    image = observe(specimen.pixels, specimen.um, matrix, (h, w), objective.blur_um(defocus), light, rng)
    return View(image, matrix, objective.um)
