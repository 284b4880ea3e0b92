"""Training images, sharp or in pairs, and the files that they come from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.errors import InputError
from napari_microsr.superres.planes import Plane, open_planes

SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".svs", ".ndpi", ".jpg", ".jpeg", ".bmp"}
STORE_SUFFIX = ".zarr"
LOW, HIGH = "low", "high"


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """A sharp picture, and the low-resolution one of the same place where it was taken, too.

    Attributes
    ----------
    name : str
        Of the file, field or layer.
    high : Plane
        The sharp picture.
    low : Plane or None
        None where it is made from the sharp one.
    factor : int
        Pixels of `high` per pixel of `low`.
    places : ndarray of int, (n, 2), or None
        First rows and columns in `low` of squares that fit; None where all of it does.
    place_px : int
        Side of those squares in `low`.
    """

    name: str
    high: Plane
    low: Plane | None = None
    factor: int = 1
    places: NDArray[np.int64] | None = None
    place_px: int = 0


def list_files(folder: Path) -> list[Path]:
    """Return the images and stores in a folder, by name."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES or p.suffix == STORE_SUFFIX)


def open_file(path: Path, channels: int) -> list[TrainingImage]:
    """Open each plane of a file or store as a training image."""
    return sharp_images(path.name, read_source(path), channels)


def sharp_images(name: str, source: ImageSource, channels: int) -> list[TrainingImage]:
    """Return each plane of an image; several get a number."""
    planes = open_planes(source, channels)
    return [TrainingImage(plane_name(name, n, planes), plane) for n, plane in enumerate(planes)]


def plane_name(name: str, number: int, planes: list[Plane]) -> str:
    """Return the name of a plane among others."""
    return name if len(planes) == 1 else f"{name}#{number}"


def read_source(path: Path) -> ImageSource:
    """Open a file, also one of the kinds that only training reads."""
    if path.suffix.lower() != ".bmp":
        return open_image(path)
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"The image {path} cannot be read ({error}).", "Remove or replace it.") from error
    return ImageSource.from_array(pixels, name=path.stem)


def pair_images(
    name: str,
    low: ImageSource,
    high: ImageSource,
    channels: int,
    places: NDArray[np.int64] | None = None,
    place_px: int = 0,
) -> list[TrainingImage]:
    """Return the planes of two images of one place as pairs.

    Raises
    ------
    InputError
        If one is not a whole number of times as large as the other.
    """
    factor = high.height // low.height
    expected = (low.height * factor, low.width * factor, low.n_planes)
    if not factor or (high.height, high.width, high.n_planes) != expected:
        sizes = " and ".join(f"{i.height} x {i.width} pixels, {i.n_planes} planes" for i in (low, high))
        raise InputError(
            f"The low and the high image of {name} do not go together ({sizes}).",
            "The high one must have a whole number of times as many pixels, the same along y and x.",
        )
    lows, highs = open_planes(low, channels), open_planes(high, channels)
    return [
        TrainingImage(plane_name(name, n, highs), sharp, soft, factor, places, place_px)
        for n, (soft, sharp) in enumerate(zip(lows, highs, strict=True))
    ]
