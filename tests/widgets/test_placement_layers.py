"""A placement and the transform of a layer say the same, whatever the transform of the overview."""

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image

from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.placement_layers import (
    Transform,
    matrix_between,
    outline,
    place_layer,
    plane_to_world,
)

pytestmark = pytest.mark.gui
FIELD = (30, 41)
SHEARED = np.array([[1.1, 0.2, 7], [-0.1, 0.9, -3], [0, 0, 1.0]])
MATRICES = {
    "similarity": similarity(0.11, 33.0, centre=(14.5, 20), onto=(40.3, 51.7)),
    "mirrored": similarity(0.4, -110.0, centre=(14.5, 20), onto=(40.3, 51.7), mirrored=True),
    "affine": np.array([[0.1, 0.03, 5], [-0.02, 0.12, 6], [0, 0, 1.0]]),
}
OVERVIEWS = {
    "plain": {},
    "scaled": {"scale": (0.6, 0.6), "translate": (1e5, -3e5), "units": ("um", "um")},
    "anisotropic": {"scale": (0.5, 0.7), "units": ("um", "um")},
    "rotated": {"scale": (0.6, 0.6), "rotate": 25, "translate": (3, 4), "units": ("um", "um")},
    "sheared": {"scale": (2, 3), "shear": [0.3], "units": ("nm", "nm")},
    "affine": {"scale": (2, 2), "affine": SHEARED, "units": ("mm", "mm")},
    "multiscale": {"scale": (0.6, 0.6), "translate": (5, 5), "units": ("um", "um")},
    "stack": {"scale": (3, 0.6, 0.6), "translate": (9, 2, 3), "units": ("s", "um", "um")},
}
FIELDS = {
    "plain": {},
    "um": {"scale": (0.06, 0.06), "units": ("um", "um")},
    "nm, turned": {"scale": (60, 60), "units": ("nm", "nm"), "rotate": 10, "translate": (1e3, 2e3)},
    "moved before": {"scale": (0.06, 0.06), "units": ("um", "um"), "affine": SHEARED},
}


def overview_layer(kind):
    fine = np.zeros((100, 120), np.uint8)
    if kind == "multiscale":
        return Image([fine, fine[::4, ::4]], multiscale=True, **OVERVIEWS[kind])
    return Image(np.zeros((3, *fine.shape), np.uint8) if kind == "stack" else fine, **OVERVIEWS[kind])


def world(layer, points):
    """Of (y, x) on the first plane, by napari itself."""
    lead = np.zeros(layer.ndim - 2)
    return np.array([np.asarray(layer.data_to_world((*lead, *p)))[-2:] for p in points])


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("kind", OVERVIEWS)
@pytest.mark.parametrize("own", FIELDS)
def test_each_pixel_of_the_field_is_shown_on_its_pixel_of_the_overview(matrix, kind, own):
    overview, field = overview_layer(kind), Image(np.zeros((*FIELD, 3), np.uint8), rgb=True, **FIELDS[own])
    before = Transform.of(overview)
    matrix_yx = MATRICES[matrix]
    place_layer(field, overview, matrix_yx)
    points = np.array([(0, 0), (0, 40), (29, 0), (12.5, 30.25)])
    onto = np.array([(matrix_yx @ (*p, 1))[:2] for p in points])
    np.testing.assert_allclose(world(field, points), world(overview, onto), rtol=0, atol=1e-7)
    np.testing.assert_allclose(matrix_between(field, overview), matrix_yx, rtol=0, atol=1e-6)
    assert field.units == overview.units[-2:]
    after = Transform.of(overview)
    np.testing.assert_array_equal(after.affine, before.affine)
    np.testing.assert_array_equal(after.scale, before.scale)


def test_the_own_pixel_size_stays_in_scale_and_the_placement_goes_to_affine():
    overview = overview_layer("scaled")
    field = Image(np.zeros(FIELD), scale=(62, 62), units=("nm", "nm"))
    matrix = similarity(0.1, 0.0, centre=(0, 0), onto=(0, 0))
    place_layer(field, overview, matrix)
    np.testing.assert_allclose(field.scale, 0.062)
    np.testing.assert_allclose(field.affine.affine_matrix[:2, :2], np.eye(2) * 0.06 / 0.062)


def test_a_field_of_unknown_pixel_size_gets_the_one_that_was_found():
    overview, field = overview_layer("scaled"), Image(np.zeros(FIELD))
    place_layer(field, overview, similarity(0.1, 90.0, centre=(0, 0), onto=(10, 10)))
    np.testing.assert_allclose(field.scale, 0.06)
    np.testing.assert_allclose(field.affine.affine_matrix[:2, :2], [[0, -1], [1, 0]], atol=1e-12)


def test_placing_twice_is_placing_once_and_can_be_taken_back():
    overview, field = overview_layer("rotated"), Image(np.zeros(FIELD), scale=(3, 4), translate=(1, 2))
    before, shown = Transform.of(field), plane_to_world(field)
    place_layer(field, overview, MATRICES["mirrored"])
    once = plane_to_world(field)
    place_layer(field, overview, MATRICES["affine"])
    place_layer(field, overview, MATRICES["mirrored"])
    np.testing.assert_allclose(plane_to_world(field), once, atol=1e-9)
    before.restore(field)
    np.testing.assert_array_equal(plane_to_world(field), shown)
    assert str(field.units[0]) == "pixel"


def placed(**extra):
    return FieldPlacement("f", None, "o", FIELD, "placed", **extra)


def test_the_outline_runs_through_the_outer_corners_of_the_field():
    overview, field = overview_layer("affine"), Image(np.zeros(FIELD))
    place_layer(field, overview, MATRICES["similarity"])
    edge = outline(placed(matrix_yx=MATRICES["similarity"]), overview)
    np.testing.assert_allclose(
        edge, world(field, [(-0.5, -0.5), (-0.5, 40.5), (29.5, 40.5), (29.5, -0.5)]), atol=1e-9
    )


def test_the_outline_of_a_bent_placement_is_bent():
    overview = overview_layer("scaled")
    bend = np.array([[0.5, 0.0, 0.2], [0.0, 0.3, 0.0]])
    edge = outline(placed(matrix_yx=MATRICES["affine"], quadratic_yx=bend), overview)
    assert len(edge) == 32
    for number, (y, x) in {0: (-0.5, -0.5), 8: (-0.5, 40.5), 12: (14.5, 40.5)}.items():
        v, u = (y - 14.5) / 20.5, (x - 20) / 20.5
        onto = MATRICES["affine"][:2] @ (y, x, 1) + bend @ (v * v, v * u, u * u)
        np.testing.assert_allclose(edge[number], onto * 0.6 + [1e5, -3e5])
