"""Images in TIFF files of every flavour that tifffile knows, read tile by tile."""

import re
import struct
import weakref
from collections import OrderedDict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from napari_microsr.core.file_array import FileArray, FileImage, axis_letters, level_number
from napari_microsr.core.placement import PIXEL, UM_PER_UNIT, Placement, unit_symbol
from napari_microsr.core.remote import is_remote
from napari_microsr.errors import InputError

# Coarser "pixel sizes" in the resolution tags are those of printers and screens (72 to 600 dpi).
_COARSEST_UM = 25.0
_CACHE_BYTES = 64 * 2**20

Sizes = dict[str, tuple[float, str]]  # axis -> step and its unit


class TileCache(WrapperStore[Store]):
    """A store that keeps the chunks last decoded, for neighbouring windows share them.

    Without it an image in wide strips would be decoded again for every window. At least one chunk
    is kept: where a file is a single chunk there is no other way.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._chunks: OrderedDict[str, Buffer | None] = OrderedDict()
        self._bytes = 0

    @property
    def read_only(self) -> bool:
        """Say yes: that of tifffile would write into plain pixels, and zarr refuses it for reading."""
        return True

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a chunk from memory or from the file."""
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        chunk = await super().get(key, prototype, byte_range)
        if key not in self._chunks:
            self._chunks[key] = chunk
            self._bytes += 0 if chunk is None else len(chunk)
        while self._bytes > _CACHE_BYTES and len(self._chunks) > 1:
            _, oldest = self._chunks.popitem(last=False)
            self._bytes -= 0 if oldest is None else len(oldest)
        return chunk


class Mapped:
    """Pixels that lie in one piece of a file, mapped; a part is a copy.

    A file that somebody cuts while it is mapped would end the whole program at the next look, so its size is
    looked at first.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> None:
        self._path = path
        self._pixels = np.memmap(path, dtype, mode="r", offset=offset, shape=shape)
        self._end = offset + self._pixels.nbytes
        self.shape, self.dtype = self._pixels.shape, self._pixels.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self._path.stat().st_size < self._end:
            raise InputError(
                f"{self._path} has become shorter since it was opened.",
                "Wait until it is written, or copy it again from where it was recorded.",
            )
        return np.array(self._pixels[index])


def read_tiff(path: Path, level: int = 0) -> FileImage:
    """Describe a level of the main image of a TIFF file, 0 the finest.

    Raises
    ------
    InputError
        If the file is incomplete, has no such level, or is in colours that are neither RGB nor grey.
    """
    with _opened(path) as tif:
        finest = _main_series(tif, path)
        series = finest.levels[level_number(path, level, len(finest.levels))]
        page = series.keyframe
        _check_complete(series, path)
        _check_colours(tif, page, path)
        rgb = _is_rgb(series)
        axes = _axes(series.axes, rgb)
        array = FileArray(path, partial(open_tiff, level=level), series.shape, _dtype(tif, series))
        placed = axes.replace("c", "") if rgb else axes
        placement = Placement.of_sizes(placed, _sizes(tif, finest))
        if series is not finest:
            x = finest.axes.index("X")
            placement = placement.finer(series.shape[x] / finest.shape[x])
        return FileImage(array, axes, rgb, placement)


def open_tiff(path: Path, level: int = 0) -> Any:
    """Return the pixels of `read_tiff`: mapped where they lie in one piece, else a zarr array."""
    tif = _opened(path)
    try:
        series = _main_series(tif, path).levels[level]
        if _is_mapped(tif, series):
            dtype, offset, shape = _dtype(tif, series), series.dataoffset, series.shape
            tif.close()
            return Mapped(path, dtype, offset, shape)
        store = TileCache(series.aszarr(level=0))
        # tifffile looks pages up when they are needed, so the file stays open as long as the store.
        weakref.finalize(store, tif.close)
        return zarr.open_array(store, mode="r", zarr_format=2)
    except BaseException:
        tif.close()
        raise


def _opened(path: Path) -> tifffile.TiffFile:
    return tifffile.TiffFile(path.open("rb"), name=path.name) if is_remote(path) else tifffile.TiffFile(path)


def _is_mapped(tif: tifffile.TiffFile, series: Any) -> bool:
    """Say whether the pixels lie in one piece in a file of this computer."""
    return series.dataoffset is not None and not series.is_multifile and tif.filehandle.is_file


def _main_series(tif: tifffile.TiffFile, path: Path) -> Any:
    if not tif.series:
        raise InputError(f"{path} holds no image.", "Choose another file.")
    if tif.series[0].kind == "ome":
        return tif.series[0]  # the standard puts the main image first
    return max(tif.series, key=lambda series: series.size)


def _dtype(tif: tifffile.TiffFile, series: Any) -> np.dtype[Any]:
    # Mapped pixels keep the byte order of the file, decoded ones have that of this machine.
    mapped = _is_mapped(tif, series)
    dtype: np.dtype[Any] = np.dtype(f"{tif.byteorder}{series.dtype.char}" if mapped else series.dtype.char)
    return dtype


def _check_complete(series: Any, path: Path) -> None:
    """Raise if the first or the last page has pixels past the end of the file, or a page lies there.

    JPEG tiles that were cut off decode without an error, to grey. Of pages that nothing but their chain
    counts, tifffile leaves out those that were cut off.
    """
    tif = series.keyframe.parent
    cut = series.kind in ("generic", "uniform") and _next_page(tif) >= tif.filehandle.size
    for page in (series[0], series[len(series) - 1]):
        if page is None or not len(page.dataoffsets):
            continue
        ends = np.add(page.dataoffsets, page.databytecounts, dtype=np.int64)
        cut = cut or int(ends.max()) > tif.filehandle.size
    if cut:
        raise InputError(
            f"{path} is incomplete: it ends before its last pixels.",
            "Copy it again from where it was recorded.",
        )


def _next_page(tif: tifffile.TiffFile) -> int:
    """Return the offset of the page that the last one which could be read names, 0 where it names none."""
    file, form = tif.filehandle, tif.tiff
    last: Any = tif.pages[len(tif.pages) - 1]
    file.seek(last.offset)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(last.offset + form.tagnosize + tags * form.tagsize)
    link = file.read(form.offsetsize)
    return int(struct.unpack(form.offsetformat, link)[0]) if len(link) == form.offsetsize else int(file.size)


def _check_colours(tif: tifffile.TiffFile, page: Any, path: Path) -> None:
    kind = tifffile.PHOTOMETRIC(page.photometric)
    if kind == tifffile.PHOTOMETRIC.SEPARATED:
        raise InputError(f"{path} is in CMYK colours.", "Convert it to RGB.")
    # ImageJ's colour maps are for display. Elsewhere only a map that grows with the number leaves
    # the numbers meaningful.
    if kind == tifffile.PHOTOMETRIC.PALETTE and not tif.is_imagej:
        colours = page.colormap
        if colours is None or (np.diff(colours.astype(int), axis=1) < 0).any():
            raise InputError(f"{path} is in palette colours.", "Convert it to RGB.")


def _is_rgb(series: Any) -> bool:
    return (
        "S" in series.axes
        and series.shape[series.axes.index("S")] in (3, 4)
        and series.keyframe.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    )


def _axes(names: str, rgb: bool) -> str:
    """Translate tifffile's axes, where S are samples of a pixel and C channels."""
    if rgb or "C" not in names:
        names = names.replace("C", "K").replace("S", "C")  # K: a letter without a meaning here
    return axis_letters(names)


def _sizes(tif: tifffile.TiffFile, series: Any) -> Sizes:
    """Pixel sizes from where this flavour of TIFF keeps them."""
    page = series.keyframe
    if series.kind == "ome":
        return _ome_sizes(tif.ome_metadata)
    if page.is_svs and (found := re.search(r"MPP\s*=\s*([\d.]+)", page.description)):
        return _valid({axis: (float(found[1]), "um") for axis in "yx"})
    if tif.is_imagej and (sizes := _imagej_sizes(tif.imagej_metadata or {}, page)):
        return sizes
    return _tag_sizes(page)


def _ome_sizes(xml: str) -> Sizes:
    # PhysicalSize and TimeIncrement default to µm and s (OME-XML schema 2016-06).
    images = tifffile.xml2dict(xml)["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    keys = {axis: (f"PhysicalSize{axis.upper()}", "um") for axis in "zyx"} | {"t": ("TimeIncrement", "s")}
    return _valid(
        {
            axis: (float(pixels[key]), unit_symbol(str(pixels.get(f"{key}Unit", default))))
            for axis, (key, default) in keys.items()
            if key in pixels
        }
    )


def _imagej_sizes(info: dict[str, Any], page: Any) -> Sizes:
    unit = unit_symbol(str(info.get("unit", PIXEL)))
    sizes = {axis: (step, unit) for axis, step in _steps(page).items()}
    if "spacing" in info:
        sizes["z"] = (float(info["spacing"]), unit)
    if unit == "inch":  # a picture from elsewhere that went through ImageJ
        sizes = {axis: size for axis, size in sizes.items() if _is_fine(*size)}
    if unit not in UM_PER_UNIT:
        sizes = {}
    if "finterval" in info:
        sizes["t"] = (float(info["finterval"]), "s")
    return _valid(sizes)


def _tag_sizes(page: Any) -> Sizes:
    units = {
        tifffile.RESUNIT.INCH: "inch",
        tifffile.RESUNIT.CENTIMETER: "cm",
        tifffile.RESUNIT.MILLIMETER: "mm",
        tifffile.RESUNIT.MICROMETER: "um",
    }
    unit = units.get(page.tags.valueof("ResolutionUnit", tifffile.RESUNIT.INCH))
    if unit is None:
        return {}
    in_um = {axis: step * UM_PER_UNIT[unit] for axis, step in _steps(page).items()}
    return _valid({axis: (um, "um") for axis, um in in_um.items() if _is_fine(um, "um")})


def _steps(page: Any) -> dict[str, float]:
    """Return the pixel sizes of the resolution tags, in the tags' unit."""
    steps = {}
    for axis, tag in (("y", "YResolution"), ("x", "XResolution")):
        numerator, denominator = page.tags.valueof(tag, (0, 0))
        if numerator:
            steps[axis] = denominator / numerator
    return steps


def _is_fine(step: float, unit: str) -> bool:
    return step * UM_PER_UNIT[unit] < _COARSEST_UM


def _valid(sizes: Sizes) -> Sizes:
    """Leave out what cannot be a size, and y or x without the other."""
    good = {axis: s for axis, s in sizes.items() if isfinite(s[0]) and s[0] > 0 and s[1] != PIXEL}
    if ("y" in good) != ("x" in good):
        good = {axis: s for axis, s in good.items() if axis not in "yx"}
    return good
