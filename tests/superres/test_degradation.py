"""The text of a degradation, and what it does, beside SciPy and NumPy."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.degrade import KINDS, area_down, bicubic_down, bicubic_down_up

RNG = np.random.default_rng(9)
COLOUR = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
FULL = "blur(0.3..1.2)?0.25 > bicubic|area > poisson(50..2000)? > noise(0..4) > jpeg(70..95)"


@pytest.mark.parametrize(
    "text",
    [
        "bicubic",
        "lanczos",
        "bicubic-down-up",
        FULL,
        "blur(1) > noise(0)",
        "bilinear-down-up(2.5)|bilinear-down-up(10)",
    ],
)
def test_text_and_degradation_are_one(text):
    degradation = parse_degradation(text)
    assert str(degradation) == text
    assert parse_degradation(f"  {text.replace(' ', '').replace('>', ' >  ')} ") == degradation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no degradation named ''"),
        ("fog", "no degradation named 'fog'"),
        ("bicubic >", "no degradation named ''"),
        ("blur", "'blur' wants its standard deviation"),
        ("blur()", "no degradation named 'blur\\(\\)'"),
        ("blur(2..1)", "in 'blur\\(2..1\\)' is wrong"),
        ("blur(1e9)", "no degradation named"),
        ("blur(99)", "from 0 to 32"),
        ("jpeg(0..50)", "quality in 'jpeg"),
        ("bicubic(2)", "'bicubic' has no parameter"),
        ("bicubic > area", "reduces the image twice"),
        ("bicubic?", "only at times"),
        ("bicubic|blur(1)", "only at times"),
        ("noise(1)?0", "not between 0 and 1"),
        ("noise(1)?2", "not between 0 and 1"),
        ("bilinear-down-up(2..3)", "is a range"),
        ("__import__('os')", "no degradation named"),
    ],
)
def test_wrong_texts_are_named(text, message):
    with pytest.raises(JobError, match=message):
        parse_degradation(text)


@pytest.mark.parametrize(
    ("name", "function"),
    [("bicubic", bicubic_down), ("area", area_down), ("bicubic-down-up", bicubic_down_up)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_single_resampling_stays_in_the_images_type(name, function, dtype):
    image = (COLOUR * (1 if dtype == np.uint8 else 12)).astype(dtype)
    low = parse_degradation(name).apply(image, 4)
    np.testing.assert_array_equal(low, function(image, 4))
    assert low.dtype == dtype
    assert KINDS[name].reduces != parse_degradation(name).same_grid


def test_blur_is_a_gaussian_before_the_reduction():
    low = parse_degradation("blur(1.3) > area").apply(COLOUR, 2)
    blurred = gaussian_filter(COLOUR.astype(float), (1.3, 1.3, 0))
    expected = blurred.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(low - expected).max() <= 0.51


def test_noise_is_in_shares_of_the_range():
    image = np.full((400, 400), 5000.0, np.float32)
    done = parse_degradation("area > noise(10)").degrade(image, 2, None, 1000, 11000)
    assert done.low.std() == pytest.approx(10 / 255 * 10000, rel=0.02)
    assert done.noise == pytest.approx(10 / 255)
    before = parse_degradation("noise(10) > area").degrade(image, 2, None, 1000, 11000)
    assert before.low.std() == pytest.approx(10 / 255 * 10000 / 2, rel=0.02)
    assert before.noise == pytest.approx(5 / 255)


def test_photons_have_poissons_spread():
    image = np.full((400, 400), 3000, np.uint16)
    done = parse_degradation("poisson(80)").degrade(image, 2, None, 1000, 5000)
    expected = np.sqrt(0.5 * 80) / 80
    assert done.low.mean() == pytest.approx(3000, rel=0.005)
    assert done.low.std() / 4000 == pytest.approx(expected, rel=0.02)
    assert done.noise == pytest.approx(expected, rel=0.02)


def test_blurs_add_in_squares_and_are_told_in_low_pixels():
    done = parse_degradation("blur(3) > bicubic > blur(2)").degrade(COLOUR, 2)
    assert done.blur_px == pytest.approx(np.hypot(1.5, 2))
    assert parse_degradation("blur(3)").degrade(COLOUR, 2).blur_px == 3


def test_ranges_choices_and_shares_are_drawn_and_reach_their_ends():
    degradation = parse_degradation("blur(1..2)?0.3 > bicubic|area > noise(0..8)")
    rng = np.random.default_rng(0)
    small = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    drawn = [degradation.degrade(small, 2, rng) for _ in range(400)]
    blurs = np.array([d.blur_px for d in drawn])
    assert (blurs > 0).mean() == pytest.approx(0.3, abs=0.08)
    assert 0.5 <= blurs[blurs > 0].min() < 0.55
    assert 0.95 < blurs.max() <= 1.0
    noises = np.array([d.noise for d in drawn]) * 255
    assert noises.min() < 0.2
    assert 7.8 < noises.max() <= 8
    kinds = [parse_degradation("bicubic|area").degrade(small, 2, rng).low for _ in range(40)]
    bicubic = sum(np.array_equal(low, bicubic_down(small, 2)) for low in kinds)
    assert 8 < bicubic < 32


def test_the_same_generator_gives_the_same_image():
    degradation = parse_degradation(FULL)
    one, two, other = (degradation.degrade(COLOUR, 2, np.random.default_rng(n)) for n in (1, 1, 2))
    np.testing.assert_array_equal(one.low, two.low)
    assert not np.array_equal(one.low, other.low)
    np.testing.assert_array_equal(degradation.apply(COLOUR, 2), degradation.apply(COLOUR, 2))


def test_jpeg_is_lossy_and_its_blocks_lie_anywhere():
    smooth = gaussian_filter(RNG.random((64, 64)) * 1200 - 470, 2).clip(0, 255)
    degradation = parse_degradation("jpeg(20)")
    rng = np.random.default_rng(3)
    images = [degradation.degrade(smooth.astype(np.uint8), 2, rng).low for _ in range(6)]
    assert all(image.shape == smooth.shape for image in images)
    assert all(0.5 < np.abs(image - smooth).mean() < 20 for image in images)
    assert len({image.tobytes() for image in images}) > 3


def test_what_a_card_says():
    assert parse_degradation("bicubic").describe(2) == "x2 antialiased bicubic reduction (Pillow)"
    text = parse_degradation("blur(0.5..1)? > area > noise(3)").describe(4)
    assert (
        text
        == "Gaussian blur of 0.5-1 px (50% of the images), x4 mean over blocks (binning), noise of 3 / 255"
    )
    assert parse_degradation("bilinear-down-up(10)").describe(2).startswith("x10 antialiased bilinear")
    assert parse_degradation("bilinear-down-up(2.5)").describe(2).endswith("(Pillow) by 2.5")


def test_same_grid_is_what_reduces_nothing():
    assert [parse_degradation(t).same_grid for t in ("blur(1)", "bicubic-down-up", "bicubic")] == [1, 1, 0]
    assert parse_degradation("bilinear-down-up(2.5) > noise(1)").apply(COLOUR[:40, :60], 2).shape == (
        40,
        60,
        3,
    )
    with pytest.raises(InputError, match=r"cannot be reduced by 2\.5"):
        parse_degradation("bilinear-down-up(2.5)").apply(COLOUR, 2)
