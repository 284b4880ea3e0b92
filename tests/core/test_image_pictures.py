import pickle
import zlib

import imagecodecs
import numpy as np
import pytest

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.errors import InputError


def whole(source: ImageSource) -> np.ndarray:
    return source.read(0, slice(0, source.height), slice(0, source.width))


def png(header: bytes, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG file by hand: the kinds that the encoder does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    body = b"".join(chunk(*pair) for pair in extra)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + end


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(13, 17), (1, 1)])
def test_png_keeps_its_depth(tmp_path, rng, dtype, samples, size):
    data = rng.integers(0, np.iinfo(dtype).max, (*size, samples), dtype=dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data[..., 0] if samples == 1 else data))
    source = open_image(tmp_path / "a.png")
    assert source.dtype == np.dtype(dtype)
    assert (source.rgb, source.axes) == ((True, "yxc") if samples > 2 else (False, "yx"))
    np.testing.assert_array_equal(whole(source), data.transpose(2, 0, 1)[: 3 if samples > 2 else 1])
    assert source.placement.pixel_size_um is None


def test_png_of_palette_colours_and_of_bits(tmp_path):
    size = (2).to_bytes(4) + (1).to_bytes(4)
    palette = png(size + bytes([8, 3, 0, 0, 0]), bytes([0, 1, 0]), (b"PLTE", bytes([1, 2, 3, 40, 50, 60])))
    (tmp_path / "palette.png").write_bytes(palette)
    assert whole(open_image(tmp_path / "palette.png")).tolist() == [[[40, 1]], [[50, 2]], [[60, 3]]]
    (tmp_path / "bits.png").write_bytes(png(size + bytes([1, 0, 0, 0, 0]), bytes([0, 0b01000000])))
    assert whole(open_image(tmp_path / "bits.png")).tolist() == [[[0, 255]]]


@pytest.mark.parametrize("kind", ["jpeg8", "webp"])
def test_lossy_pictures_as_their_decoder_has_them(tmp_path, rng, kind):
    smooth = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3).astype("u1")
    data = getattr(imagecodecs, f"{kind}_encode")(smooth, level=95)
    (tmp_path / "a.bin").write_bytes(data)
    source = open_image(tmp_path / "a.bin")
    assert (source.rgb, source.dtype) == (True, np.uint8)
    assert np.abs(whole(source).transpose(1, 2, 0).astype(int) - smooth).mean() < 4


def test_grey_jpeg(tmp_path):
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(np.full((9, 11), 77, "u1")))
    source = open_image(tmp_path / "a.jpg")
    assert (source.axes, source.name) == ("yx", "a")
    assert (whole(source) == 77).all()


@pytest.mark.parametrize("kind", ["jpeg8", "png", "webp"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_picture_is_told_at_once(tmp_path, rng, kind, part):
    data = getattr(imagecodecs, f"{kind}_encode")(rng.integers(0, 256, (90, 100, 3), dtype="u1"))
    (tmp_path / "cut.bin").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"cut\.bin (is incomplete|cannot be opened)"):
        open_image(tmp_path / "cut.bin")


def test_cmyk_is_refused(tmp_path):
    data = imagecodecs.jpeg8_encode(np.zeros((8, 8, 4), "u1"), colorspace="cmyk", outcolorspace="cmyk")
    (tmp_path / "print.jpg").write_bytes(data)
    with pytest.raises(InputError, match="CMYK"):
        open_image(tmp_path / "print.jpg")


def test_survives_pickling_by_opening_again(tmp_path, rng):
    data = rng.integers(0, 256, (300, 400), dtype="u1")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    source = open_image(tmp_path / "a.png")
    packed = pickle.dumps(source)
    assert len(packed) < 5_000
    np.testing.assert_array_equal(whole(pickle.loads(packed))[0], data)
    assert pickle.loads(packed).fingerprint() == source.fingerprint()
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        whole(pickle.loads(packed))
