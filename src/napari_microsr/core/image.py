"""The one form in which images enter: a lazy array with axes, pixel size and placement."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.files import read_file
from napari_microsr.core.placement import Placement
from napari_microsr.core.remote import place_of, read_bytes, stamp
from napari_microsr.core.sampling import choose_blocks
from napari_microsr.errors import InputError

__all__ = ["ImageSource", "Placement", "open_image"]

# Leading axes that an array without axis names is taken to have, by their number.
_LEADING = ("", "z", "tz", "tcz")


@dataclass(frozen=True)
class ImageSource:
    """An image of any number of planes that is read region by region and never as a whole.

    A plane is one (y, x) picture: one position along all other axes, with its colour samples
    where the image is RGB. Planes are counted in the order of the array's axes, the last fastest.

    Parameters
    ----------
    array : array-like
        numpy, memory map, zarr, dask or the like: it has a shape, a dtype and can be sliced.
    axes : str
        One lower-case letter per axis of the array, y and x once each.
    rgb : bool
        Whether the axis c holds red, green, blue (and alpha, which is dropped on reading).
    placement : Placement
        Pixel sizes, units and place in the world of every axis but an RGB c.
    name : str
        What the image is called in layers and messages.
    path : Path or None
        The file it was read from, None for arrays in memory.

    Raises
    ------
    InputError
        If the axes do not fit the array, it has no pixels, or its numbers are not real.
    """

    array: Any
    axes: str
    rgb: bool
    placement: Placement
    name: str
    path: Path | None

    def __post_init__(self) -> None:
        shape, axes = tuple(self.array.shape), self.axes
        sizes = " × ".join(map(str, shape))
        if len(axes) != len(shape) or len(set(axes)) != len(axes):
            raise InputError(
                f"{self.name} has the shape {sizes}, which the axes '{axes}' do not describe.",
                "Give one different letter for each axis.",
            )
        if "y" not in axes or "x" not in axes:
            raise InputError(
                f"{self.name} has the axes '{axes}', without y and x.", "Open an image, not a table or curve."
            )
        if 0 in shape:
            raise InputError(f"{self.name} has no pixels ({sizes}).", "Choose an image with pixels.")
        if self.dtype.kind not in "uif":
            raise InputError(
                f"The pixels of {self.name} are of type {self.dtype}.",
                "Convert it to integers or real numbers, for example uint8, uint16 or float32.",
            )
        if self.rgb and ("c" not in axes or shape[axes.index("c")] not in (3, 4)):
            raise InputError(
                f"{self.name} ({sizes}, axes '{axes}') has no axis c of 3 or 4 colour samples.",
                "Open it as separate channels, or give it red, green and blue.",
            )
        if len(self.placement.scale) != len(axes) - self.rgb:
            raise ValueError(f"{self.placement} does not have one entry per placed axis of {axes}")

    @classmethod
    def from_array(
        cls,
        array: Any,
        *,
        axes: str | None = None,
        rgb: bool | None = None,
        placement: Placement | None = None,
        name: str = "image",
        path: Path | None = None,
    ) -> "ImageSource":
        """Describe an array as an image; what is not given is guessed.

        Parameters
        ----------
        array : array-like
            The pixels, see the class.
        axes : str, optional
            A letter per axis. Guess: (t, (c,)) z before y and x, and c last where it is RGB.
        rgb : bool, optional
            Whether c holds colours. Guess: the last axis of 3 or 4 uint8 samples does.
        placement : Placement, optional
            One world unit ("pixel") per pixel if not given.
        name : str
            What to call it.
        path : Path, optional
            The file that it came from.

        Raises
        ------
        InputError
            As the class does.
        """
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise InputError(f"{name} is a {type(array).__name__}, not an array.", "Give it as an array.")
        shape = tuple(array.shape)
        colours = len(shape) >= 3 and shape[-1] in (3, 4)
        if rgb is None:
            rgb = colours and np.dtype(array.dtype) == np.uint8 and (axes is None or axes[-1:] == "c")
        if axes is None:
            axes = _guess_axes(len(shape), rgb and colours, name)
        placed = axes.replace("c", "") if rgb else axes
        return cls(array, axes, bool(rgb), placement or Placement.of_sizes(placed, {}), name, path)

    @property
    def height(self) -> int:
        """Rows of a plane."""
        return self._size("y")

    @property
    def width(self) -> int:
        """Columns of a plane."""
        return self._size("x")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that `read` returns, in the byte order of this machine."""
        native: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return native

    @property
    def channels(self) -> int:
        """Samples per pixel of a plane: 3 if RGB, else 1."""
        return 3 if self.rgb else 1

    @property
    def plane_axes(self) -> str:
        """The axes along which planes are counted, in the order of the array."""
        return "".join(a for a in self.axes if a not in "yx" and not (self.rgb and a == "c"))

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Sizes of `plane_axes`."""
        return tuple(self._size(axis) for axis in self.plane_axes)

    @property
    def n_planes(self) -> int:
        """Number of planes, at least 1."""
        return prod(self.plane_shape)

    def channel_of(self, plane: int) -> int:
        """Return the position of a plane along c, 0 where there is no separate c axis."""
        return self._position(plane).get("c", 0)

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Read one region of one plane.

        Parameters
        ----------
        plane : int
            Number of the plane.
        y, x : slice
            Explicit start and stop inside the image, step 1.

        Returns
        -------
        ndarray of shape (channels, height, width)
            A copy, C-contiguous, in native byte order, of the type of the image.

        Raises
        ------
        InputError
            If the file is damaged or has gone.
        """
        where: dict[str, int | slice] = {"y": y, "x": x, **self._position(plane)}
        if self.rgb:
            where["c"] = slice(0, 3)
        try:
            block = np.asarray(self.array[tuple(where[axis] for axis in self.axes)])
        except InputError:
            raise
        except Exception as error:
            region = f"rows {y.start} to {y.stop}, columns {x.start} to {x.stop} of plane {plane}"
            raise InputError(
                f"{self.path or self.name} cannot be read at {region}: {str(error) or type(error).__name__}.",
                "The file seems damaged or incomplete: copy it again from where it was recorded.",
            ) from error
        left = [axis for axis in self.axes if isinstance(where[axis], slice)]
        block = block.transpose([left.index(axis) for axis in ("cyx" if self.rgb else "yx")])
        return np.array(block.reshape(-1, *block.shape[-2:]), self.dtype, order="C")

    def fingerprint(self) -> str:
        """Return a text that tells this image's pixels from others, the same in every process.

        A file is known by its path, size and time of change; an array, or a store of many files,
        by its name, metadata and a sample of its pixels.
        """
        digest = hashlib.sha256(repr((self.axes, self.rgb, self.array.shape, str(self.dtype))).encode())
        if self.path is not None and self.path.is_file():
            digest.update(repr(stamp(self.path)).encode())
            return digest.hexdigest()
        if self.path is not None:
            digest.update(str(self.path.resolve()).encode())
            for name in ("zarr.json", ".zattrs", ".zarray"):
                if (self.path / name).is_file():
                    digest.update(read_bytes(self.path / name))
        else:
            digest.update(self.name.encode())
        for _, block in self.sample(max_pixels=250_000):
            digest.update(block.tobytes())
        return digest.hexdigest()

    def sample(self, max_pixels: int = 4_000_000) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read a regular choice of blocks, for statistics of the whole image.

        Parameters
        ----------
        max_pixels : int
            Most pixels read in all; an image that has no more is read completely.

        Yields
        ------
        channel : int
            As `channel_of`; every channel gets an equal share.
        block : ndarray of shape (channels, h, w)
            At most 256 pixels high and wide.
        """
        channels = [self.channel_of(plane) for plane in range(self.n_planes)]
        for plane, y, x in choose_blocks(channels, self.height, self.width, max_pixels):
            yield channels[plane], self.read(plane, y, x)

    def _size(self, axis: str) -> int:
        return int(self.array.shape[self.axes.index(axis)])

    def _position(self, plane: int) -> dict[str, int]:
        """Index of a plane along each of the plane axes."""
        places = np.unravel_index(plane, self.plane_shape) if self.plane_axes else ()
        return {axis: int(place) for axis, place in zip(self.plane_axes, places, strict=True)}


def open_image(path: str | os.PathLike[str], *, level: int = 0) -> ImageSource:
    """Open an image file without reading its pixels.

    Parameters
    ----------
    path : path-like
        A file or a URL: TIFF, BigTIFF, OME-TIFF, SVS, NDPI and other tiled TIFF, OME-Zarr 0.4 to 0.6, a zarr
        array, a folder or file of a slide in DICOM (extra `wsi`), PNG, JPEG or WebP; of many images in a file
        the largest. A name with `{channel}`, `{z}` or `{time}`, such as `B03_w{channel}.tif`, is one image
        of all the files that it fits.
    level : int
        Of a pyramid: 0 is the finest, -1 the coarsest.

    Returns
    -------
    ImageSource
        It can be pickled: the file is opened again where it arrives.

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown type or holds no image or no such level.
    """
    place = place_of(path).expanduser().absolute()
    file, name = read_file(place, level), name_of(place)
    return ImageSource.from_array(
        file.array, axes=file.axes, rgb=file.rgb, placement=file.placement, name=name, path=place
    )


def name_of(path: Path) -> str:
    """Return the name of an image: that of its file without the ending, also where it has two."""
    return path.name.removesuffix(path.suffix).removesuffix(".ome") or path.name


def _guess_axes(ndim: int, rgb: bool, name: str) -> str:
    leading = ndim - 2 - rgb
    if not 0 <= leading < len(_LEADING):
        raise InputError(
            f"{name} has {ndim} axes of unknown meaning.",
            "Name them, with one letter for each, for example 'tczyx'.",
        )
    return _LEADING[leading] + ("yxc" if rgb else "yx")
