"""What a training is given: a split by slide, well or field, samples as a run sees them, clear refusals."""

import numpy as np
import pytest

from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.datasets import open_training_data
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.split import group_of

RNG = np.random.default_rng(8)


def image(height=80, width=96, channels=3):
    shape = (height, width, 3) if channels == 3 else (height, width)
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def slides(*names, channels=3, **size):
    return {name: image(channels=channels, **size) for name in names}


def opened(given, channels=3, seed=0, **options):
    return open_training_data(DataOptions.parse({"patch_px": 16, **options}), channels, seed, given)


def sides(data):
    return {i.name for i in data.pairs.images}, {sample.name for sample in data.watched}


SLIDES = ("s1_a", "s1_b", "s2_a", "s2_b", "s3_a")


def test_split_by_the_beginning_of_names():
    data = opened(slides(*SLIDES), hold_out=["s2"], exclude=["s3"])
    assert sides(data) == ({"s1_a", "s1_b"}, {"s2_a", "s2_b"})
    assert data.summary == "2 images to train on, 2 held out."
    with pytest.raises(InputError, match="No training image is left that is held out"):
        opened(slides(*SLIDES), hold_out=["z"])
    with pytest.raises(InputError, match="No training image is left that is trained on"):
        opened(slides(*SLIDES), hold_out=["s2"], exclude=["s1", "s3"])


def test_split_by_share_takes_whole_groups_and_depends_on_the_seed():
    names = [f"well{n:02d}_{field}" for n in range(10) for field in "ab"]
    held = []
    for seed in range(6):
        trained_on, held_out = sides(opened(slides(*names), seed=seed, hold_out_share=0.3))
        groups = {name[:6] for name in held_out}
        assert len(groups) == 3
        assert held_out == {name for name in names if name[:6] in groups}
        assert trained_on == set(names) - held_out
        held.append(frozenset(groups))
    assert sides(opened(slides(*names), seed=3, hold_out_share=0.3))[1] == {
        n for n in names if n[:6] in held[3]
    }
    assert len(set(held)) > 1


def test_a_pattern_tells_the_groups():
    names = ("2021_A01_f1", "2021_A01_f2", "2021_B07_f1")
    data = opened(slides(*names), group_pattern=r"_([A-H]\d\d)_", hold_out=["B07"])
    assert sides(data)[1] == {"2021_B07_f1"}
    data = opened(slides(*names), group_pattern=r"_([A-H]\d\d)_")
    assert {name[5:8] for name in sides(data)[0]}.isdisjoint({name[5:8] for name in sides(data)[1]})
    with pytest.raises(JobError, match="group A01 would be trained on and held out at once"):
        opened(slides(*names), group_pattern=r"_([A-H]\d\d)_", hold_out=["2021_A01_f2"])
    with pytest.raises(JobError, match="is not in the name 2021_A01_f1"):
        opened(slides(*names), group_pattern="slide")
    with pytest.raises(JobError, match="no regular expression"):
        opened(slides(*names), group_pattern="(")


def test_groups_by_name():
    assert group_of("slide07_field3.png", "") == "slide07"
    assert group_of("field3.ome.tif", "") == "field3.ome"
    assert group_of("field3", "") == "field3"
    assert group_of("x-12-y", r"\d+") == "12"


def test_one_group_cannot_be_split():
    with pytest.raises(InputError, match=r"All 1 training images belong to one group \(only\)"):
        opened(slides("only"))
    with pytest.raises(InputError, match=r"All 2 training images belong to one group \(s\)"):
        opened(slides("s_1", "s_2"))
    with pytest.raises(InputError, match="No training image is left of 2"):
        opened(slides("s_1", "s_2"), exclude=["s"])


def test_small_and_constant_images_are_left_out_and_counted():
    given = slides("a", "b", "c") | slides("d", height=20) | {"e": np.full((80, 96, 3), 240, np.uint8)}
    data = opened(given, hold_out=["b"])
    assert data.summary == "2 images to train on, 1 held out, 1 smaller than a patch, 1 constant."
    with pytest.raises(InputError, match="at least 48 pixels"):
        opened(slides("a", "b", height=40), hold_out=["b"])
    with pytest.raises(InputError, match="All 2 training images are constant"):
        opened({name: np.zeros((80, 96, 3), np.uint8) for name in "ab"}, hold_out=["b"])


def test_a_held_out_image_too_small_to_measure_is_told():
    with pytest.raises(InputError, match="too small to measure"):
        opened(slides("a") | slides("b", height=9), hold_out=["b"])


def test_samples_are_in_the_units_of_a_run():
    sharp = (RNG.random((70, 90)) * 3000 + 200).astype(np.uint16)
    (sample,) = opened({"a": sharp, "b": sharp}, 1, hold_out=["b"]).watched
    assert sample.low.shape == (32, 32)
    low = sample.intensities(sample.low)
    np.testing.assert_allclose([sample.zero, sample.one], np.percentile(low, (0.1, 99.9)))
    np.testing.assert_array_equal(sample.truth, sharp[: sample.truth.shape[0], : sample.truth.shape[1]])
    np.testing.assert_array_equal(low, parse_degradation("bicubic").apply(sample.truth, 2))
    assert sample.data_range == pytest.approx(np.subtract(*np.percentile(sample.truth, (99.9, 0.1))))


def test_a_large_held_out_image_is_measured_where_it_is_full():
    large = np.full((2100, 2304), 7, np.uint8)
    large[1100:1900, 1300:2200] = RNG.integers(0, 200, (800, 900), dtype=np.uint8)
    (sample,) = opened({"a": image(channels=1), "b": large}, 1, hold_out=["b"]).watched
    assert sample.high.shape == (1024, 1024)
    assert (sample.truth != 7).mean() > 0.5


def test_random_samples_depend_on_the_images_name_only():
    options = {"degradation": "blur(0..2) > bicubic > noise(0..20)", "hold_out": ["b"]}
    given = slides("a", "b1", "b2")
    one, two = (
        opened(given, seed=1, **options).watched,
        opened(dict(reversed(given.items())), **options).watched,
    )
    for sample in one:
        other = next(s for s in two if s.name == sample.name)
        np.testing.assert_array_equal(sample.low, other.low)
    assert one[0].blur_px != one[1].blur_px


def test_pairs_are_cut_at_one_place_and_not_degraded():
    high = image(96, 96, 1)
    low = high.reshape(48, 2, 48, 2).mean(axis=(1, 3)).astype(np.uint8)
    data = opened({"a": (low, high), "b": (low, high)}, 1, hold_out=["b"], degradation="blur(9)", turn=False)
    assert data.factor == 2
    assert data.degradation == "x2 pairs that were taken"
    zero, one = np.percentile(low, (0.1, 99.9))
    for index in range(5):
        soft, sharp = (part.numpy()[0] * (one - zero) + zero for part in data.pairs[index])
        assert (soft.shape, sharp.shape) == ((16, 16), (32, 32))
        means = sharp.reshape(16, 2, 16, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(np.floor(means + 1e-3), soft, atol=0.01)
    assert data.watched[0].high.shape == (96, 96)


def test_pairs_that_do_not_suit_are_refused():
    high = image(96, 96, 1)
    pair = {"a": (high[::2, ::2], high), "b": (high[::2, ::2], high)}
    with pytest.raises(InputError, match="pairs are of factor 2, and the job's is 4"):
        opened(pair, 1, factor=4, hold_out=["b"])
    with pytest.raises(InputError, match="Blur and noise of pairs"):
        opened(pair, 1, condition=True, hold_out=["b"])
    with pytest.raises(InputError, match="c and a are of factors 3 and 2"):
        opened({**pair, "c": (high[::3, ::3], high)}, 1, hold_out=["b"])


def test_report_by_slide():
    data = opened(slides(*SLIDES), hold_out=["s2", "s3"], report_slides=["s3", "s9"])
    assert {name: len(group) for name, group in data.reported.items()} == {"all": 3, "s3": 1}
