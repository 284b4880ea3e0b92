"""From layers to images and back: axes, units, and the exact place in the world."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_microsr.core.image import open_image
from napari_microsr.errors import InputError
from napari_microsr.widgets.layers import as_file, source_from_layer, visible_region
from napari_microsr.widgets.stored import StoredLevel, as_dask, layer_arguments

pytestmark = pytest.mark.gui

AFFINE = np.array([[1.1, 0.2, 5.0], [-0.1, 0.9, -3.0], [0, 0, 1]])
PLACES = {
    "plain": {},
    "anisotropic": {"scale": (0.5, 0.25), "translate": (10, -4), "units": ("um", "um")},
    "rotated": {"scale": (2, 3), "rotate": 30, "translate": (1, 2)},
    "sheared": {"scale": (2, 3), "shear": [0.4], "rotate": 10},
    "affine": {"scale": (2, 3), "rotate": -20, "affine": AFFINE},
}


def world_corners(layer, sizes):
    """World coordinates of the outer corners of the pixels, not of their centres."""
    return np.array(
        [layer.data_to_world(corner) for corner in product(*[(-0.5, size - 0.5) for size in sizes])]
    )


def enlarge(source, array, factor):
    """A result of the right shape, in the store's axis order, as a layer."""
    order = sorted(source.axes, key="tczyx".index)
    stored = array.transpose([source.axes.index(axis) for axis in order])
    for axis in "yx":
        stored = stored.repeat(factor, order.index(axis))
    level = StoredLevel(stored, "".join(order), source.axes)
    return Image(**layer_arguments([level], source.placement.finer(factor), rgb=source.rgb, metadata={}))


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_result_covers_exactly_the_area_of_its_input(place, factor, rng):
    array = rng.integers(0, 255, (7, 5), np.uint8)
    layer = Image(array, **place)
    result = enlarge(source_from_layer(layer), array, factor)
    np.testing.assert_allclose(
        world_corners(result, (7 * factor, 5 * factor)), world_corners(layer, (7, 5)), atol=1e-9
    )
    assert result.units == layer.units
    np.testing.assert_array_equal(np.asarray(result.data)[::factor, ::factor], array)


@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((3, 6, 4), ("z", "y", "x"), "zyx"),
        ((2, 3, 6, 4), ("t", "z", "y", "x"), "tzyx"),
        ((2, 3, 6, 4), ("z", "channel", "y", "x"), "zcyx"),
        ((6, 4, 3), ("y", "x", "z"), "yxz"),
        ((2, 3, 6, 4), None, "tzyx"),
        ((3, 6, 4), ("foo", "y", "x"), "zyx"),
        ((3, 6, 4), ("y", "y", "x"), "zyx"),
    ],
)
def test_stacks_keep_their_axes_and_place(shape, labels, axes, rng):
    array = rng.random(shape, np.float32)
    scale, shift = np.arange(1, len(shape) + 1), np.arange(len(shape)) * 3.0
    layer = Image(array, axis_labels=labels, scale=scale, translate=shift)
    source = source_from_layer(layer)
    assert source.axes == axes
    result = enlarge(source, array, 2)
    fine = [2 * size if axis in "yx" else size for axis, size in zip(axes, shape, strict=True)]
    assert result.data.shape == tuple(fine)
    np.testing.assert_allclose(world_corners(result, fine), world_corners(layer, shape))
    nearest = tuple(slice(None, None, 2 if axis in "yx" else 1) for axis in axes)
    np.testing.assert_array_equal(np.asarray(result.data)[nearest], array)


@pytest.mark.parametrize("samples", [3, 4])
def test_rgb_layers_are_rgb_images(samples, rng):
    array = rng.integers(0, 255, (5, 6, samples), np.uint8)
    layer = Image(array, rgb=True, scale=(2, 2))
    source = source_from_layer(layer)
    assert (source.axes, source.rgb, source.channels) == ("yxc", True, 3)
    np.testing.assert_array_equal(source.read(0, slice(0, 5), slice(0, 6)), array[..., :3].transpose(2, 0, 1))
    result = enlarge(source, array[..., :3], 2)
    assert result.rgb
    assert result.data.shape == (10, 12, 3)


def test_level_0_of_a_pyramid_is_taken():
    fine = np.arange(64.0).reshape(8, 8)
    layer = Image([fine, fine[::2, ::2]], multiscale=True)
    assert source_from_layer(layer).array is fine


def test_labels_are_refused():
    with pytest.raises(InputError, match="Choose an image layer"):
        source_from_layer(Labels(np.zeros((4, 4), int)))


def test_units_are_known_by_symbol_and_others_keep_their_name():
    layer = Image(np.zeros((2, 4, 4)), units=("second", "micrometer", "nanometer"))
    assert source_from_layer(layer).placement.units == ("s", "um", "nm")
    odd = Image(np.zeros((4, 4)), units=("furlong", "furlong"))
    assert source_from_layer(odd).placement.units == ("furlong", "furlong")


def test_an_unchanged_file_is_read_from_the_file(tmp_path, rng):
    array = rng.integers(0, 60_000, (90, 70), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array)
    layer = Image(array, scale=(3, 3))
    source = as_file(source_from_layer(layer), str(tmp_path / "a.tif"))
    assert source.path == (tmp_path / "a.tif").resolve()
    assert source.placement.scale == (3, 3)
    assert source.placement != open_image(tmp_path / "a.tif").placement


@pytest.mark.parametrize("change", ["pixel", "dtype", "shape", "gone", "foreign"])
def test_what_differs_from_the_file_is_taken_from_the_layer(change, tmp_path, rng):
    array = rng.integers(0, 255, (90, 70), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array)
    shown = array.copy()
    if change == "pixel":
        shown[45, 35] ^= 1
    elif change == "dtype":
        shown = shown.astype(np.uint16)
    elif change == "shape":
        shown = shown[:-1]
    elif change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"not an image")
    source = source_from_layer(Image(shown))
    assert as_file(source, str(path)) is source
    assert as_file(source, None) is source


def test_visible_region_in_2d_and_none_in_3d():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((4, 3, 60, 50)), scale=(1, 2, 1, 1), axis_labels=("t", "z", "y", "x"))
    layer.corner_pixels = np.array([[0, 0, 10, 5], [0, 0, 29, 19]])
    viewer.dims.set_point((0, 1), (2, 4))
    region = visible_region(viewer, layer, source_from_layer(layer))
    assert (region.plane, region.y, region.x) == (2 * 3 + 2, slice(10, 30), slice(5, 20))
    viewer.dims.ndisplay = 3
    assert visible_region(viewer, layer, source_from_layer(layer)) is None


def test_visible_region_counts_in_pixels_of_the_finest_level():
    viewer = ViewerModel()
    fine = np.zeros((64, 64))
    layer = viewer.add_image([fine, fine[::4, ::4]], multiscale=True)
    layer.corner_pixels = np.array([[2, 3], [9, 15]])
    assert layer.data_level == 1
    region = visible_region(viewer, layer, source_from_layer(layer))
    assert (region.y, region.x) == (slice(8, 40), slice(12, 64))


def test_no_region_where_other_axes_are_shown():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((4, 60, 50)))
    viewer.dims.order = (2, 0, 1)
    assert visible_region(viewer, layer, source_from_layer(layer)) is None


def test_colours_of_a_residual_are_averaged():
    stored = np.arange(2 * 3 * 4, dtype=np.int16).reshape(3, 2, 4)
    level = StoredLevel(stored, "cyx", "yx")
    assert level.shape == (2, 4)
    assert level.dtype == np.float32
    np.testing.assert_allclose(level[slice(0, 2), slice(1, 3)], stored.mean(0)[:, 1:3])
    np.testing.assert_allclose(level[1, slice(0, 4)], stored.mean(0)[1])


def test_a_slice_of_a_large_result_reads_only_that_slice():
    class Counting:
        shape, dtype = (60_000, 60_000), np.dtype(np.uint8)
        read = 0

        def __getitem__(self, index):
            block = np.zeros([part.stop - part.start for part in index], np.uint8)
            self.read += block.size
            return block

    stored = Counting()
    data = as_dask([StoredLevel(stored, "yx", "yx")])
    assert np.asarray(data[8000:8400, 20_000:20_300]).shape == (400, 300)
    assert stored.read <= (400 + 2 * 512) * (300 + 2 * 512), "whole chunks and no more"


class Copying:
    """A store: what it returns does not change with it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, index):
        return self.array[index].copy()


def test_kept_blocks_are_read_once_and_again_on_demand(rng):
    stored = rng.integers(1, 255, (3, 1200, 1300), np.uint8)
    level = StoredLevel(Copying(stored), "zyx", "zyx")
    before = level[1, 500:700, 600:1250:5].copy()
    np.testing.assert_array_equal(before, stored[1, 500:700, 600:1250:5])
    stored[1] = 0
    np.testing.assert_array_equal(level[1, 510:690, 600:1250:5], before[10:190])
    assert level.reread()
    assert not level[1, 500:700].any()
    assert not level.reread()
    np.testing.assert_array_equal(level[-1], stored[2])
    np.testing.assert_array_equal(np.asarray(level)[0], stored[0])
