"""What many fields decide together, with a stand-in for the search of one."""

import numpy as np
import pytest

from napari_microsr import RegisterJob, register
from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement
from napari_microsr.errors import InputError
from napari_microsr.registration import fields as module
from napari_microsr.registration.geometry import parts, similarity
from napari_microsr.registration.placement import FieldPlacement

SHAPE = (60, 80)


def image(name, um, shape=SHAPE):
    rng = np.random.default_rng(len(name))
    placement = Placement.of_sizes("yx", dict.fromkeys("yx", (um, "um")))
    return ImageSource.from_array(rng.integers(0, 255, shape, np.uint8), placement=placement, name=name)


class StandIn:
    """Finds each field as `answers` says, if the prior allows it, and remembers what it was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, field, overview, settings, prior, check):
        self.asked.append((field.name, prior))
        answer = self.answers[field.name]
        if isinstance(answer, Exception):
            raise answer
        status, angle, mirrored, only_narrow = answer
        allowed = prior.mirrored in (None, mirrored) and (not only_narrow or prior.rotation_deg is not None)
        if not allowed:
            return FieldPlacement(field.name, None, None, SHAPE, "not_found", "Nothing looks like it.")
        matrix = similarity(0.1, angle, centre=(30, 40), onto=(200, 300), mirrored=mirrored)
        return FieldPlacement(
            field.name, None, overview.name, SHAPE, status, "" if status == "placed" else "Weak.", 0.9, 1, 20,
            0.05, matrix, field_um=0.1,
        )  # fmt: skip


@pytest.fixture
def run(monkeypatch, tmp_path):
    def run(answers, **settings):
        stand_in = StandIn(answers)
        monkeypatch.setattr(module, "place", stand_in)
        # No links: what they do is tested on images.
        monkeypatch.setattr("napari_microsr.registration.session.tie_all", lambda *_: (None, None))
        job = RegisterJob(overviews=["o"], fields=["f"], output=tmp_path / "p.json", **settings)
        slide = [image("slide", 1.0, (400, 500))]
        result = register(job, overviews=slide, fields=[image(name, 0.1) for name in answers])
        return {field.name: field for field in result.fields}, stand_in.asked

    return run


def some(count, status="placed", angle=5.0, mirrored=False, only_narrow=False):
    return {f"{status} {n}": (status, angle + 0.1 * n, mirrored, only_narrow) for n in range(count)}


def test_the_majority_of_the_first_fields_decides_whether_the_camera_mirrors(run):
    answers = {**some(8, mirrored=True), "odd": ("placed", 5, False, False)}
    found, asked = run(answers)
    assert all(parts(found[f"placed {n}"].matrix_yx).mirrored for n in range(8))
    assert found["odd"].status == "not_found"
    assert [prior.mirrored for _, prior in asked[:4]] == [None] * 4
    assert {prior.mirrored for _, prior in asked[4:]} == {True}


def test_a_field_among_the_first_that_disagrees_is_searched_again(run):
    answers = {"a": ("placed", 5, True, False), **some(8)}
    found, asked = run(answers)
    assert found["a"].status == "not_found"
    assert [prior.mirrored for name, prior in asked if name == "a"][:2] == [None, False]


def test_a_weak_field_is_found_with_what_the_others_share(run):
    answers = {**some(4), "weak": ("placed", 5.2, False, True)}
    found, asked = run(answers)
    assert found["weak"].status == "placed"
    narrow = [prior for name, prior in asked if name == "weak"][-1]
    assert narrow.scale == pytest.approx(0.1)
    assert narrow.rotation_deg == pytest.approx(5.15)
    assert run(answers, joint=False)[0]["weak"].status == "not_found"
    few, _ = run({**some(2), "weak": ("placed", 5.2, False, True)})
    assert few["weak"].status == "not_found", "two fields make no objective"


def test_a_doubtful_field_is_believed_or_dropped_by_its_angle(run):
    agreeing, other = ("uncertain", 5.4, False, False), ("uncertain", 95.0, False, False)
    found, _ = run({**some(5), "agreeing": agreeing, "other": other})
    assert (found["agreeing"].status, found["other"].status) == ("placed", "not_found")
    assert "angle" in found["other"].reason
    assert found["other"].matrix_yx is None
    turning = {f"t{n}": ("placed", 40.0 * n, False, False) for n in range(5)}
    found, _ = run({**turning, "other": other})
    assert found["other"].status == "uncertain", "a camera that was turned says nothing"


def test_a_field_that_fails_in_the_middle_is_a_verdict(run):
    broken = InputError("f.tif cannot be read at rows 1 to 2.", "Copy it again.")
    found, _ = run({**some(4), "broken": broken})
    assert found["broken"].status == "not_found"
    assert found["broken"].reason == str(broken)
    assert found["broken"].shape_yx == SHAPE
    assert [found[f"placed {n}"].status for n in range(4)] == ["placed"] * 4
