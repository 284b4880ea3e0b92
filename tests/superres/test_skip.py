"""Background of a slide is skipped: glass is interpolated, tissue is left to the network."""

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import open_image
from napari_microsr.errors import JobError
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.skip import shows_tissue

SIDE = 128


@pytest.fixture
def slide(tmp_path, rng):
    """Glass with tissue in the upper left tile and one crumb in the lower right one."""
    pixels = np.full((3 * SIDE, 3 * SIDE, 3), 240, np.uint8)
    pixels += rng.integers(0, 3, pixels.shape, np.uint8)
    pixels[20:90, 10:100] = rng.integers(60, 200, (70, 90, 3))
    pixels[-9:, -9:] = 90
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64))
    return path


def made(path, output, **more):
    job = UpscaleJob(source=str(path), output=output, device="cpu", tile_px=SIDE, precision="float32", **more)
    return [open_image(store).array[:] for store in upscale(job)]


def test_tissue_is_the_networks_and_glass_is_interpolated(slide, tmp_path):
    whole = made(slide, tmp_path / "whole.ome.zarr")[0]
    bicubic = made(slide, tmp_path / "bicubic.ome.zarr", model="bicubic")[0]
    found = made(slide, tmp_path / "skipped.ome.zarr", skip_background=True)[0]
    tissue = np.s_[:, : 2 * SIDE, : 2 * SIDE]
    crumb = np.s_[:, 4 * SIDE :, 4 * SIDE :]
    glass = np.s_[:, : 2 * SIDE, 4 * SIDE :]
    for part in (tissue, crumb):
        assert np.array_equal(found[part], whole[part])
    # The two runs normalise differently, so that a half may be rounded either way.
    assert np.abs(found[glass].astype(int) - bicubic[glass]).max() <= 1
    assert not np.array_equal(found[glass], whole[glass])


def test_the_maps_beside_it_show_no_change_on_glass(slide, tmp_path):
    more = {"residual": True, "consistency": True, "compare_with": ("bicubic",), "skip_background": True}
    _, residual, consistency, disagreement = made(slide, tmp_path / "a.ome.zarr", **more)
    assert np.array_equal(residual[:, :SIDE, 5 * SIDE :], np.zeros((3, SIDE, SIDE)))
    assert np.array_equal(disagreement[:, :SIDE, 5 * SIDE :], np.zeros((3, SIDE, SIDE)))
    assert np.abs(consistency[:, :SIDE, 2 * SIDE + 64 :]).max() < 3
    assert disagreement[:, 40:180, 40:180].max() > 0


def test_a_little_tissue_in_a_corner_counts():
    window = np.full((3, 200, 200), 235, np.uint8)
    assert not shows_tissue(window)
    window[:, -6:, -6:] = 120
    assert shows_tissue(window)


def test_other_images_are_refused(tmp_path):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, np.zeros((40, 40), np.uint16))
    with pytest.raises(JobError, match="RGB"):
        made(path, tmp_path / "a.ome.zarr", model="bicubic", skip_background=True)
