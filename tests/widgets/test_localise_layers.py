"""Localisations lie in the world where the stack shows their light."""

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.widgets.localise_image import Pyramid, SuperImage, percentile
from napari_microsr.widgets.localise_layers import (
    give_pixel_size,
    pixel_nm_of,
    pixel_size_doubt,
    rendered_arguments,
    stack_from_layer,
)
from napari_microsr.widgets.localise_points import add_points

pytestmark = pytest.mark.gui

PLACES = {
    "in pixels": {},
    "in µm": {"scale": (1, 0.1, 0.1), "units": ("pixel", "um", "um")},
    "moved and turned": {"scale": (3, 0.2, 0.1), "translate": (5, -3, 7), "rotate": (0, 0, 30)},
    "sheared by an affine": {
        "scale": (1, 2, 2),
        "affine": [[1, 0, 0, 0], [0, 1.1, 0.3, 5], [0, -0.2, 0.9, -8], [0, 0, 0, 1]],
    },
}


def table(y, x, shape_yx=(30, 41), pixel_nm=100.0, **columns):
    frame = np.zeros(np.size(y), int)
    return Localizations.from_columns(
        frame=frame, y=y, x=x, pixel_nm=pixel_nm, shape_yx=shape_yx, n_frames=5, **columns
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("render_nm", [10.0, 33.0, 100.0, 250.0])
def test_a_rendered_molecule_lies_on_its_camera_pixel(place, render_nm, model, qtbot):
    from qtpy.QtCore import QObject

    stack = model.add_image(np.zeros((5, 30, 41), np.uint16), **place)
    molecule = table([12.3], [31.7])
    parent = QObject()
    image = SuperImage(model, parent)
    image.open(molecule, render_nm, stack, "sharp")
    image.add(molecule)
    level = np.asarray(image.layer.data[0])
    (row,), (column,) = np.nonzero(level)
    shown = image.layer.data_to_world((row, column))
    wanted = np.asarray(stack.data_to_world((0, 12.3, 31.7)))[-2:]
    steps = [np.subtract(image.layer.data_to_world(p), image.layer.data_to_world((0, 0))) for p in np.eye(2)]
    away = np.linalg.solve(np.transpose(steps), wanted - shown)
    assert np.abs(away).max() <= 0.5 + 1e-9, "half a rendered pixel"
    assert image.layer.units == tuple(stack.units[-2:])
    assert image.layer.multiscale
    parent.deleteLater()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_image_and_stack_begin_at_the_same_corner(place, model):
    stack = model.add_image(np.zeros((5, 30, 40), np.uint16), **place)
    fine = model.add_image(np.zeros((120, 160)), **rendered_arguments(stack, 4.0))
    for corner in [(0, 0), (30, 0), (0, 40), (30, 40)]:
        camera = stack.data_to_world((0, corner[0] - 0.5, corner[1] - 0.5))[-2:]
        rendered = fine.data_to_world((corner[0] * 4 - 0.5, corner[1] * 4 - 0.5))
        np.testing.assert_allclose(rendered, camera, atol=1e-9)


def test_the_levels_of_a_pyramid_agree_with_their_own_means(rng):
    rows = table(rng.uniform(-0.5, 29.5, 3000), rng.uniform(-0.5, 40.5, 3000))
    grown, drawn = Pyramid(rows, 4.0), Pyramid(rows, 4.0)
    for part in (slice(0, 1000), slice(1000, 1001), slice(1001, None)):
        grown.add(rows.select(part))
    assert len(grown.levels) > 2
    for level, other in zip(grown.levels, drawn.draw(rows, "histogram"), strict=True):
        np.testing.assert_allclose(level, other, rtol=1e-5)
    assert grown.levels[0].sum() == 3000
    sizes = np.array([level.shape for level in grown.levels])
    np.testing.assert_array_equal(sizes[:-1], 2 * sizes[1:])


def test_a_large_field_is_drawn_coarser_than_asked():
    field = table([1.0], [1.0], shape_yx=(2048, 2048))
    pyramid = Pyramid(field, 10.0)
    assert pyramid.pixel_nm == 40.0
    assert pyramid.levels[0].size <= 6000**2


def test_percentile_counts_only_what_shows_anything():
    level = np.zeros((50, 50), np.float32)
    assert percentile(level, 99.5) == 1.0
    level[0, :10] = np.arange(1, 11)
    assert percentile(level, 100) == 10
    assert percentile(level, 50) == 5.5


def test_pixel_sizes_are_read_from_the_layer(model):
    bare = model.add_image(np.zeros((3, 8, 9)))
    micro = model.add_image(np.zeros((3, 8, 9)), scale=(1, 0.108, 0.108), units=("pixel", "um", "um"))
    oblong = model.add_image(np.zeros((3, 8, 9)), scale=(1, 100, 120), units=("pixel", "nm", "nm"))
    assert pixel_nm_of(bare) is None
    assert pixel_nm_of(micro) == pytest.approx(108)
    assert pixel_nm_of(oblong) is None
    assert pixel_size_doubt(bare, 100) is None
    assert pixel_size_doubt(micro, 108) is None
    assert "108 × 108 nm, the form says 0.108 nm" in pixel_size_doubt(micro, 0.108)


def test_a_stack_without_unit_is_shown_in_nm_and_others_are_left_alone(model):
    stack = model.add_image(np.zeros((3, 8, 9)))
    assert give_pixel_size(model, stack, 120.0)
    assert [str(unit) for unit in stack.units[-2:]] == ["nanometer"] * 2
    np.testing.assert_allclose(stack.scale, (1, 120, 120))
    assert not give_pixel_size(model, stack, 100.0), "it has a unit now"
    other = model.add_image(np.zeros((3, 8, 9)))
    model.add_labels(np.zeros((3, 8, 9), int))
    assert not give_pixel_size(model, other, 100.0), "the labels would lie elsewhere"
    np.testing.assert_allclose(other.scale, 1)


def test_frames_must_lie_in_the_last_axes(model):
    layer = model.add_image(np.zeros((8, 9, 3)), axis_labels=("y", "x", "t"))
    with pytest.raises(InputError, match="Transpose"):
        stack_from_layer(layer)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_points_lie_on_the_stack(place, model):
    stack = model.add_image(np.zeros((5, 30, 41), np.uint16), **place)
    rows = table([12.3, 0.0], [31.7, -0.5], photons=[100, 200])
    assert "2 localisations" in add_points(model, stack, rows, "spots", most=10)
    points = model.layers["spots"]
    wanted = np.asarray(stack.data_to_world((0, 12.3, 31.7)))[-2:]
    np.testing.assert_allclose(points.data_to_world(points.data[0]), wanted)
    np.testing.assert_array_equal(points.features["photons"], [100, 200])
    assert "2 localisations" in add_points(model, stack, rows, "spots", most=10)
    assert [layer.name for layer in model.layers].count("spots") == 1


def test_too_many_points_are_not_made(model, rng):
    stack = model.add_image(np.zeros((5, 30, 41), np.uint16))
    rows = table(rng.uniform(0, 29, 50), rng.uniform(0, 40, 50))
    said = add_points(model, stack, rows, "spots", most=10)
    assert "zoom in" in said
    assert "spots" not in model.layers
