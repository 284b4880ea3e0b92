"""Damaged files of every kind that is read: refused with a sentence or read, in bounded time and memory."""

import json
import struct

import numpy as np
import pytest
import tifffile
import zarr
from fuzzing import KINDS

from napari_microsr.core.image import open_image
from napari_microsr.core.job import read_job_file
from napari_microsr.errors import InputError, JobError

CASES = 20
MEMORY_BYTES = 1 << 30


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read(worker, tmp_path, kind):
    note = tmp_path / "note"
    cases = {"kind": kind, "seeds": [0, CASES], "note": str(note)}
    code, said = worker.do("fuzz", tmp_path, cases=cases, memory_bytes=MEMORY_BYTES)
    assert code == 0, f"{note.read_text()}: {code} {said}"


@pytest.mark.parametrize("seed", [518, 669])
def test_a_table_with_a_heap_that_never_ends_is_refused(worker, tmp_path, seed):
    cases = {"kind": "hdf5", "seeds": [seed, seed + 1], "note": str(tmp_path / "note")}
    code, said = worker.do("fuzz", tmp_path, cases=cases, memory_bytes=MEMORY_BYTES)
    assert code == 0, f"{code} {said}"


def test_a_store_of_a_million_megapixels_is_opened_and_read_in_parts(tmp_path):
    zarr.create_array(tmp_path / "big.zarr", shape=(10**6, 10**6), chunks=(512, 512), dtype="u1")
    source = open_image(tmp_path / "big.zarr")
    assert source.height * source.width == 10**12
    assert not source.read(0, slice(999_990, 10**6), slice(0, 10)).any()


def test_a_tiff_that_claims_a_million_megapixels_is_refused(tmp_path):
    path = tmp_path / "big.tif"
    tifffile.imwrite(path, np.ones((16, 16), np.uint8))
    with tifffile.TiffFile(path) as tif:
        places = {name: tif.pages[0].tags[name] for name in ("ImageWidth", "ImageLength", "RowsPerStrip")}
        places = {name: (tag.valueoffset, tag.dtype) for name, tag in places.items()}
    data = bytearray(path.read_bytes())
    for offset, kind in places.values():
        assert kind in (3, 4)
        struct.pack_into("<H" if kind == 3 else "<I", data, offset, 65535 if kind == 3 else 10**6)
    path.write_bytes(data)
    with pytest.raises(InputError):
        open_image(path).read(0, slice(0, 10), slice(0, 10))


def test_a_png_that_claims_billions_of_pixels_is_refused(tmp_path):
    from zlib import crc32

    head = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + head + struct.pack(">I", crc32(head))
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError):
        open_image(tmp_path / "big.png")


@pytest.mark.parametrize("text", ["[" * 20_000, "a: &a [*a]\ntask: [*a]", json.dumps({"task": 3})])
def test_a_job_file_of_nested_or_circular_lists_is_refused(tmp_path, text):
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobError):
        read_job_file(tmp_path / "job.yaml")
