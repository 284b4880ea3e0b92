"""Slides in DICOM: every pixel, its size and place, lazily; and what is said of files that are none."""

import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from slides import as_stored, write_ct, write_slide

from napari_microsr.batch.inputs import find, is_many
from napari_microsr.cli import DONE, FAILED, execute
from napari_microsr.core.image import open_image
from napari_microsr.errors import InputError
from napari_microsr.registration.inputs import find_files


def whole(source, plane=0):
    return source.read(plane, slice(0, source.height), slice(0, source.width))


@pytest.fixture
def tissue(rng):
    soft = gaussian_filter(rng.random((101, 133, 3)), (2, 2, 0))
    return np.round(255 * (soft - soft.min()) / np.ptp(soft)).astype(np.uint8)


@pytest.fixture
def slide(tmp_path, tissue):
    """A slide of two levels, the coarser one under the earlier name."""
    folder = tmp_path / "slide"
    folder.mkdir()
    write_slide(folder / "a.dcm", [tissue[::2, ::2]], (0.5, 0.48))
    write_slide(folder / "b.dcm", [tissue], (0.25, 0.24))
    return folder


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_every_pixel_of_every_level(tmp_path, tissue, kind):
    levels = [tissue, np.ascontiguousarray(tissue[::2, ::2])]
    write_slide(tmp_path / "fine", [levels[0]], (0.25, 0.25), kind=kind)
    write_slide(tmp_path / "coarse", [levels[1]], (0.5, 0.5), kind=kind, side=16)
    for number, pixels in enumerate(levels):
        source = open_image(tmp_path, level=number)
        expected = as_stored(pixels, (32, 16)[number], kind)
        assert (source.axes, source.rgb, source.dtype) == ("yxc", True, np.uint8)
        np.testing.assert_array_equal(whole(source).transpose(1, 2, 0), expected)
        for y, x in [(0, 0), (31, 31), (17, 40), (source.height - 1, source.width - 1)]:
            part = source.read(0, slice(y, min(y + 40, source.height)), slice(x, x + 1))
            np.testing.assert_array_equal(part.transpose(1, 2, 0), expected[y : y + 40, x : x + 1])


def test_size_and_place_of_pixels(slide):
    fine, coarse = open_image(slide), open_image(slide, level=-1)
    assert fine.placement.pixel_size_um == pytest.approx((0.25, 0.24))
    assert coarse.placement.pixel_size_um == pytest.approx((0.5, 0.48))
    # The corners of the levels coincide: the first coarse pixel is centred between the first two fine ones.
    assert fine.placement.translate == (0, 0)
    assert coarse.placement.translate == pytest.approx((0.125, 0.12))
    with pytest.raises(InputError, match=r"levels are 0 .the finest. to 1"):
        open_image(slide, level=2)


def test_a_file_is_the_level_that_it_holds(slide, tissue):
    assert whole(open_image(slide / "a.dcm")).shape == (3, 51, 67)
    np.testing.assert_array_equal(whole(open_image(slide / "b.dcm")).transpose(1, 2, 0), tissue)


def test_stains_and_focal_planes_of_16_bits(tmp_path, rng):
    planes = [rng.integers(0, 2**16, (41, 35), dtype=np.uint16) for _ in range(6)]
    write_slide(tmp_path / "a.dcm", planes, (0.3, 0.3), side=16, paths=2, z_um=0.7)
    source = open_image(tmp_path / "a.dcm")
    assert (source.axes, source.array.shape) == ("czyx", (2, 3, 41, 35))
    assert source.placement.scale == pytest.approx((1, 0.7, 0.3, 0.3))
    assert [source.channel_of(plane) for plane in range(6)] == [0, 0, 0, 1, 1, 1]
    for number, plane in enumerate(planes):
        np.testing.assert_array_equal(whole(source, number)[0], plane)


def test_label_and_overview_are_not_the_slide(slide, tissue):
    for flavour in ("LABEL", "OVERVIEW"):
        write_slide(slide / f"{flavour}.dcm", [tissue[:32, :32]], (9, 9), flavour=flavour)
    assert whole(open_image(slide)).shape == (3, 101, 133)
    with pytest.raises(InputError, match="no slide"):
        open_image(slide / "LABEL.dcm")


def test_opened_again_after_a_journey(slide, tissue):
    source = open_image(slide)
    packed = pickle.dumps(source)
    assert len(packed) < 5_000
    again = pickle.loads(packed)
    np.testing.assert_array_equal(whole(again).transpose(1, 2, 0), tissue)
    assert again.fingerprint() == source.fingerprint()
    write_slide(slide / "b.dcm", [255 - tissue], (0.25, 0.24))
    assert open_image(slide).fingerprint() != source.fingerprint()


def test_costs_what_is_read(tmp_path):
    pixels = np.zeros((6000, 5000), np.uint8)
    pixels[5990:, 4990:] = 9
    write_slide(tmp_path / "a.dcm", [pixels], (1, 1), side=250)
    del pixels
    tracemalloc.start()
    source = open_image(tmp_path / "a.dcm")
    corner = source.read(0, slice(5985, 6000), slice(4985, 5000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert corner.sum() == 9 * 100
    assert peak < 10e6 < 5000 * 6000


def test_upscaled_by_the_command(slide, tissue, tmp_path, capsys):
    import tifffile

    # The same pixels in a TIFF give the same result.
    tifffile.imwrite(tmp_path / "same.tif", tissue, photometric="rgb")
    options = ["--model", "bicubic", "--device", "cpu", "--tile-px", "64", "--region", "3,5,71,80"]
    assert not is_many(str(slide))
    for name in ("slide", "same.tif"):
        assert (
            execute(["upscale", str(tmp_path / name), str(tmp_path / f"{name}.ome.zarr"), *options]) == DONE
        )
    fine, other = (open_image(tmp_path / f"{name}.ome.zarr") for name in ("slide", "same.tif"))
    assert fine.placement.pixel_size_um == pytest.approx((0.125, 0.12))
    np.testing.assert_array_equal(whole(fine), whole(other))
    capsys.readouterr()


def test_slides_in_a_batch(slide, tissue, tmp_path):
    other = tmp_path / "slide2"
    other.mkdir()
    write_slide(other / "1.2.840.1", [tissue], (1, 1), series="1.2.8")
    assert find_files([str(tmp_path / "slide*")]) == [slide, other]
    assert [item.key for item in find([str(slide), str(other)])] == ["slide", "slide2"]


def test_two_slides_in_a_folder_are_told_apart(slide, tissue):
    write_slide(slide / "c.dcm", [tissue], (0.25, 0.25), series="1.2.99")
    with pytest.raises(InputError, match="holds 2 slides"):
        open_image(slide)


def test_other_dicom_is_no_slide(tmp_path, capsys):
    write_ct(tmp_path / "ct.dcm")
    for path in (tmp_path, tmp_path / "ct.dcm"):
        with pytest.raises(InputError, match=r"no slide .CT Image Storage"):
            open_image(path)
    assert execute(["upscale", str(tmp_path / "ct.dcm"), str(tmp_path / "x"), "--model", "bicubic"]) == FAILED
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_a_file_that_was_cut_off_is_refused(tmp_path, tissue, kind, capfd):
    path = tmp_path / "a.dcm"
    write_slide(path, [tissue], (0.25, 0.25), kind=kind)
    content = path.read_bytes()
    for kept in (140, 400, 900, 1400, len(content) // 2, len(content) - 300):
        path.write_bytes(content[:kept])
        with pytest.raises(InputError):
            open_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_slide_of_which_one_level_is_damaged_is_refused(slide):
    content = (slide / "b.dcm").read_bytes()
    (slide / "b.dcm").write_bytes(content[:1000])
    with pytest.raises(InputError, match=r"b\.dcm"):
        open_image(slide)


def test_levels_that_are_no_powers_of_two_are_refused_in_words(slide, tissue):
    write_slide(slide / "c.dcm", [tissue[::3, ::3]], (0.75, 0.72))
    with pytest.raises(InputError, match="cannot be opened as a slide"):
        open_image(slide)


@pytest.mark.parametrize("absent", ["wsidicom", "pydicom.filereader"])
def test_without_the_extra_it_says_what_to_install(slide, monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(InputError, match=r"pip install 'napari-microsr\[wsi\]'"):
        open_image(slide)
