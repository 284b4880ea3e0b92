"""What kind of images a training would be on, by a look at the first."""

import json
from dataclasses import dataclass
from pathlib import Path

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.hdf5 import open_hdf5
from napari_microsr.superres.images import HDF5_SUFFIXES, MANIFEST, open_images
from napari_microsr.superres.sources import HIGH, LOW, STORE_SUFFIX, TrainingImage, list_files, read_source


@dataclass(frozen=True)
class ImageKind:
    """What the first image of a training is.

    Attributes
    ----------
    channels : int
        3 for RGB of 8 bits, else 1.
    factor : int or None
        Pixels of the high image per pixel of the low one; None where low images are to be made.
    pixel_um : float or None
        Size of a pixel of the image, or of the low one of a pair, where the file says it.
    """

    channels: int
    factor: int | None
    pixel_um: float | None

    @classmethod
    def of(cls, high: ImageSource, low: ImageSource | None = None) -> "ImageKind":
        """Describe a sharp image, or a pair."""
        colour = high.rgb and high.dtype.name == "uint8"
        size = (low or high).placement.pixel_size_um
        factor = None if low is None else max(high.height // max(low.height, 1), 1)
        return cls(3 if colour else 1, factor, None if size is None else float(size[-1]))


def look_at(data: Path) -> ImageKind:
    """Look at the first image of `DataOptions.data`, without reading large ones.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    if data.suffix.lower() in HDF5_SUFFIXES:
        return _look_at_hdf5(data)
    manifest = data if data.name == MANIFEST else data / MANIFEST
    if manifest.is_file():
        pair = _first_registered(manifest)
    elif (data / LOW).is_dir() and (data / HIGH).is_dir():
        pair = [next(iter(list_files(data / kind)), None) for kind in (HIGH, LOW)]
    else:
        single = data.is_file() or data.suffix == STORE_SUFFIX
        pair = [data if single else next(iter(list_files(data)), None)]
    found = [read_source(path) for path in pair if path is not None]
    if len(found) != len(pair):
        open_images(data, 3)  # says what is wrong
        raise InputError(f"There is no image in {data}.", "Choose another folder.")
    return ImageKind.of(*found)


def _first_registered(manifest: Path) -> list[Path | None]:
    try:
        fields = json.loads(manifest.read_text("utf-8"))["fields"]
        first = next(field for field in fields if field["patches"])
        return [manifest.parent / first[kind] for kind in (HIGH, LOW)]
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return [None]


def _look_at_hdf5(path: Path) -> ImageKind:
    try:
        first: TrainingImage = open_hdf5(path, 3)[0]
    except InputError:
        first = open_hdf5(path, 1)[0]
    return ImageKind.of(first.high.source, None if first.low is None else first.low.source)
