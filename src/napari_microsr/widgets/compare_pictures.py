"""Pictures that show how well a field lies on its overview."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import Matrix, apply, corners, enlarging, parts

CHECKER_PX = 1024
SQUARES = 8
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
    low, high = np.nanpercentile(pixels, (0.5, 99.5)) if field.dtype != np.uint8 else (0.0, 255.0)
    pixels = np.nan_to_num(np.clip((pixels - low) / max(high - low, 1e-12), 0, 1) * 255)
    _, h, w = pixels.shape
    side = max(ceil(max(h, w) / SQUARES), 1)
    squares = (np.arange(h)[:, None] // side + np.arange(w) // side) % 2
    colours = np.broadcast_to(pixels, (3, h, w))
    picture = np.concatenate([colours, 255.0 * squares[None]]).transpose(1, 2, 0)
    return np.ascontiguousarray(np.rint(picture), np.uint8), enlarging(factor)


def difference(
    field: ImageSource, overview: ImageSource, matrix_yx: Matrix
) -> tuple[NDArray[np.float32], Matrix]:
    """Return how far a field and the overview below it differ, when their brightness is matched.

    Parameters
    ----------
    field, overview : ImageSource
        The images, of which the first planes are taken; only what lies below the field is read.
    matrix_yx : array of shape (3, 3)
        Field pixel to overview pixel.

    Returns
    -------
    picture : array of shape (h, w), float32
        Mean over the channels of the absolute difference, after gain and offset of each channel were fitted,
        in standard deviations of the field. 0 outside the overview.
    matrix : array of shape (3, 3)
        Picture pixel to field pixel; a picture pixel is about one pixel of the overview.
    """
    smallest = ceil(max(field.height, field.width) / _DIFFERENCE_PX)
    factor = min(max(round(1 / parts(matrix_yx).scale), smallest, 1), field.height, field.width)
    above = _shrunk(field, factor)
    below = _warped(overview, matrix_yx @ enlarging(factor), above.shape[1:])
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


def _warped(image: ImageSource, matrix: Matrix, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Sample an image where a picture's pixels lie on it; NaN outside: (channels, h, w)."""
    edge = apply(matrix, corners((shape[0], shape[1])))
    y0, x0 = np.maximum(np.floor(edge.min(0)).astype(int) - 2, 0)
    y1, x1 = np.minimum(np.ceil(edge.max(0)).astype(int) + 3, (image.height, image.width))
    if y0 >= y1 or x0 >= x1:
        return np.full((image.channels, *shape), np.nan)
    block = image.read(0, slice(int(y0), int(y1)), slice(int(x0), int(x1))).astype(np.float64)
    shift = matrix[:2, 2] - (y0, x0)
    return np.stack([affine_transform(c, matrix[:2, :2], shift, shape, order=1, cval=np.nan) for c in block])
