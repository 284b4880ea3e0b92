"""HDF5 files of pairs as PlacentaSR's: X the low images, Y the encoded residuals, Y0 the high ones.

The residual is R = clip(127 + 2 (low - high), 0, 255) in 8 bits (Rabbani et al., arXiv 2208.00163), so that
high = low - (R - 127) / 2.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.degrade import Pixels
from napari_microsr.superres.sources import TrainingImage, pair_images

X, RESIDUAL, Y0, NAMES = "X", "Y", "Y0", "names"
MIDDLE, GAIN = 127, 2


def encode_residual(low: Pixels, high: Pixels) -> Pixels:
    """Return the 8-bit residual of two 8-bit images."""
    difference = low.astype(np.int16) - high.astype(np.int16)
    return np.clip(MIDDLE + GAIN * difference, 0, 255).astype(np.uint8)


def decode_residual(low: Pixels, residual: Pixels) -> Pixels:
    """Return the high image of a low one and its residual; what was clipped stays lost."""
    high = low.astype(np.float32) - (residual.astype(np.float32) - MIDDLE) / GAIN
    return np.rint(high).clip(0, 255).astype(np.uint8)


class Hdf5Array:
    """A data set of a file that is opened for each read: open HDF5 files do not survive a fork."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype

    def __getitem__(self, index: Any) -> Pixels:
        import h5py

        with h5py.File(self.path, "r") as file:
            return np.asarray(file[self.name][index])


class ResidualArray:
    """The high images of a file that holds residuals only, decoded where they are read."""

    def __init__(self, low: Hdf5Array, residual: Hdf5Array) -> None:
        self.low, self.residual = low, residual
        self.shape, self.dtype = low.shape, low.dtype

    def __getitem__(self, index: Any) -> Pixels:
        return decode_residual(self.low[index], self.residual[index])


def open_hdf5(path: Path, channels: int) -> list[TrainingImage]:
    """Open the pairs of an HDF5 file; slices are read when they are wanted.

    Pairs are called after the data set `names` of the file where it has one, else by their number.

    Raises
    ------
    InputError
        If it cannot be read or has no pairs.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = {name: (file[name].shape, file[name].dtype) for name in (X, RESIDUAL, Y0) if name in file}
            names = [str(n) for n in file[NAMES].asstr()] if NAMES in file else []
    except (OSError, TypeError, AttributeError) as error:
        raise InputError(
            f"The HDF5 file {path} cannot be read ({error}).", "Copy it again, or prepare it again."
        ) from error
    arrays = {name: Hdf5Array(path, name, *facts) for name, facts in found.items()}
    if X not in arrays or not (RESIDUAL in arrays or Y0 in arrays):
        raise InputError(
            f"The HDF5 file {path} has the data sets {', '.join(found) or 'of other names'}.",
            "It needs X (low) and Y0 (high) or Y (residual), each (n, height, width, channels).",
        )
    high = arrays[Y0] if Y0 in arrays else ResidualArray(arrays[X], arrays[RESIDUAL])
    low_image, high_image = (_source(array, path, channels) for array in (arrays[X], high))
    pairs = pair_images(path.stem, low_image, high_image, channels)
    names = names if len(names) == len(pairs) else [f"{n:05d}" for n in range(len(pairs))]
    return [
        TrainingImage(name, pair.high, pair.low, pair.factor) for name, pair in zip(names, pairs, strict=True)
    ]


def write_hdf5(path: Path, pairs: Iterable[tuple[str, Pixels, Pixels]]) -> Path:
    """Write pairs (name, low, high) of 8-bit images, all of one size, with residuals where they share a grid.

    Raises
    ------
    InputError
        If a pair is of another size or type than the first.
    """
    import h5py

    with h5py.File(path, "w") as file:
        count = 0
        for count, (name, low, high) in enumerate(pairs, start=1):
            parts = {X: low, Y0: high}
            if low.shape == high.shape:
                parts[RESIDUAL] = encode_residual(low, high)
            for key, image in parts.items():
                if key not in file:
                    file.create_dataset(
                        key, (0, *image.shape), "u1", maxshape=(None, *image.shape), chunks=(1, *image.shape)
                    )
                if image.shape != file[key].shape[1:] or image.dtype != np.uint8:
                    raise InputError(
                        f"The image {name} is {image.shape} {image.dtype}, the first was "
                        f"{file[key].shape[1:]} uint8.",
                        "Cut all images to one size of 8 bits.",
                    )
                file[key].resize(count, axis=0)
                file[key][count - 1] = image
            if NAMES not in file:
                file.create_dataset(NAMES, (0,), h5py.string_dtype(), maxshape=(None,))
            file[NAMES].resize(count, axis=0)
            file[NAMES][count - 1] = name
    return path


def _source(array: Any, path: Path, channels: int) -> ImageSource:
    axes = "zyxc"[: len(array.shape)]
    rgb = len(array.shape) == 4 and array.shape[3] == 3
    return ImageSource.from_array(array, axes=axes, rgb=rgb, name=path.name, path=path)
