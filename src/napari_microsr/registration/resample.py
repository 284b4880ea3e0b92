"""Read an image at other places than its pixels: between them, or averaged over several of them."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.bands import shrink

Array = NDArray[Any]
# Pixels of the source that are read at once.
BAND_PX = 4_000_000
# Beyond this distance a cubic spline remembers less than 2e-7 of a pixel (its pole is 0.268).
SPLINE_REACH = 12


def working_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the real type in which pixels of `dtype` can be weighed without losing digits."""
    exact = dtype.itemsize <= 2 or dtype == np.float32
    return np.dtype(np.float32 if exact else np.float64)


def read_shrunk(
    source: ImageSource, plane: int, factor: int, y: tuple[int, int], x: tuple[int, int]
) -> Array:
    """Read a window of the image averaged over blocks, a few million pixels at a time.

    Parameters
    ----------
    source : ImageSource
        The image.
    plane : int
        Which plane.
    factor : int
        Side of the blocks; a rest at the lower and right edge is dropped.
    y, x : tuple of int
        Start and stop of the window, in blocks.

    Returns
    -------
    ndarray, (channels, height, width)
        In the working type.
    """
    out = np.empty((source.channels, y[1] - y[0], x[1] - x[0]), working_type(source.dtype))
    columns = max(1, min(x[1] - x[0], BAND_PX // factor**2))
    rows = max(1, BAND_PX // (columns * factor**2))
    for top, left in product(range(y[0], y[1], rows), range(x[0], x[1], columns)):
        down, across = slice(top, min(top + rows, y[1])), slice(left, min(left + columns, x[1]))
        band = source.read(plane, _times(down, factor), _times(across, factor))
        place = slice(top - y[0], down.stop - y[0]), slice(left - x[0], across.stop - x[0])
        out[:, *place] = band if factor == 1 else shrink(band, factor)
    return out


def read_grid(source: ImageSource, plane: int, step: float, y: tuple[int, int], x: tuple[int, int]) -> Array:
    """Resample the image on an upright grid of another pixel size.

    Pixel j of the grid covers the source from ``j * step`` to ``(j + 1) * step``, counted from its edge.
    Finer pixels are interpolated by Keys' cubic convolution (a = -1/2; IEEE Trans. ASSP 29, 1153, 1981);
    coarser ones are averaged over whole blocks first, and over what is left with the same kernel, widened.

    Parameters
    ----------
    source : ImageSource
        The image.
    plane : int
        Which plane.
    step : float
        Side of a grid pixel in pixels of the source.
    y, x : tuple of int
        Start and stop of the window, in pixels of the grid.

    Returns
    -------
    ndarray, (channels, y[1] - y[0], x[1] - x[0])
        In the working type. At the image's edge its last pixels are repeated.
    """
    factor = max(1, min(int(step), source.height, source.width))
    step /= factor
    first_y, down = _weights(source.height // factor, step, *y)
    first_x, across = _weights(source.width // factor, step, *x)
    window = read_shrunk(
        source, plane, factor, (first_y, first_y + down.shape[1]), (first_x, first_x + across.shape[1])
    )
    return np.stack([(across @ (down @ channel).T).T for channel in window]).astype(window.dtype, copy=False)


def read_points(source: ImageSource, plane: int, points: Array, factor: int = 1) -> Array:
    """Interpolate the image at points by a cubic spline; NaN where a point lies near a NaN of the image.

    Parameters
    ----------
    source : ImageSource
        The image.
    plane : int
        Which plane.
    points : ndarray, (h, w, 2)
        Places (y, x) in pixels of the source. Outside the image its mirror is taken.
    factor : int
        Blocks of this side are averaged first: for points that lie further apart than pixels.

    Returns
    -------
    ndarray, (channels, h, w)
        In the working type.
    """
    factor = max(1, min(factor, source.height, source.width))
    places = np.moveaxis((points + 0.5) / factor - 0.5, -1, 0)
    spans = [
        (_clipped(place.min() - SPLINE_REACH, size - 1), _clipped(place.max() + SPLINE_REACH, size - 1) + 1)
        for place, size in zip(places, (source.height // factor, source.width // factor), strict=True)
    ]
    window = read_shrunk(source, plane, factor, *spans)
    places = places - np.array([start for start, _ in spans]).reshape(2, 1, 1)
    return np.stack([_interpolated(channel, places) for channel in window])


def _interpolated(channel: Array, places: Array) -> Array:
    hole = ~np.isfinite(channel)
    if hole.all():
        return np.full(places.shape[1:], np.nan, channel.dtype)
    known = channel
    if hole.any():  # the nearest pixels go on in the holes, so that the spline does not ring beside them
        nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
        known = channel[tuple(nearest)]
    # One pixel has no neighbours to fit a spline to.
    order = 3 if min(channel.shape) > 1 else 0
    spline = ndimage.spline_filter(known, order, channel.dtype, "mirror") if order else known
    values: Array = ndimage.map_coordinates(spline, places, order=order, mode="mirror", prefilter=False)
    if hole.any():
        near = ndimage.map_coordinates(hole.astype(np.float32), places, order=1, mode="mirror")
        values[near > 0] = np.nan
    return values


def _weights(size: int, step: float, start: int, stop: int) -> tuple[int, "sparse.csr_array"]:
    """Return the first pixel that grid pixels start..stop need, and each one's weights from there on."""
    wide = max(1.0, step)
    centres = (np.arange(start, stop) + 0.5) * step - 0.5
    first = np.floor(centres - 2 * wide).astype(int)
    taps = first[:, None] + np.arange(int(4 * wide) + 2)
    weights = _keys((centres[:, None] - taps) / wide)
    weights /= weights.sum(1, keepdims=True)
    taps = np.clip(taps, 0, size - 1)
    used = weights != 0
    lowest, highest = int(taps[used].min()), int(taps[used].max())
    rows = np.broadcast_to(np.arange(len(taps))[:, None], taps.shape)[used]
    shape = (len(taps), highest - lowest + 1)
    return lowest, sparse.csr_array((weights[used], (rows, taps[used] - lowest)), shape=shape)


def _keys(distance: Array) -> Array:
    d = np.abs(distance)
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _clipped(place: float, last: int) -> int:
    return int(np.clip(np.floor(place), 0, last))


def _times(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)
