from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_microsr
from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.errors import InputError

SAMPLE = Path(napari_microsr.__file__).parent / "samples" / "CMU-1-Small-Region.svs"


def whole(source: ImageSource, plane: int = 0) -> np.ndarray:
    return source.read(plane, slice(0, source.height), slice(0, source.width))


def planes(source: ImageSource) -> np.ndarray:
    """All planes of an image without colours, shaped as its array."""
    pixels = [whole(source, plane)[0] for plane in range(source.n_planes)]
    return np.stack(pixels).reshape(*source.plane_shape, source.height, source.width)


@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_every_layout_and_byte_order(tmp_path, rng, tile, compression, byteorder, bigtiff):
    data = rng.integers(0, 2**16, (75, 101), dtype="u2")
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, data, tile=tile, compression=compression, byteorder=byteorder, bigtiff=bigtiff)
    source = open_image(path)
    assert (source.axes, source.rgb, source.name) == ("yx", False, "grey")
    assert source.dtype == np.dtype("u2")
    np.testing.assert_array_equal(whole(source)[0], data)
    np.testing.assert_array_equal(source.read(0, slice(31, 75), slice(47, 50))[0], data[31:75, 47:50])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_colours_side_by_side_or_one_after_the_other(tmp_path, rng, planar, samples, tile):
    data = rng.integers(0, 2**16, (samples, 33, 45), dtype="u2")
    path = tmp_path / "colour.ome.tif"
    stored = data if planar == "separate" else np.moveaxis(data, 0, -1)
    options = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    tifffile.imwrite(
        path, stored, photometric="rgb", planarconfig=planar, tile=tile, metadata=None, **options
    )
    source = open_image(path)
    assert (source.rgb, source.channels, source.n_planes, source.name) == (True, 3, 1, "colour")
    np.testing.assert_array_equal(whole(source), data[:3])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_stacks_keep_their_named_axes_and_sizes(tmp_path, rng, kind, compression):
    data = rng.integers(0, 2**16, (2, 3, 4, 15, 17), dtype="u2")  # t, z, c, y, x: ImageJ's order
    path = tmp_path / "stack.tif"
    if kind == "ome":
        noted = {"PhysicalSizeX": 65, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.13, "PhysicalSizeZ": 0.3}
        noted |= {"TimeIncrement": 250, "TimeIncrementUnit": "ms"}
        options = {"ome": True, "metadata": {"axes": "TZCYX", **noted}}
        units, scale = ("ms", "um", "pixel", "um", "nm"), (250, 0.3, 1, 0.13, 65)
    else:
        noted = {"unit": "um", "spacing": 0.3, "finterval": 0.25}
        options = {
            "imagej": True,
            "metadata": {"axes": "TZCYX", **noted},
            "resolution": (1 / 0.065, 1 / 0.13),
        }
        units, scale = ("s", "um", "pixel", "um", "um"), (0.25, 0.3, 1, 0.13, 0.065)
    tifffile.imwrite(path, data, compression=compression, **options)
    source = open_image(path)
    assert (source.axes, source.plane_shape) == ("tzcyx", (2, 3, 4))
    np.testing.assert_array_equal(planes(source), data)
    assert source.placement.units == units
    assert source.placement.scale == pytest.approx(scale)
    assert source.placement.pixel_size_um == pytest.approx((0.13, 0.065))


def test_colours_of_several_depths(tmp_path, rng):
    data = rng.integers(0, 256, (2, 9, 11, 3), dtype="u1")
    tifffile.imwrite(tmp_path / "a.tif", data, ome=True, photometric="rgb", metadata={"axes": "ZYXS"})
    source = open_image(tmp_path / "a.tif")
    assert (source.axes, source.rgb, source.plane_axes) == ("zyxc", True, "z")
    np.testing.assert_array_equal(whole(source, 1), data[1].transpose(2, 0, 1))


def test_axes_without_a_known_meaning_get_letters_of_their_own(tmp_path, rng):
    data = rng.random((2, 3, 5, 7)).astype("f4")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    source = open_image(tmp_path / "a.tif")
    assert source.axes.endswith("yx")
    assert not set(source.plane_axes) & set("tcz")
    np.testing.assert_array_equal(planes(source), data)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (1, 1, 3)])
@pytest.mark.parametrize("options", [{}, {"ome": True}, {"tile": (16, 16)}])
def test_one_pixel_is_an_image(tmp_path, shape, options):
    tifffile.imwrite(tmp_path / "a.tif", np.full(shape, 7, "u1"), **options)
    source = open_image(tmp_path / "a.tif")
    assert (source.height, source.width, source.rgb) == (*shape[:2], len(shape) == 3)
    assert (whole(source) == 7).all()


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((20_000, 10_000), "CENTIMETER", (1.0, 0.5)),
        ((50_800, 50_800), "INCH", (0.5, 0.5)),
        ((72, 72), "INCH", None),  # a screen
        ((600, 600), "INCH", None),  # a printer
        ((118.11, 118.11), "CENTIMETER", None),
        ((20_000, 20_000), "NONE", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_tags_are_believed_where_they_can_be_pixels(tmp_path, resolution, unit, size):
    data = np.zeros((5, 7), "u1")
    tifffile.imwrite(tmp_path / "a.tif", data, resolution=resolution, resolutionunit=unit)
    found = open_image(tmp_path / "a.tif").placement.pixel_size_um
    assert found == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("unit", "size"), [("inch", None), ("mm", 500.0), ("\\u00B5m", 0.5), ("pixel", None)]
)
def test_units_of_imagej(tmp_path, unit, size):
    resolution = {"inch": 72, "mm": 2, "\\u00B5m": 2, "pixel": 2}[unit]
    options = {"resolution": (resolution,) * 2, "metadata": {"unit": unit}}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 7), "u1"), imagej=True, **options)
    found = open_image(tmp_path / "a.tif").placement.pixel_size_um
    assert found == (None if size is None else pytest.approx((size, size)))


def test_the_shipped_slide():
    source = open_image(SAMPLE)
    assert (source.height, source.width, source.rgb, source.dtype) == (2967, 2220, True, np.uint8)
    assert source.placement.pixel_size_um == (0.499, 0.499)
    with tifffile.TiffFile(SAMPLE) as tif:
        truth = tif.pages[0].asarray()
    block = source.read(0, slice(2800, 2967), slice(100, 500))
    np.testing.assert_array_equal(block, truth[2800:2967, 100:500].transpose(2, 0, 1))


def test_the_finest_level_of_the_largest_series(tmp_path, rng):
    small, large = rng.integers(0, 256, (40, 40), dtype="u1"), rng.integers(0, 256, (160, 128), dtype="u1")
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tif:
        tif.write(small, photometric="minisblack", metadata=None)
        tif.write(large, tile=(64, 64), subifds=1, photometric="minisblack", metadata=None)
        tif.write(large[::2, ::2], tile=(64, 64), subfiletype=1, photometric="minisblack", metadata=None)
    source = open_image(tmp_path / "pyramid.tif")
    np.testing.assert_array_equal(whole(source)[0], large)


def test_the_first_image_of_an_ome_tiff_is_the_main_one(tmp_path, rng):
    main, other = rng.integers(0, 256, (20, 30), dtype="u1"), np.zeros((90, 90), "u1")
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        tif.write(main, metadata={"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25})
        tif.write(other, metadata={"PhysicalSizeX": 9.0, "PhysicalSizeY": 9.0})
    source = open_image(tmp_path / "two.ome.tif")
    np.testing.assert_array_equal(whole(source)[0], main)
    assert source.placement.pixel_size_um == (0.25, 0.25)


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
def test_a_truncated_file_is_told_at_once(tmp_path, rng, compression, tile):
    data = rng.integers(0, 256, (200, 300, 3), dtype="u1")
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, data, photometric="rgb", compression=compression, tile=tile)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"slide\.tif is incomplete"):
        open_image(path)


def test_damage_inside_is_told_when_it_is_met(tmp_path, rng):
    data = rng.integers(0, 256, (200, 300), dtype="u1")
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, data, compression="zlib", tile=(64, 64))
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 500)
    source = open_image(path)
    np.testing.assert_array_equal(source.read(0, slice(0, 64), slice(0, 64))[0], data[:64, :64])
    with pytest.raises(InputError, match=r"slide\.tif cannot be read at rows 190 to 200, columns 290 to 300"):
        source.read(0, slice(190, 200), slice(290, 300))


def test_pixels_that_are_no_intensities_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "cmyk.tif", np.zeros((9, 9, 4), "u1"), photometric="separated")
    with pytest.raises(InputError, match="CMYK"):
        open_image(tmp_path / "cmyk.tif")
    colours = np.zeros((3, 256), "u2")
    colours[0, ::2] = 65535
    tifffile.imwrite(tmp_path / "map.tif", np.zeros((9, 9), "u1"), photometric="palette", colormap=colours)
    with pytest.raises(InputError, match="palette"):
        open_image(tmp_path / "map.tif")
    tifffile.imwrite(tmp_path / "bits.tif", np.zeros((9, 9), bool))
    with pytest.raises(InputError, match="bool"):
        open_image(tmp_path / "bits.tif")


def test_a_colour_map_for_display_is_left_alone(tmp_path, rng):
    data, ramp = rng.integers(0, 256, (9, 9), dtype="u1"), np.zeros((3, 256), "u2")
    ramp[1] = np.arange(256) * 257
    tifffile.imwrite(tmp_path / "green.tif", data, photometric="palette", colormap=ramp)
    np.testing.assert_array_equal(whole(open_image(tmp_path / "green.tif"))[0], data)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.97])
def test_a_stack_that_lost_its_last_frames_is_refused(tmp_path, rng, bigtiff, share):
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        for _ in range(12):
            writer.write(rng.integers(0, 99, (33, 40), np.uint16), contiguous=False, metadata=None)
    whole = path.read_bytes()
    assert open_image(path).array.shape == (12, 33, 40)
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"stack\.tif is incomplete"):
        open_image(path)
