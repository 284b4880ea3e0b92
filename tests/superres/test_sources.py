"""Images of every kind of source are found, read as they are, paired and told apart."""

import json
import pickle

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.hdf5 import decode_residual, encode_residual, write_hdf5
from napari_microsr.superres.images import open_images
from napari_microsr.superres.planes import HELD_PX

RNG = np.random.default_rng(6)
COLOUR = RNG.integers(0, 256, (60, 70, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def names(images):
    return [image.name for image in images]


def whole(image):
    return image.high.read_whole()


def test_a_folder_of_pictures_and_stores(tmp_path):
    for name in ("b-1_y0.png", "a-1.webp", "c.bmp"):
        lossless = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(COLOUR).save(tmp_path / name, **lossless)
    (tmp_path / "notes.txt").write_text("no image")
    found = open_images(tmp_path, 3)
    assert names(found) == ["a-1.webp", "b-1_y0.png", "c.bmp"]
    assert all((whole(image) == COLOUR).all() for image in found)
    assert all((image.high.zero, image.high.one) == (0, 255) for image in found)
    assert names(open_images(tmp_path / "b-1_y0.png", 3)) == ["b-1_y0.png"]


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f4"])
def test_one_channel_of_any_type_is_read_as_it_is(tmp_path, dtype):
    image = (GREY.astype(float) * (200 if np.dtype(dtype).itemsize > 1 else 1)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=">" if dtype.startswith(">") else "<")
    (found,) = open_images(tmp_path, 1)
    assert whole(found).dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(whole(found), image)
    np.testing.assert_allclose([found.high.zero, found.high.one], np.percentile(image, (0.1, 99.9)))


def test_16_bit_png_keeps_its_bits(tmp_path):
    image = GREY.astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    np.testing.assert_array_equal(whole(open_images(tmp_path, 1)[0]), image)


def test_planes_of_a_stack_are_images(tmp_path):
    stack = RNG.integers(0, 4000, (3, 40, 50), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    found = open_images(tmp_path, 1)
    assert names(found) == ["stack.tif#0", "stack.tif#1", "stack.tif#2"]
    for image, plane in zip(found, stack, strict=True):
        np.testing.assert_array_equal(whole(image), plane)
        assert image.high.one == pytest.approx(np.percentile(plane, 99.9))


def test_what_is_not_finite_is_black(tmp_path):
    image = GREY.astype(np.float32)
    image[3, 4:9] = np.nan
    image[5, 5] = np.inf
    (found,) = open_images(None, 1, {"layer": image})
    clean = whole(found)
    assert np.isfinite(clean).all()
    assert (clean[3, 4:9] == np.float32(found.high.zero)).all()
    assert found.high.one <= 255


def test_other_channels_than_the_networks_are_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).save(tmp_path / "three.png")
    tifffile.imwrite(tmp_path / "deep.tif", COLOUR.astype(np.uint16) * 9, photometric="rgb")
    with pytest.raises(InputError, match=r"colour\.png is in colour, and the network is for one channel"):
        open_images(tmp_path / "colour.png", 1)
    with pytest.raises(InputError, match=r"grey\.png is made of single channels"):
        open_images(tmp_path / "grey.png", 3)
    with pytest.raises(InputError, match=r"deep\.tif is an RGB image of uint16"):
        open_images(tmp_path / "deep.tif", 3)
    with pytest.raises(InputError, match="network of 4 channels"):
        open_images(tmp_path / "grey.png", 4)
    np.testing.assert_array_equal(whole(open_images(tmp_path / "three.png", 1)[0]), GREY)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no image in"):
        open_images(tmp_path, 3)
    with pytest.raises(InputError, match="There is no image in"):
        open_images(tmp_path / "absent", 3)
    with pytest.raises(InputError, match="has no images"):
        open_images(None, 3)
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with pytest.raises(InputError, match=r"b\.png cannot be opened"):
        open_images(tmp_path, 3)
    (tmp_path / "c.bmp").write_bytes(b"BM")
    with pytest.raises(InputError, match=r"c\.bmp cannot be read"):
        open_images(tmp_path / "c.bmp", 3)


class Counted:
    """An array that is too large to be held, and counts the pixels that are read of it."""

    shape, dtype = (9000, 9000), np.dtype(np.uint16)

    def __init__(self):
        self.pixels = 0

    def __getitem__(self, index):
        y, x = (np.arange(part.start, part.stop) for part in index)
        self.pixels += len(y) * len(x)
        return (y[:, None] * 3 + x * 2).astype(np.uint16)


def test_large_images_are_read_in_parts():
    array = Counted()
    (found,) = open_images(None, 1, {"layer": ImageSource.from_array(array)})
    assert found.high.held is None
    assert array.pixels < 5e6 < HELD_PX
    assert found.high.zero < 4000
    assert 40000 < found.high.one < 45000
    before = array.pixels
    part = found.high.read(slice(10, 20), slice(8990, 9000))
    assert array.pixels - before == 100
    assert part[0, 0] == 10 * 3 + 8990 * 2


def test_paired_folders_pair_by_name(tmp_path):
    for kind, step in (("low", 2), ("high", 1)):
        (tmp_path / kind).mkdir()
        for name in ("f1", "f2"):
            Image.fromarray(COLOUR[::step, ::step]).save(tmp_path / kind / f"{name}.png")
    found = open_images(tmp_path, 3)
    assert names(found) == ["f1", "f2"]
    assert {image.factor for image in found} == {2}
    np.testing.assert_array_equal(found[0].low.read_whole(), COLOUR[::2, ::2])

    (tmp_path / "low" / "f2.png").rename(tmp_path / "low" / "f3.png")
    with pytest.raises(InputError, match=r"2 images in low, 2 in high; without a partner: f2, f3\)"):
        open_images(tmp_path, 3)
    (tmp_path / "low" / "f3.png").unlink()
    with pytest.raises(InputError, match=r"1 images in low, 2 in high; without a partner: f2\)"):
        open_images(tmp_path, 3)
    Image.fromarray(COLOUR[:31, :35]).save(tmp_path / "low" / "f2.png")
    with pytest.raises(InputError, match=r"f2 do not go together \(31 x 35 pixels, 1 planes and 60 x 70"):
        open_images(tmp_path, 3)


def manifest(folder, low, high, places, **changes):
    for name, image in (("low", low), ("high", high)):
        tifffile.imwrite(folder / f"f.{name}.tif", image)
    entry = {"name": "f", "low": "f.low.tif", "high": "f.high.tif", "factor": 2}
    entry["patches"] = [{"y": int(y), "x": int(x), "shift_px": 0.1, "correlation": 0.9} for y, x in places]
    document = {"format": 1, "patch_px": 8, "fields": [entry], **changes}
    (folder / "pairs.json").write_text(json.dumps(document))


def test_registered_pairs_come_with_the_places_that_fit(tmp_path):
    manifest(tmp_path, GREY[::2, ::2], GREY, [(0, 8), (16, 24)])
    for where in (tmp_path, tmp_path / "pairs.json"):
        (found,) = open_images(where, 1)
        assert (found.name, found.factor, found.place_px) == ("f", 2, 8)
        np.testing.assert_array_equal(found.places, [(0, 8), (16, 24)])


def test_a_list_of_pairs_that_is_wrong_is_told(tmp_path):
    manifest(tmp_path, GREY[::2, ::2], GREY, [])
    with pytest.raises(InputError, match=r"No field in .* has a patch that fits"):
        open_images(tmp_path, 1)
    manifest(tmp_path, GREY[::2, ::2], GREY, [(0, 0)], format=2)
    with pytest.raises(InputError, match="of format 2"):
        open_images(tmp_path, 1)
    for text in ("{", "[]", '{"format": 1, "patch_px": 8}'):
        (tmp_path / "pairs.json").write_text(text)
        with pytest.raises(InputError, match=r"pairs\.json cannot be read"):
            open_images(tmp_path, 1)


def test_hdf5_of_placentasr_is_read_slice_by_slice(tmp_path):
    high = RNG.integers(90, 120, (3, 16, 20, 3), dtype=np.uint8)
    low = high + RNG.integers(0, 9, high.shape, dtype=np.uint8)
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["X"], file["Y0"] = low, high
    with h5py.File(tmp_path / "residual.h5", "w") as file:
        # R = 127 + 2 (low - high), written out.
        file["X"], file["Y"] = low, (127 + 2 * (low.astype(int) - high)).astype(np.uint8)
    for name in ("train.h5", "residual.h5"):
        found = pickle.loads(pickle.dumps(open_images(tmp_path / name, 3)))
        assert names(found) == ["00000", "00001", "00002"]
        assert {image.factor for image in found} == {1}
        for n, image in enumerate(found):
            np.testing.assert_array_equal(image.high.read_whole(), high[n])
            np.testing.assert_array_equal(image.low.read(slice(2, 7), slice(3, 9)), low[n, 2:7, 3:9])


def test_hdf5_that_does_not_fit_is_told(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no hdf5")
    with pytest.raises(InputError, match=r"a\.h5 cannot be read"):
        open_images(tmp_path / "a.h5", 3)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["X"] = COLOUR[None]
    with pytest.raises(InputError, match="has the data sets X"):
        open_images(tmp_path / "b.h5", 3)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["X"], file["Y0"] = COLOUR[None], COLOUR[None, :50]
    with pytest.raises(InputError, match="do not go together"):
        open_images(tmp_path / "c.h5", 3)


def test_hdf5_written_is_hdf5_read(tmp_path):
    low = np.clip(COLOUR.astype(int) + 5, 0, 255).astype(np.uint8)
    path = write_hdf5(tmp_path / "a.h5", [("slide1_a", low, COLOUR), ("slide2_b", COLOUR, low)])
    found = open_images(path, 3)
    assert names(found) == ["slide1_a", "slide2_b"]
    np.testing.assert_array_equal(found[1].high.read_whole(), low)
    with h5py.File(path) as file:
        assert file["Y"].shape == (2, 60, 70, 3)
        np.testing.assert_array_equal(file["Y"][0], encode_residual(low, COLOUR))
        np.testing.assert_array_equal(decode_residual(file["X"][0], file["Y"][0]), COLOUR)
    with pytest.raises(InputError, match="The image b is"):
        write_hdf5(tmp_path / "b.h5", [("a", low, COLOUR), ("b", low[:9], COLOUR[:9])])


def test_images_from_python(rng):
    layers = {"one": GREY, "two": ImageSource.from_array(GREY), "pair": (GREY[::2, ::2], GREY)}
    found = open_images(None, 1, layers)
    assert names(found) == ["one", "two", "pair"]
    assert [image.low is None for image in found] == [True, True, False]


def test_a_pyramid_is_read_at_its_finest_level_patch_by_patch(tmp_path, monkeypatch):
    import zarr

    store = tmp_path / "slide1.ome.zarr"
    finest = (np.add.outer(np.arange(600), np.arange(500)) % 256).astype(np.uint8)
    group = zarr.open_group(store, mode="w")
    for level in (0, 1):
        array = group.create_array(
            f"{level}", shape=(600 >> level, 500 >> level), chunks=(64, 64), dtype="u1"
        )
        array[:] = finest[:: 1 << level, :: 1 << level]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    scales = [[{"type": "scale", "scale": [0.5 * 2**level] * 2}] for level in (0, 1)]
    datasets = [{"path": f"{n}", "coordinateTransformations": scale} for n, scale in enumerate(scales)]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    monkeypatch.setattr("napari_microsr.superres.planes.HELD_PX", 1000)
    for where in (tmp_path, store):
        (found,) = open_images(where, 1)
        assert found.name == "slide1.ome.zarr"
        assert found.high.shape == (600, 500)
        assert found.high.held is None
        part = pickle.loads(pickle.dumps(found)).high.read(slice(100, 130), slice(470, 500))
        np.testing.assert_array_equal(part, finest[100:130, 470:500])
