"""Pictures that show how well a field lies on its overview."""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import Matrix, apply, enlarging, parts
from napari_microsr.registration.mosaic import outline, to_field
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.registration.resample import read_points

CHECKER_PX = 1024
SQUARES = 8
BENT_PX = 1536
_DIFFERENCE_PX = 2048


def checkerboard(field: ImageSource) -> tuple[NDArray[np.uint8], Matrix]:
    """Return a field with every other square cut out, so that the overview shows through.

    Parameters
    ----------
    field : ImageSource
        The field; its first plane is shown.

    Returns
    -------
    picture : array of shape (h, w, 4), uint8
        RGB with an alpha of 0 in the squares that are cut out; at most `CHECKER_PX` wide and high.
    matrix : array of shape (3, 3)
        Picture pixel to field pixel.
    """
    factor = min(ceil(max(field.height, field.width) / CHECKER_PX), field.height, field.width)
    pixels = _shrunk(field, factor)
    _, h, w = pixels.shape
    side = max(ceil(max(h, w) / SQUARES), 1)
    squares = (np.arange(h)[:, None] // side + np.arange(w) // side) % 2
    return _coloured(pixels, squares == 1, field.dtype), enlarging(factor)


def bent(field: ImageSource, placement: FieldPlacement) -> tuple[NDArray[np.uint8], Matrix]:
    """Return a field bent as a quadratic placement says, which no layer's transform can show.

    Parameters
    ----------
    field : ImageSource
        The field; its first plane is shown.
    placement : FieldPlacement
        Where it lies.

    Returns
    -------
    picture : array of shape (h, w, 4), uint8
        RGB with an alpha of 0 beside the field, upright on the overview; about `BENT_PX` wide or high, less
        where the field has less pixels.
    matrix : array of shape (3, 3)
        Picture pixel to overview pixel.
    """
    assert placement.matrix_yx is not None
    edge = placement.to_overview(outline(placement.shape_yx))
    first, extent = edge.min(0), np.ptp(edge, 0)
    scale = parts(placement.matrix_yx).scale
    step = max(scale, float(extent.max()) / BENT_PX)
    h, w = np.ceil(extent / step).astype(int) + 1
    matrix = np.array([[step, 0, first[0]], [0, step, first[1]], [0, 0, 1]])
    inside = to_field(placement, apply(matrix, np.moveaxis(np.indices((h, w), float), 0, -1)))
    pixels = read_points(field, 0, inside, max(1, int(step / scale)))
    seen = np.all((inside >= -0.5) & (inside <= np.array(placement.shape_yx) - 0.5), axis=-1)
    return _coloured(pixels, seen, field.dtype), matrix


def difference(
    field: ImageSource, overview: ImageSource, placement: FieldPlacement
) -> tuple[NDArray[np.float32], Matrix]:
    """Return how far a field and the overview below it differ, when their brightness is matched.

    Parameters
    ----------
    field, overview : ImageSource
        The images, of which the first planes are taken; only what lies below the field is read.
    placement : FieldPlacement
        Where the field lies on the overview.

    Returns
    -------
    picture : array of shape (h, w), float32
        Mean over the channels of the absolute difference, after gain and offset of each channel were fitted,
        in standard deviations of the field. 0 outside the overview.
    matrix : array of shape (3, 3)
        Picture pixel to field pixel; a picture pixel is about one pixel of the overview.
    """
    assert placement.matrix_yx is not None
    smallest = ceil(max(field.height, field.width) / _DIFFERENCE_PX)
    factor = min(max(round(1 / parts(placement.matrix_yx).scale), smallest, 1), field.height, field.width)
    above = _shrunk(field, factor)
    inside = apply(enlarging(factor), np.moveaxis(np.indices(above.shape[1:], float), 0, -1))
    below = _sampled(overview, placement.to_overview(inside))
    if len(above) != len(below):
        above, below = above.mean(0, keepdims=True), below.mean(0, keepdims=True)
    total = np.zeros(above.shape[1:])
    for a, b in zip(above, below, strict=True):
        seen = np.isfinite(a) & np.isfinite(b)
        if seen.sum() < 2:
            continue
        spread = float(a[seen].std()) or 1.0
        known = np.column_stack([b[seen], np.ones(seen.sum())])
        fit, *_ = np.linalg.lstsq(known, a[seen], rcond=None)
        total[seen] += np.abs(a[seen] - known @ fit) / spread
    return (total / len(above)).astype(np.float32), enlarging(factor)


def _shrunk(image: ImageSource, factor: int) -> NDArray[np.float64]:
    """Average blocks of the first plane, cropped to whole ones: (channels, h, w)."""
    h, w = image.height // factor, image.width // factor
    block = image.read(0, slice(0, h * factor), slice(0, w * factor))
    return np.asarray(
        block.reshape(len(block), h, factor, w, factor).mean((2, 4), dtype=np.float64), np.float64
    )


def _sampled(image: ImageSource, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sample an image at points (h, w, 2); NaN outside: (channels, h, w)."""
    y0, x0 = np.maximum(np.floor(points.min((0, 1))).astype(int) - 2, 0)
    y1, x1 = np.minimum(np.ceil(points.max((0, 1))).astype(int) + 3, (image.height, image.width))
    if y0 >= y1 or x0 >= x1:
        return np.full((image.channels, *points.shape[:2]), np.nan)
    block = image.read(0, slice(int(y0), int(y1)), slice(int(x0), int(x1))).astype(np.float64)
    places = np.moveaxis(points - (y0, x0), -1, 0)
    return np.stack([map_coordinates(c, places, order=1, cval=np.nan) for c in block])


def _coloured(pixels: NDArray[Any], shown: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Return pixels (channels, h, w) as RGBA (h, w, 4) that is transparent where they are not shown."""
    low, high = (0.0, 255.0) if dtype == np.uint8 else np.nanpercentile(pixels, (0.5, 99.5))
    tone = np.nan_to_num(np.clip((pixels - low) / max(high - low, 1e-12), 0, 1) * 255)
    colours = np.broadcast_to(tone, (3, *shown.shape))
    picture = np.concatenate([colours, 255.0 * shown[None]]).transpose(1, 2, 0)
    return np.ascontiguousarray(np.rint(picture), np.uint8)
