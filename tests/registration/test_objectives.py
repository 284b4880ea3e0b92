"""What fields of one objective have in common, learned from simulated placements."""

import numpy as np
import pytest

from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.inputs import Input
from napari_microsr.registration.objectives import guess_ratios, learn
from napari_microsr.registration.placement import FieldPlacement


def placed(scale, angle, mirrored=False, status="placed"):
    matrix = similarity(scale, angle, centre=(10, 20), onto=(300, 400), mirrored=mirrored)
    return FieldPlacement("f", None, "o", (40, 60), status, matrix_yx=matrix, field_um=0.6 * scale)


def test_two_objectives_are_told_apart_from_strays(rng):
    fields = [placed(0.103 * np.exp(rng.normal(0, 0.003)), 179.9 + rng.normal(0, 0.3)) for _ in range(9)]
    fields += [placed(0.4, -2.0, mirrored=True) for _ in range(4)]
    fields += [placed(0.1, 60), placed(0.25, 60), placed(0.4, -2.0)]
    fine, coarse = learn(fields)
    assert fine.size == 9
    assert fine.um == pytest.approx(0.6 * 0.103, rel=0.005)
    assert abs((fine.rotation_deg - 179.9 + 180) % 360 - 180) < 0.5
    assert not fine.mirrored
    assert fine.share == pytest.approx(9 / 10), "the stray at 60 degrees is of the same magnification"
    assert (coarse.size, coarse.mirrored, coarse.share) == (4, True, 4 / 5)
    assert coarse.um == pytest.approx(0.24)
    assert coarse.rotation_deg == pytest.approx(-2.0)


def test_few_or_unsure_fields_teach_nothing():
    assert learn([]) == []
    assert learn([placed(0.1, 0)] * 2 + [placed(0.1, 0, status="uncertain")] * 5) == []


def test_unknown_sizes_try_names_then_what_was_learned_then_what_is_usual():
    overview = Input("slide_4x", None)
    tried = guess_ratios(overview, Input("field_60x", None), [10.4])
    assert tried[:2] == [15.0, 10.4]
    assert 2.5 in tried
    assert 10.0 not in tried, "the search around 10.4 covers it"
    assert 16.0 not in tried
    assert guess_ratios(overview, Input("field", None))[0] == 10.0
