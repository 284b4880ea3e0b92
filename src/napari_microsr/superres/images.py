"""The images of a training, wherever they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.degrade import Pixels
from napari_microsr.superres.hdf5 import open_hdf5
from napari_microsr.superres.pair_sources import open_paired_folders, open_registered
from napari_microsr.superres.sources import (
    HIGH,
    LOW,
    STORE_SUFFIX,
    TrainingImage,
    list_files,
    open_file,
    pair_images,
    sharp_images,
)

HDF5_SUFFIXES = {".h5", ".hdf5", ".hdf"}
#: List that the export of registered pairs writes.
MANIFEST = "pairs.json"
#: Images from Python: by name, the sharp image or the pair (low, high).
Given = Mapping[str, Any]


def open_images(data: Path | None, channels: int, given: Given | None = None) -> list[TrainingImage]:
    """Find the images of a training without reading large ones.

    Parameters
    ----------
    data : Path or None
        A folder of images and OME-Zarr stores, a single one of them, a folder with the folders `low` and
        `high`, the folder or list of exported pairs, or an HDF5 file of pairs.
    channels : int
        3 for RGB, 1 for one channel.
    given : mapping, optional
        Images from Python in the place of `data`: arrays or ImageSource by name, or pairs (low, high).

    Raises
    ------
    InputError
        If there are none, one cannot be read, or they do not go together.
    """
    if given is not None:
        return [image for name, what in given.items() for image in _given(name, what, channels)]
    if data is None:
        raise InputError("The training has no images.", "Set 'data' to a folder of images.")
    if data.suffix.lower() in HDF5_SUFFIXES:
        return open_hdf5(data, channels)
    if data.name == MANIFEST or (data / MANIFEST).is_file():
        return open_registered(data if data.name == MANIFEST else data / MANIFEST, channels)
    if (data / LOW).is_dir() or (data / HIGH).is_dir():
        return open_paired_folders(data, channels)
    if data.is_file() or data.suffix == STORE_SUFFIX:
        return open_file(data, channels)
    files = list_files(data)
    if not files:
        raise InputError(
            f"There is no image in {data}.",
            "Point 'data' to a folder of PNG, WebP, TIFF, JPEG or OME-Zarr images, or to pairs.",
        )
    return [image for path in files for image in open_file(path, channels)]


def _given(name: str, what: Any, channels: int) -> list[TrainingImage]:
    if isinstance(what, tuple):
        low, high = (_as_source(name, part, channels) for part in what)
        return pair_images(name, low, high, channels)
    return sharp_images(name, _as_source(name, what, channels), channels)


def _as_source(name: str, image: ImageSource | Pixels, channels: int) -> ImageSource:
    if isinstance(image, ImageSource):
        return image
    return ImageSource.from_array(image, rgb=channels == 3 and image.ndim > 2, name=name)
