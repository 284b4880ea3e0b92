"""Which overview and which ratio are tried first."""

import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement
from napari_microsr.registration import features
from napari_microsr.registration.grounds import Ballot, Ground, looks_made_up
from napari_microsr.registration.inputs import from_sources
from napari_microsr.registration.job import RegisterOptions
from napari_microsr.registration.parallel import Crew
from napari_microsr.registration.place import Field
from napari_microsr.registration.sample import sample


def source(image, um, name):
    placement = Placement.of_sizes("yx", dict.fromkeys("yx", (um, "um")) if um else {})
    return ImageSource.from_array(image, rgb=True, placement=placement, name=name)


@pytest.fixture(scope="module")
def halves():
    """The lower and the upper half of the sample's overview; 40x 3 lies on the upper one."""
    overview = sample()[0]
    parts = [np.ascontiguousarray(part) for part in (overview.image[488:], overview.image[:488])]
    return [source(part, overview.um, name) for part, name in zip(parts, ("lower", "upper"), strict=True)]


def ballot(field, options=None, mirrored=None, learned=()):
    (item,) = from_sources([field], None)
    ready = Field.prepare(field, item.size_um(field))
    return Ballot(ready, item, options or RegisterOptions(), mirrored, learned)


def grounds(sources):
    items = from_sources(sources, None)
    return [Ground.of(item, RegisterOptions(), Crew(None).check) for item in items]


def no_check():
    pass


def test_the_overview_that_shares_features_comes_first(halves):
    field = sample()[1][2]
    attempts = list(ballot(source(field.image, field.um, "f")).attempts(grounds(halves), no_check))
    assert [attempt.ground.item.name for attempt in attempts] == ["upper", "lower"]
    assert attempts[0].votes > 10 > attempts[1].votes
    assert attempts[0].ratio == pytest.approx(0.1)


def test_ratios_near_the_true_one_get_the_votes(halves):
    field = sample()[1][2]
    image = source(field.image[::2, ::2], None, "f")
    attempts = list(ballot(image, mirrored=False).attempts(grounds(halves[1:]), no_check))
    assert max(attempts, key=lambda attempt: attempt.votes).ratio == pytest.approx(0.2)
    assert attempts[0].votes >= 10
    assert all(0.15 < attempt.ratio < 0.26 for attempt in attempts if attempt.votes >= 10)


def test_without_opencv_all_are_tried_in_their_order(halves, monkeypatch):
    monkeypatch.setattr(features, "available", lambda: False)
    field = sample()[1][2]
    attempts = list(ballot(source(field.image, field.um, "f")).attempts(grounds(halves), no_check))
    assert [(one.votes, one.ground.item.name) for one in attempts] == [(0, "lower"), (0, "upper")]
    unknown = list(
        ballot(source(field.image, None, "f"), learned=[0.3]).attempts(grounds(halves[:1]), no_check)
    )
    assert unknown[0].ratio == pytest.approx(0.3 / 1.2)
    assert len(unknown) > 10


def test_a_blank_overview_gets_no_votes(halves):
    blank = source(np.full((300, 400, 3), 240, np.uint8), 1.2, "blank")
    field = sample()[1][2]
    attempts = list(
        ballot(source(field.image, field.um, "f")).attempts(grounds([blank, halves[1]]), no_check)
    )
    assert [(a.ground.item.name, a.votes > 0) for a in attempts] == [("upper", True), ("blank", False)]


def test_one_pixel_size_for_both_is_a_default_unless_given(halves):
    (ground,) = grounds(halves[:1])
    same = Field.prepare(halves[0], 1.2)
    assert looks_made_up(ground, same, RegisterOptions())
    assert not looks_made_up(ground, same, RegisterOptions(field_um=1.2))
    assert not looks_made_up(ground, Field.prepare(halves[0], 0.6), RegisterOptions())
