import pickle
import subprocess
import sys
from dataclasses import replace

import dask.array
import numpy as np
import pytest
import zarr

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.errors import InputError


def numbered(shape, dtype="u2"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def whole(source: ImageSource, plane: int = 0) -> np.ndarray:
    return source.read(plane, slice(0, source.height), slice(0, source.width))


@pytest.mark.parametrize(
    ("shape", "dtype", "axes", "rgb"),
    [
        ((4, 5), "u1", "yx", False),
        ((4, 5, 3), "u1", "yxc", True),
        ((4, 5, 4), "u1", "yxc", True),
        ((4, 5, 3), "u2", "zyx", False),
        ((4, 5, 6), "u1", "zyx", False),
        ((2, 4, 5, 6), "f4", "tzyx", False),
        ((2, 4, 5, 3), "u1", "zyxc", True),
        ((2, 2, 4, 5, 6), "f4", "tczyx", False),
        ((2, 2, 4, 5, 3), "u1", "tzyxc", True),
    ],
)
def test_axes_are_guessed(shape, dtype, axes, rgb):
    source = ImageSource.from_array(np.zeros(shape, dtype))
    assert (source.axes, source.rgb) == (axes, rgb)
    assert source.placement.axis_labels == tuple(axes.removesuffix("c") if rgb else axes)
    assert source.placement.pixel_size_um is None


def test_what_is_said_goes_before_what_is_guessed():
    assert ImageSource.from_array(np.zeros((4, 5, 3), "u2"), rgb=True).axes == "yxc"
    assert ImageSource.from_array(np.zeros((4, 5, 3), "u1"), rgb=False).axes == "zyx"
    assert not ImageSource.from_array(np.zeros((4, 5, 3), "u1"), axes="zyx").rgb
    assert not ImageSource.from_array(np.zeros((3, 4, 5), "u1"), axes="cyx").rgb
    assert ImageSource.from_array(np.zeros((4, 5, 3), "u1"), axes="yxc").rgb


@pytest.mark.parametrize(
    "wrap", [np.asarray, dask.array.from_array, zarr.array], ids=["numpy", "dask", "zarr"]
)
def test_reads_a_region_of_a_plane_of_any_array(wrap):
    data = numbered((2, 3, 4, 5, 7), "<f4")
    source = ImageSource.from_array(wrap(data), axes="tczyx")
    assert (source.height, source.width, source.channels) == (5, 7, 1)
    assert (source.plane_axes, source.plane_shape, source.n_planes) == ("tcz", (2, 3, 4), 24)
    block = source.read(18, slice(1, 4), slice(2, 7))
    np.testing.assert_array_equal(block, data[1, 1, 2, 1:4, 2:7][None])
    assert block.flags.c_contiguous
    assert block.flags.owndata
    assert block.dtype == source.dtype == np.float32
    assert [source.channel_of(plane) for plane in (0, 3, 4, 8, 12, 18)] == [0, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("axes", ["yxc", "cyx", "ycx", "xyc", "xcy"])
@pytest.mark.parametrize("samples", [3, 4])
def test_colours_come_first_and_alpha_is_dropped(axes, samples):
    data = numbered((samples, 5, 7))
    source = ImageSource.from_array(data.transpose(["cyx".index(a) for a in axes]), axes=axes, rgb=True)
    assert (source.channels, source.n_planes, source.plane_axes, source.channel_of(0)) == (3, 1, "", 0)
    np.testing.assert_array_equal(source.read(0, slice(1, 5), slice(0, 3)), data[:3, 1:5, 0:3])


def test_big_endian_pixels_become_native_and_keep_their_values():
    data = numbered((3, 5), ">u2")
    source = ImageSource.from_array(data)
    assert source.dtype.isnative
    assert whole(source).dtype.isnative
    np.testing.assert_array_equal(whole(source)[0], data)


def test_not_a_number_stays_and_one_pixel_is_enough():
    source = ImageSource.from_array(np.full((1, 1), np.nan, "f4"))
    assert np.isnan(whole(source)).all()
    assert whole(source).shape == (1, 1, 1)


def test_changing_what_was_read_leaves_the_image_alone():
    data = numbered((4, 4))
    whole(ImageSource.from_array(data))[:] = 0
    np.testing.assert_array_equal(data, numbered((4, 4)))


@pytest.mark.parametrize(
    ("array", "options", "cause"),
    [
        (np.zeros((0, 5)), {}, "no pixels"),
        (np.zeros((4, 5), bool), {}, "bool"),
        (np.zeros((4, 5), complex), {}, "complex"),
        (np.zeros((4, 5), object), {}, "object"),
        (np.zeros(5), {}, "1 axes"),
        (np.zeros((1,) * 6), {}, "6 axes"),
        (np.zeros((4, 5)), {"axes": "zyx"}, "zyx"),
        (np.zeros((4, 5)), {"axes": "yy"}, "yy"),
        (np.zeros((4, 5)), {"axes": "zx"}, "without y and x"),
        (np.zeros((4, 5, 2)), {"axes": "yxc", "rgb": True}, "colour samples"),
        (np.zeros((4, 5)), {"rgb": True, "axes": "yx"}, "colour samples"),
        ([[1, 2]], {}, "list"),
    ],
)
def test_what_is_no_image_is_refused(array, options, cause):
    with pytest.raises(InputError, match=cause):
        ImageSource.from_array(array, name="mine", **options)


def test_a_placement_must_fit_the_axes():
    with pytest.raises(ValueError, match="placed axis"):
        ImageSource.from_array(np.zeros((4, 5)), placement=Placement.of_sizes("zyx", {}))


def test_a_failing_store_is_an_input_error_with_the_place():
    class Broken:
        shape, dtype = (9, 9), np.dtype("u1")

        def __getitem__(self, index):
            raise RuntimeError("bad sector")

    source = ImageSource.from_array(Broken(), name="slide")
    with pytest.raises(InputError, match=r"slide cannot be read at rows 2 to 4.*bad sector"):
        source.read(0, slice(2, 4), slice(0, 9))


def test_a_small_image_is_sampled_whole():
    data = numbered((2, 3, 300, 515))
    source = ImageSource.from_array(data, axes="tcyx")
    blocks = list(source.sample())
    assert all(block.shape[0] == 1 and max(block.shape) <= 256 for _, block in blocks)
    for channel in range(3):
        values = np.concatenate([block.ravel() for c, block in blocks if c == channel])
        np.testing.assert_array_equal(np.sort(values), np.sort(data[:, channel].ravel()))


@pytest.mark.parametrize("max_pixels", [1_000_000, 100_000, 5_000, 7])
@pytest.mark.parametrize(
    "shape", [(40, 2, 700, 900), (2, 2, 10_000, 300), (1, 2, 3, 2_000_000), (999, 2, 64, 64)]
)
def test_a_sample_of_a_large_image_is_bounded_and_fair(shape, max_pixels):
    source = ImageSource.from_array(
        dask.array.zeros(shape, dtype="u1", chunks=(1, 1, 256, 4096)), axes="tcyx"
    )
    reads = []

    class Recorder(ImageSource):
        def read(self, plane, y, x):
            reads.append((plane, y.start, y.stop, x.start, x.stop))
            return np.zeros((1, y.stop - y.start, x.stop - x.start), "u1")

    recorder = Recorder(source.array, source.axes, False, source.placement, "big", None)
    sizes = {0: 0, 1: 0}
    for channel, block in recorder.sample(max_pixels):
        sizes[channel] += block.size
    assert len(set(reads)) == len(reads)
    assert sizes[0] == sizes[1] > 0
    assert sum(sizes.values()) <= max_pixels
    if max_pixels > 100_000:
        assert sum(sizes.values()) > max_pixels / 4
    again = reads.copy()
    reads.clear()
    list(recorder.sample(max_pixels))
    assert reads == again


def test_a_sample_reaches_all_over_the_plane():
    source = ImageSource.from_array(dask.array.zeros((20_000, 30_000), dtype="u1", chunks=1024))
    rows, cols = set(), set()

    class Recorder(ImageSource):
        def read(self, plane, y, x):
            rows.add(y.start)
            cols.add(x.start)
            return np.zeros((1, 1, 1), "u1")

    list(Recorder(source.array, "yx", False, source.placement, "big", None).sample())
    assert min(rows) == min(cols) == 0
    assert max(rows) > 20_000 - 257
    assert max(cols) > 30_000 - 257
    assert 5 <= len(rows) < len(cols) <= 10


def test_the_fingerprint_of_an_array_tells_pixels_apart():
    data = numbered((3, 40, 50))
    other = data.copy()
    other[1, 20, 20] += 1
    mark = ImageSource.from_array(data).fingerprint()
    assert ImageSource.from_array(data.copy()).fingerprint() == mark
    assert ImageSource.from_array(zarr.array(data)).fingerprint() == mark
    for changed in (
        ImageSource.from_array(other),
        ImageSource.from_array(data, name="other"),
        ImageSource.from_array(data, axes="tyx"),
        ImageSource.from_array(data.astype("i2")),
        ImageSource.from_array(data.reshape(3, 50, 40)),
    ):
        assert changed.fingerprint() != mark


def test_the_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np; from napari_microsr.core.image import ImageSource;"
        "print(ImageSource.from_array(np.arange(600, dtype='u2').reshape(20, 30)).fingerprint())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == ImageSource.from_array(numbered((20, 30))).fingerprint()


def test_arrays_and_changed_placements_survive_pickling():
    source = replace(
        ImageSource.from_array(numbered((4, 5))), placement=Placement.of_sizes("yx", {"y": (0.5, "um")})
    )
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(whole(again), whole(source))
    assert again.placement == source.placement


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("notes.txt", b"some words", "unknown type"),
        ("empty.tif", b"", "empty"),
        ("broken.tif", b"II*\0", "cannot be opened"),
        ("broken.png", b"\x89PNG\r\n\x1a\n123", "cannot be opened"),
        ("broken.jpg", b"\xff\xd8\xff\xe0123", "cannot be opened"),
        ("sound.webp", b"RIFF1234WAVEfmt ", "cannot be opened"),
    ],
)
def test_files_that_are_no_images_are_refused_with_their_path(tmp_path, name, content, cause):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*{cause}"):
        open_image(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.tif does not exist"):
        open_image(tmp_path / "nowhere.tif")
