"""NDPI: 64-bit offsets in a classic TIFF, and one JPEG a level, cut at its restart markers.

No free file of a scanner is small enough to go with the tests: these are written after the format's
description, and judged by Pillow's decoding of each whole JPEG.
"""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import open_image

SHORT, LONG, RATIO, FLOAT, TEXT = 3, 4, 5, 11, 2


def jpeg_of(pixels):
    """A JPEG with a restart marker after every 64 columns of 8 rows, and where its parts start."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, subsampling=0, restart_marker_blocks=8)
    data = stream.getvalue()
    scan = data.index(b"\xff\xda")
    first = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    marks = [i + 2 for i in range(first, len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    return data, [first, *marks]


def page(place, pixels, magnification, um):
    """The bytes of an image at a place in the file: values, pixels, then its directory; and where that is."""
    data, starts = jpeg_of(pixels)
    body = bytearray()

    def put(packed):
        body.extend(packed + bytes(len(packed) % 2))
        return place + len(body) - len(packed) - len(packed) % 2

    pixels_at, starts_at = put(data), put(struct.pack(f"<{len(starts)}I", *starts))
    step = put(struct.pack("<II", round(1e8 / um), 10_000))
    maker, bits = put(b"Hamamatsu\0"), put(struct.pack("<3H", 8, 8, 8))
    height, width = pixels.shape[:2]
    (as_number,) = struct.unpack("<I", struct.pack("<f", magnification))
    entries = [
        (256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 3, bits), (259, SHORT, 1, 7),
        (262, SHORT, 1, 6), (271, TEXT, 10, maker), (273, LONG, 1, pixels_at), (277, SHORT, 1, 3),
        (278, LONG, 1, height), (279, LONG, 1, len(data)), (282, RATIO, 1, step), (283, RATIO, 1, step),
        (296, SHORT, 1, 3), (65420, LONG, 1, 1), (65421, FLOAT, 1, as_number),
        (65426, LONG, len(starts), starts_at),
    ]  # fmt: skip
    directory = place + len(body)
    body += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    link = len(body)
    # The next directory, and the upper half of every value.
    body += bytes(8 + 4 * len(entries))
    return body, directory, place + link


@pytest.fixture
def slide(tmp_path, rng):
    soft = gaussian_filter(rng.random((136, 256, 3)), (3, 3, 0))
    fine = np.round(255 * (soft - soft.min()) / np.ptp(soft)).astype(np.uint8)
    levels = [fine, np.ascontiguousarray(fine[::2, ::2])]
    file, link = bytearray(b"II*\0" + bytes(8)), 4
    for pixels, magnification, um in [(levels[0], 40, 0.25), (levels[1], 20, 0.5), (fine[:64, :64], -1, 20)]:
        body, directory, following = page(len(file), pixels, magnification, um)
        file += body
        struct.pack_into("<Q", file, link, directory)
        link = following
    path = tmp_path / "slide.ndpi"
    path.write_bytes(file)
    return path, levels


@pytest.mark.parametrize("level", [0, 1])
def test_pixels_and_their_size(slide, level):
    path, levels = slide
    source = open_image(path, level=level)
    whole = np.asarray(Image.open(io.BytesIO(jpeg_of(levels[level])[0])))
    assert (source.axes, source.rgb, source.array.shape) == ("yxc", True, whole.shape)
    assert source.placement.pixel_size_um == pytest.approx((0.25 * 2**level,) * 2, rel=1e-6)
    part = source.read(0, slice(5, source.height), slice(3, source.width - 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(part, whole[5:, 3:-1])
