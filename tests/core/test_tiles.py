"""A tile is integers: the plan covers each pixel once and reads what the network needs."""

import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.core.tiles import Region, TilePlan, read_windows
from napari_microsr.errors import JobError


def plan_of(shape, tile_px, *, halo_px=3, multiple_of=1, factor=2, axes=None):
    source = ImageSource.from_array(np.zeros(shape, np.uint8), axes=axes, rgb=False)
    return TilePlan.cover(source, tile_px, halo_px=halo_px, multiple_of=multiple_of, factor=factor)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (64, 64), (65, 63), (3, 33, 100)])
@pytest.mark.parametrize(("tile_px", "multiple_of"), [(32, 1), (40, 16), (1000, 16)])
def test_every_pixel_is_written_exactly_once(shape, tile_px, multiple_of):
    plan = plan_of(shape, tile_px, multiple_of=multiple_of)
    count = np.zeros((plan.n_planes, plan.height, plan.width), int)
    for index in range(len(plan)):
        tile = plan.tile(index)
        assert tile.index == index
        assert tile.y % multiple_of == tile.x % multiple_of == 0
        count[tile.plane, tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
    assert (count == 1).all()


def test_halo_and_tile_are_rounded_up_to_the_networks_grid():
    plan = plan_of((100, 100), 40, halo_px=17, multiple_of=16)
    assert (plan.tile_height, plan.tile_width, plan.halo_px) == (48, 48, 32)


def test_a_small_image_gets_a_small_tile():
    plan = plan_of((10, 300), 256, multiple_of=16)
    assert (plan.tile_height, plan.tile_width) == (16, 256)


@pytest.mark.parametrize("side", [1000, 2048, 4096, 5000, 8192, 16384])
def test_fitted_tiles_hardly_stand_out_over_the_image(side):
    source = ImageSource.from_array(np.broadcast_to(np.uint8(0), (side, side)))
    plan = TilePlan.cover(source, 384, halo_px=14, multiple_of=1, factor=2, even=True)
    assert max(plan.tile_height, plan.tile_width) <= 384
    assert len(plan) * plan.tile_height * plan.tile_width <= 1.025 * side**2


@pytest.mark.parametrize("tile_px", [0, -5])
def test_a_tile_without_pixels_is_refused(tile_px):
    with pytest.raises(JobError, match="holds no pixel"):
        plan_of((10, 10), tile_px)


def test_windows_equal_the_replicate_padded_image(rng):
    image = rng.integers(0, 255, (2, 37, 53), np.uint8)
    source = ImageSource.from_array(image, axes="zyx", rgb=False)
    plan = TilePlan.cover(source, 16, halo_px=5, multiple_of=4, factor=2)
    halo = plan.halo_px
    padded = np.pad(image, ((0, 0), (halo, 100), (halo, 100)), mode="edge")
    tiles = [plan.tile(i) for i in range(len(plan))]
    windows = read_windows(source, plan, tiles)
    assert windows.shape == (len(plan), 1, 16 + 2 * halo, 16 + 2 * halo)
    for tile, window in zip(tiles, windows, strict=True):
        size = 16 + 2 * halo
        expected = padded[tile.plane, tile.y : tile.y + size, tile.x : tile.x + size]
        np.testing.assert_array_equal(window[0], expected)


def test_batches_stay_within_a_plane_and_show_the_visible_region_first():
    plan = plan_of((3, 64, 64), 16, axes="zyx")
    batches = plan.batches(3, Region(1, slice(20, 30), slice(40, 60)))
    assert sorted(i for batch in batches for i in batch) == list(range(len(plan)))
    assert all(len({plan.tile(i).plane for i in batch}) == 1 for batch in batches)
    visible = [any(_shown(plan.tile(i)) for i in batch) for batch in batches]
    assert visible == sorted(visible, reverse=True)
    assert any(visible)
    assert not all(visible)
    # The groups themselves do not depend on the view: a resumed run makes the same ones.
    assert sorted(batches, key=min) == plan.batches(3)


def _shown(tile):
    return tile.plane == 1 and tile.y == 16 and tile.x in (32, 48)
