"""The kinds of image files that can be opened, told apart by their first bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.dicom_header import MAGIC, PREAMBLE, holds_slide, is_dicom
from napari_microsr.core.file_array import FileArray, FileImage, level_number
from napari_microsr.core.file_series import names_series, read_series
from napari_microsr.errors import InputError, MicroSRError

READABLE = "TIFF (also OME-TIFF, SVS, NDPI), OME-Zarr, DICOM slides, PNG, JPEG and WebP"


def read_file(path: Path, level: int = 0) -> FileImage:
    """Open a level of a file or folder, 0 the finest, by the reader of its kind.

    Raises
    ------
    InputError
        If it is missing, empty, damaged, of an unknown type, or has no such level.
    """
    try:
        if path.is_dir():
            return _dicom(path, level) if holds_slide(path) else _zarr(path, level)
        if names_series(path) and not path.exists():
            return read_series(path, level)
        with path.open("rb") as file:
            start = file.read(PREAMBLE + len(MAGIC))
        if not start:
            raise InputError(f"{path} is empty.", "Copy it again from where it was recorded.")
        for signature, reader in _READERS:
            if start.startswith(signature):
                return reader(path, level)
        if is_dicom(start):
            return _dicom(path, level)
    except MicroSRError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the path.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read.", "Ask for the permission to read it.") from error
    except Exception as error:
        raise InputError(
            f"{path} cannot be opened: {str(error) or type(error).__name__}.",
            "The file seems damaged or incomplete: copy it again from where it was recorded.",
        ) from error
    raise InputError(f"{path} is of an unknown type.", f"These can be opened: {READABLE}.")


def _zarr(path: Path, level: int) -> FileImage:
    # zarr and tifffile are imported when the first of their files comes: the plugin starts sooner.
    from napari_microsr.core.zarr_file import read_zarr

    return read_zarr(path, level)


def _tiff(path: Path, level: int) -> FileImage:
    from napari_microsr.core.tiff_file import read_tiff

    return read_tiff(path, level)


def _dicom(path: Path, level: int) -> FileImage:
    from napari_microsr.core.dicom_file import read_dicom

    return read_dicom(path, level)


def _picture(path: Path, level: int) -> FileImage:
    level_number(path, level, 1)
    # Decoded at once: such files cannot be read in parts, and damage shows now, not in mid-run.
    pixels = decode_picture(path)
    array = FileArray(path, decode_picture, pixels.shape, pixels.dtype, pixels)
    colour = pixels.ndim == 3
    return FileImage(array, "yxc" if colour else "yx", rgb=colour)


def decode_picture(path: Path) -> NDArray[Any]:
    """Decode a PNG, JPEG or WebP file: (y, x) where it is grey, else (y, x, 3).

    Palettes become RGB, 1-bit pixels 0 and 255, transparency is dropped, 16 bits stay 16 bits,
    and the rotation noted by a camera is left alone.

    Raises
    ------
    InputError
        If the file is incomplete, or a JPEG in CMYK.
    """
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        pixels = imagecodecs.png_decode(data)
    elif data.startswith(b"\xff\xd8"):
        # The decoder fills what is missing with grey and is content. A complete file has an
        # end-of-image marker after its last start-of-scan marker (ITU-T T.81, B.1.1.2).
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise InputError(f"{path} is incomplete.", "Copy it again from where it was recorded.")
        pixels = imagecodecs.jpeg8_decode(data)
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            raise InputError(f"{path} is in CMYK colours.", "Convert it to RGB.")
    else:
        pixels = imagecodecs.webp_decode(data)
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3]
    return np.ascontiguousarray(pixels)


_READERS: list[tuple[bytes, Callable[[Path, int], FileImage]]] = [
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),  # BigTIFF
    (b"MM\0+", _tiff),
    (b"\x89PNG\r\n\x1a\n", _picture),
    (b"\xff\xd8\xff", _picture),
    (b"RIFF", _picture),
]
