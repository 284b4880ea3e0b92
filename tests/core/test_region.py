"""Levels and regions of an image: the same pixels in the same place."""

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import open_image
from napari_microsr.core.ome_zarr_store import area_mean
from napari_microsr.core.region import parse_region, part_of
from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.job import UpscaleJob, upscale


@pytest.fixture
def pyramid(tmp_path, rng):
    """A slide of two levels, 0.5 µm per pixel, as a scanner writes it."""
    fine = rng.integers(0, 255, (96, 128, 3), np.uint8)
    coarse = area_mean(fine.transpose(2, 0, 1)).transpose(1, 2, 0)
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tif.write(fine, subifds=1, photometric="rgb", tile=(32, 32), metadata=metadata)
        tif.write(coarse, subfiletype=1, photometric="rgb", tile=(32, 32))
    return path, fine, coarse


def test_a_level_has_its_pixels_size_and_place(pyramid):
    path, fine, coarse = pyramid
    for level, pixels, um, shift in ((0, fine, 0.5, 0.0), (1, coarse, 1.0, 0.25), (-1, coarse, 1.0, 0.25)):
        image = open_image(path, level=level)
        block = image.read(0, slice(3, 40), slice(5, 60))
        assert np.array_equal(block, pixels[3:40, 5:60].transpose(2, 0, 1))
        assert image.placement.pixel_size_um == (um, um)
        assert image.placement.translate == (shift, shift)


@pytest.mark.parametrize("level", [2, -3])
def test_a_level_that_is_not_there_is_refused(pyramid, level):
    with pytest.raises(InputError, match="level"):
        open_image(pyramid[0], level=level)


def test_levels_of_a_store_and_of_a_picture(tmp_path, rng):
    source, result = tmp_path / "a.tif", tmp_path / "a.ome.zarr"
    tifffile.imwrite(source, rng.integers(0, 4000, (300, 290), np.uint16))
    upscale(UpscaleJob(source=str(source), output=result, model="bicubic", device="cpu"))
    fine, coarse = open_image(result), open_image(result, level=1)
    assert (coarse.height, coarse.width) == (300, 290)
    whole = fine.read(0, slice(0, 600), slice(0, 580))
    assert np.array_equal(coarse.read(0, slice(0, 300), slice(0, 290)), area_mean(whole))
    assert coarse.placement.translate[-1] - fine.placement.translate[-1] == pytest.approx(0.25)
    with pytest.raises(InputError, match="level"):
        open_image(source, level=1)


def test_a_region_is_that_part_in_its_place(pyramid):
    path, fine, _ = pyramid
    part = part_of(open_image(path), *parse_region("10, 20, 31, 1"))
    assert (part.height, part.width) == (31, 1)
    assert np.array_equal(part.read(0, slice(2, 31), slice(0, 1)), fine[12:41, 20:21].transpose(2, 0, 1))
    assert part.placement.translate == (5.0, 10.0)


@pytest.mark.parametrize("text", ["90,0,7,5", "0,128,1,1", "0,0,97,1"])
def test_a_region_beyond_the_image_is_refused(pyramid, text):
    with pytest.raises(InputError, match="96 rows and 128 columns"):
        part_of(open_image(pyramid[0]), *parse_region(text))


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,0", "-1,2,3,4", "a,b,c,d", "1.5,2,3,4"])
def test_a_text_that_is_no_region_is_refused(text):
    with pytest.raises(JobError, match="region"):
        parse_region(text)


def test_upscaling_a_region_of_a_level_is_upscaling_that_picture(pyramid, tmp_path):
    path, _, coarse = pyramid
    cut = tmp_path / "cut.tif"
    tifffile.imwrite(cut, coarse[4:30, 8:41], photometric="rgb")
    part, alone = tmp_path / "part.ome.zarr", tmp_path / "alone.ome.zarr"
    upscale(
        UpscaleJob(source=str(path), output=part, model="bicubic", device="cpu", level=1, region="4,8,26,33")
    )
    upscale(UpscaleJob(source=str(cut), output=alone, model="bicubic", device="cpu"))
    ours, theirs = open_image(part), open_image(alone)
    assert np.array_equal(ours.array[:], theirs.array[:])
    # Fine pixels of 0.5 µm; the region starts at 0.25 + 4, 0.25 + 8 µm with pixels of 1 µm.
    assert ours.placement.scale[-2:] == (0.5, 0.5)
    assert ours.placement.translate[-2:] == pytest.approx((4.25 - 0.25, 8.25 - 0.25))
