"""TIFF files cost what is read from them, and travel as their path."""

import gc
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.tiff_file import TileCache
from napari_microsr.errors import InputError


def whole(source: ImageSource) -> np.ndarray:
    return source.read(0, slice(0, source.height), slice(0, source.width))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_survives_pickling_by_opening_again(tmp_path, rng, compression):
    data = rng.integers(0, 2**16, (800, 900), dtype="u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression=compression, tile=(128, 128) if compression else None)
    source = open_image(path)
    whole(source)
    packed = pickle.dumps(source)
    assert len(packed) < 5_000
    again = pickle.loads(packed)
    np.testing.assert_array_equal(whole(again)[0], data)
    assert again.fingerprint() == source.fingerprint()
    tifffile.imwrite(path, data[:-1], compression=compression)
    with pytest.raises(InputError, match="has changed since it was opened"):
        pickle.loads(packed).read(0, slice(0, 1), slice(0, 1))
    assert open_image(path).fingerprint() != source.fingerprint()


def test_files_are_closed_with_their_image(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), "u1"), compression="zlib", tile=(32, 32))
    here = Path("/proc/self/fd")
    if not here.exists():
        pytest.skip("open files cannot be listed here")

    def is_open():
        return any(link.resolve() == path.resolve() for link in here.iterdir() if link.exists())

    source = open_image(path)
    assert not is_open()
    whole(source)
    assert is_open()
    del source
    gc.collect()
    assert not is_open()


def sparse_slide(path: Path, size: int) -> None:
    """Write a tiled slide of size² RGB pixels in which every tile is the same piece of the file."""
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tile = np.full((256, 256, 3), 200, "u1")
        tif.write(tile, tile=(256, 256), photometric="rgb", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
    tiles = (size // 256) ** 2
    with path.open("r+b") as file:
        file.seek(0, 2)
        places = file.tell()
        file.write(struct.pack("<Q", offset) * tiles)
        counts = file.tell()
        file.write(struct.pack("<Q", count) * tiles)
        start = file.tell()
        short, long, long8 = 3, 4, 16
        entries = [
            (256, long, 1, size), (257, long, 1, size), (258, short, 3, 0x0000_0008_0008_0008),
            (259, short, 1, 8), (262, short, 1, 2), (277, short, 1, 3), (284, short, 1, 1),
            (322, long, 1, 256), (323, long, 1, 256),
            (324, long8, tiles, places), (325, long8, tiles, counts),
        ]  # fmt: skip
        file.write(struct.pack("<Q", len(entries)))
        for tag, kind, number, value in entries:
            file.write(struct.pack("<HHQQ", tag, kind, number, value))
        file.write(struct.pack("<Q", 0))
        file.seek(8)
        file.write(struct.pack("<Q", start))


def test_a_corner_of_a_huge_slide_costs_a_corner(tmp_path):
    size = 65_536
    sparse_slide(tmp_path / "huge.tif", size)  # 12.9 GB of pixels
    tracemalloc.start()
    source = open_image(tmp_path / "huge.tif")
    block = source.read(0, slice(size - 300, size), slice(size - 300, size))
    _, peak = tracemalloc.get_traced_memory()
    assert (source.height, source.width) == (size, size)
    assert block.shape == (3, 300, 300)
    assert (block == 200).all()
    assert peak < 30 * 2**20
    for start in range(0, 6_000, 256):
        source.read(0, slice(start, start + 256), slice(0, 16_384))  # 300 MB in all
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 140 * 2**20


def test_neighbouring_windows_share_what_was_decoded(tmp_path, rng, monkeypatch):
    data = rng.integers(0, 256, (512, 640), dtype="u1")
    tifffile.imwrite(tmp_path / "strips.tif", data, compression="zlib", rowsperstrip=64)
    decoded = []
    original = TileCache.__mro__[1].get

    async def count(self, key, *args):
        decoded.append(key)
        return await original(self, key, *args)

    monkeypatch.setattr(TileCache.__mro__[1], "get", count)
    source = open_image(tmp_path / "strips.tif")
    for start in range(0, 640, 64):
        block = source.read(0, slice(60, 132), slice(start, start + 64))[0]
        np.testing.assert_array_equal(block, data[60:132, start : start + 64])
    strips = [key for key in decoded if key[0].isdigit()]
    assert sorted(strips) == ["0.0", "1.0", "2.0"]
