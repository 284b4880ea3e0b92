"""Placements of every kind, to be written and read back."""

import numpy as np
import pytest

from napari_microsr.registration.geometry import corners, parts, similarity
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


def field(name, matrix, overview="slide", shape=(2748, 3584), um=0.6, **values):
    values = {"status": "placed", "score": 0.987654321012345, "expected_error_um": 0.04} | values
    field_um = um and um * parts(matrix).scale
    return FieldPlacement(
        name, f"/data/{name}.tif", overview, shape, matrix_yx=matrix, field_um=field_um, **values
    )


def placements_of(um):
    sheared = similarity(0.4, -91.0, centre=(10, 20), onto=(900.1, 77.7)) @ np.array(
        [[1.01, 0.003, 0], [-0.02, 0.99, 0], [0, 0, 1]]
    )
    bent = np.array([[0.4, -0.2, 0.1], [0.3, 0.05, -0.6]])
    fields = [
        field("upright", similarity(0.1, 0, centre=(0, 0), onto=(12.25, 400.5)), um=um),
        field("turned", similarity(0.1003, 33.3, centre=(1373.5, 1791.5), onto=(1500.3, 2000.7)), um=um),
        field(
            "mirrored é",
            similarity(0.098, -170, centre=(5, 6), onto=(70, 80), mirrored=True),
            um=um,
            locked=True,
        ),
        field("sheared/one", sheared, "second", (31, 7), um=um, status="uncertain", reason="Out of focus."),
        field(
            "bent", similarity(0.1, 1, centre=(0, 0), onto=(3, 4)), shape=(300, 200), um=um, quadratic_yx=bent
        ),
        FieldPlacement("lost", None, None, (1, 1), "not_found", "Too little texture."),
    ]
    overviews = [
        OverviewInfo("slide", "/data/slide.tif", (2748, 3584), um),
        OverviewInfo("second", None, (99, 101), um),
    ]
    return Placements(overviews, fields, 0.021, {"version": "0.1", "job": {"transform": "similarity"}})


@pytest.fixture(params=[0.6, None], ids=["um", "pixels"])
def placements(request):
    return placements_of(request.param)


@pytest.fixture
def corner_shift():
    """How far the corners of two placements of one field lie apart, in overview pixels."""

    def shift(one, other):
        points = corners(one.shape_yx)
        return np.abs(one.to_overview(points) - other.to_overview(points)).max()

    return shift
