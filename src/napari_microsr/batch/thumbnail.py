"""A small picture of a result."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.remote import place_of
from napari_microsr.errors import MicroSRError

SIDE_PX = 160


def thumbnail(output: str) -> bytes | None:
    """Return a JPEG of an image or a table of localisations, None where there is nothing to see.

    Of several planes the middle one is shown.
    """
    try:
        path = place_of(output)
        if path.is_dir():
            picture = _of_image(path)
        elif path.suffix.lower() in (".csv", ".hdf5", ".parquet"):
            picture = _of_table(path)
        else:
            return None
    except MicroSRError:  # the result is gone or damaged, and the page says what it was
        return None
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(picture), level=80))


def _of_image(path: Path) -> NDArray[np.uint8]:
    from napari_microsr.core.image import open_image

    image = open_image(path, level=-1)
    block = image.read(image.n_planes // 2, slice(0, image.height), slice(0, image.width))
    step = max(1, -(-max(block.shape[1:]) // SIDE_PX))
    small = block[:, ::step, ::step]
    return _grey_levels(small).transpose(1, 2, 0) if image.rgb else _grey_levels(small)[0]


def _of_table(path: Path) -> NDArray[np.uint8]:
    from napari_microsr.smlm.formats import read_table

    table = read_table(path)
    if not len(table):
        return np.zeros((8, 8), np.uint8)
    counts, _, _ = np.histogram2d(table.y_nm, table.x_nm, bins=SIDE_PX)
    return _grey_levels(np.sqrt(counts))


def _grey_levels(block: NDArray[Any]) -> NDArray[np.uint8]:
    """Return intensities as 0 to 255; those of 8 bits as they are, others between their percentiles."""
    if block.dtype == np.uint8:
        return np.asarray(block, np.uint8)
    values = np.nan_to_num(block.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = np.percentile(values, (0.5, 99.8))
    grey = np.clip(255 * (values - low) / max(high - low, 1e-12), 0, 255)
    return np.asarray(grey, np.uint8)
