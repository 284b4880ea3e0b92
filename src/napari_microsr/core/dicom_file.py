"""Whole slides in DICOM (VL Whole Slide Microscopy Image), read tile by tile through wsidicom."""

import weakref
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.dicom_header import read_headers
from napari_microsr.core.file_array import FileArray, FileImage, level_number
from napari_microsr.core.name_pattern import in_number_order
from napari_microsr.core.placement import Placement
from napari_microsr.errors import InputError, MicroSRError

_CACHE_BYTES = 64 * 2**20


def read_dicom(path: Path, level: int = 0) -> FileImage:
    """Describe a level of a slide, 0 the finest.

    Parameters
    ----------
    path : Path
        A folder with the files of one series, or a file, which is taken alone.
    level : int
        Of those that are there.

    Returns
    -------
    FileImage
        Colours (y, x, c), or one plane per optical path (c) and focal plane (z) where there are several.

    Raises
    ------
    InputError
        If wsidicom is not installed, it is no slide or two, a file is damaged or incomplete, or there is no
        such level.
    """
    pixels = open_dicom(path, level)
    array = FileArray(path, partial(open_dicom, level=level), pixels.shape, pixels.dtype, pixels)
    return FileImage(array, pixels.axes, pixels.rgb, pixels.placement)


def open_dicom(path: Path, level: int = 0) -> "DicomLevel":
    """Return the pixels of `read_dicom`."""
    files = [header.file for header in read_headers(path)]
    wsidicom = _library(path)
    settings = wsidicom.Settings(
        strict_tile_size_check=False,  # some scanners give small levels smaller tiles
        decoded_frame_cache_size=_CACHE_BYTES,
        encoded_frame_cache_size=_CACHE_BYTES,
    )
    source = None
    try:
        with wsidicom.use_settings(settings):
            source = wsidicom.file.WsiDicomFileSource.open(files)
            _check_opened(path, files, source)
            return DicomLevel(path, source, wsidicom.WsiDicom(source, settings=settings), level)
    except Exception as error:
        if source is not None:
            source.close()
        if isinstance(error, MicroSRError):
            raise
        # Errors of wsidicom, of pydicom and of the decoders have no class in common.
        raise InputError(
            f"{path} cannot be opened as a slide: {str(error) or type(error).__name__}.",
            "Its files seem damaged or incomplete: copy them again from where they were recorded.",
        ) from error


class DicomLevel:
    """The pixels of a level of a slide.

    Parameters
    ----------
    path : Path
        Of the slide, for messages.
    source : wsidicom.file.WsiDicomFileSource
        Its files.
    slide : wsidicom.WsiDicom
        It is closed with this.
    level : int
        Of the largest pyramid, 0 the finest.

    Attributes
    ----------
    axes : str
        c and z where there are several optical paths and focal planes, y, x, and c where it is RGB.
    shape, dtype, rgb, placement
        As in `FileImage`.

    Raises
    ------
    InputError
        If there is no such level, or something of it is missing.
    """

    def __init__(self, path: Path, source: Any, slide: Any, level: int) -> None:
        levels = slide.pyramids[0].levels
        chosen = levels[level_number(path, level, len(levels))]
        data = chosen.default_instance.image_data
        self._slide, self._number = slide, chosen.level
        self._paths, self._planes = in_number_order(set(chosen.optical_paths)), list(chosen.focal_planes)
        self.rgb, self.dtype = data.samples_per_pixel == 3, np.dtype(data.dtype)
        _check_complete(path, source, chosen)
        several = {"c": len(self._paths), "z": len(self._planes)}
        self._stacked = "".join(axis for axis, count in several.items() if count > 1)
        if self.rgb and "c" in self._stacked:
            raise InputError(
                f"{path} has colours at {len(self._paths)} optical paths.",
                "Convert it to one image for each.",
            )
        self.axes = f"{self._stacked}yx{'c' * self.rgb}"
        leading = (several[axis] for axis in self._stacked)
        self.shape = (*leading, chosen.size.height, chosen.size.width, *((3,) if self.rgb else ()))
        self.placement = _placement(f"{self._stacked}yx", levels[0], chosen, self._planes)
        weakref.finalize(self, slide.close)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return what `ImageSource.read` asks for: a plane's number, and slices of y, x and colours."""
        where: dict[str, Any] = dict(zip(self._stacked, index, strict=False))
        y, x = index[len(self._stacked) :][:2]
        assert isinstance(y, slice)
        assert isinstance(x, slice)
        block: NDArray[Any] = self._slide.read_region(
            (x.start, y.start),
            self._number,
            (x.stop - x.start, y.stop - y.start),
            z=self._planes[where.get("z", 0)],
            path=self._paths[where.get("c", 0)],
            pyramid=0,
            as_array=True,
        )
        return block[..., index[-1]] if self.rgb else block


def _placement(axes: str, finest: Any, level: Any, planes: list[float]) -> Placement:
    """Place a level on the area of the finest one: their first corners, not pixel centres, coincide."""
    sizes = {"y": (float(level.mpp.height), "um"), "x": (float(level.mpp.width), "um")}
    if len(planes) > 1:
        sizes["z"] = ((planes[-1] - planes[0]) / (len(planes) - 1), "um")
    ratios = (finest.mpp.height / level.mpp.height, finest.mpp.width / level.mpp.width)
    y, x = ((1 - ratio) / 2 for ratio in ratios)
    return Placement.of_sizes(axes, sizes).moved(y, x)


def _check_opened(path: Path, files: list[Path], source: Any) -> None:
    """Refuse a slide with pixels past the end of a file, or of which wsidicom left out a file.

    It does so with those that it cannot read.

    Raises
    ------
    InputError
    """
    opened = {file.name for file in source.files}
    for file in files:
        if file.name not in opened:
            raise InputError(
                f"{file} cannot be read as a part of the slide {path}.",
                "It is damaged, or of an uncommon kind of pixels: copy it again, or convert it to 8-bit RGB.",
            )
    for reader in source.readers:
        try:
            end = max(start + length for start, length in reader.frame_index)
        except (EOFError, ValueError):
            end = inf  # it ends where its table of frames should be
        if end > reader.filepath.stat().st_size:
            raise InputError(
                f"{reader.filepath} is incomplete: it ends before its last pixels.",
                "Copy it again from where it was recorded.",
            )


def _check_complete(path: Path, source: Any, level: Any) -> None:
    """Refuse a level that lacks a part.

    Raises
    ------
    InputError
    """
    parts = [reader for reader in source.readers if reader.dataset in level.datasets]
    frames = sum(reader.frame_count for reader in parts)
    wanted = level.tiled_size.area * len(level.optical_paths) * len(level.focal_planes)
    if frames < wanted and parts[0].dataset.states_tiled_full:
        raise InputError(
            f"{path} has {frames} of {wanted} tiles of the level.",
            "Put all files of the slide into one folder, and choose the folder.",
        )


def _library(path: Path) -> Any:
    try:
        import wsidicom
        import wsidicom.file
    except ImportError as error:
        raise InputError(
            f"{path} is a slide in DICOM, and a package that reads it is not installed.",
            "Install it with: pip install 'napari-microsr[wsi]'.",
        ) from error
    return wsidicom
