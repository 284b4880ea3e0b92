"""Blur and noise that were planted are found, and what to do about them is said."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.samples import SLIDE
from napari_microsr.core.weights import find
from napari_microsr.superres import suitability
from napari_microsr.superres.image_quality import Quality, estimate, given_or_estimated
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.superres.normalise import measure
from napari_microsr.superres.run import prepare
from napari_microsr.superres.suitability import intensity_faults, mismatches, recommended

CLEAN = Quality(0.0, 0.0)
NOISY = Quality(0.1, 0.05)


@pytest.fixture(scope="module")
def slide():
    """A part of the shipped slide in network units, (3, H, W)."""
    return open_image(SLIDE).read(0, slice(1400, 2168), slice(800, 1568)) / 255


@pytest.fixture(scope="module")
def nuclei():
    """Sharp-edged ellipses with texture on a dark ground, (1, H, W)."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:640, :640]
    image = np.full((640, 640), 0.05)
    for _ in range(150):
        cy, cx, a, b = rng.uniform((0, 0, 8, 8), (640, 640, 22, 22))
        inside = ((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1
        image[inside] = rng.uniform(0.3, 1.0)
    texture = gaussian_filter(rng.normal(size=image.shape), 1)
    return (gaussian_filter(image, 1) * (1 + 0.1 * texture / texture.std()))[None]


def degraded(sharp, blur_px, noise, rng):
    """Blur, halve, add noise; 8-bit colours or 16-bit counts."""
    size = (sharp.shape[2] // 2, sharp.shape[1] // 2)
    low = [gaussian_filter(p, 2 * blur_px) if blur_px else p for p in sharp]
    low = np.stack(
        [np.asarray(Image.fromarray(p.astype(np.float32)).resize(size, Image.BICUBIC)) for p in low]
    )
    low = low + noise * rng.normal(size=low.shape)
    if len(low) == 3:
        return ImageSource.from_array((255 * low).round().clip(0, 255).astype(np.uint8), axes="cyx", rgb=True)
    return ImageSource.from_array((3000 * low[0] + 500).round().clip(0).astype(np.uint16), axes="yx")


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03, 0.08])
@pytest.mark.parametrize("blur_px", [0.0, 1.0, 2.0])
def test_planted_blur_and_noise_are_found_on_a_slide(slide, rng, blur_px, noise):
    found = estimate(degraded(slide, blur_px, noise, rng))
    assert found.blur_px == pytest.approx(blur_px, abs=0.4 if noise < 0.02 else 0.6)
    assert found.noise == pytest.approx(noise, abs=0.012)


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.08])
def test_planted_noise_is_found_in_fluorescence(nuclei, rng, noise):
    for blur_px in (0.5, 2.0):
        source = degraded(nuclei, blur_px, noise, rng)
        known = measure(source, "percentile")
        # A share of the noisy image's own range, as the network sees it.
        true = 3000 * noise / (known.high[0] - known.low[0])
        assert estimate(source).noise == pytest.approx(true, abs=0.012)


def test_more_blur_is_estimated_as_more(slide, nuclei, rng):
    for sharp in (slide, nuclei):
        found = [estimate(degraded(sharp, blur_px, 0.01, rng)).blur_px for blur_px in (0.3, 1.0, 1.7, 2.4)]
        assert found == sorted(found)
        assert found[-1] - found[0] > 1.2


def test_intensities_make_no_difference_to_a_single_channel(nuclei, rng):
    source = degraded(nuclei, 1.0, 0.02, rng)
    other = ImageSource.from_array(2.5 * source.array.astype(np.float32) - 7000, axes="yx")
    assert estimate(other) == estimate(source)
    big_endian = ImageSource.from_array(source.array.astype(">u2"), axes="yx")
    assert estimate(big_endian) == estimate(source)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((300, 300), np.uint8),
        np.full((90, 80), 3.5, np.float32),
        np.random.default_rng(0).random((63, 900)).astype(np.float32),
        np.ones((1, 1), np.uint16),
        np.full((100, 100), np.nan, np.float32),
    ],
    ids=["black", "constant", "narrow", "one pixel", "nan"],
)
def test_what_tells_nothing_gives_nothing(array):
    assert estimate(ImageSource.from_array(array, axes="yx")) is None


def test_what_is_given_is_not_estimated(slide, rng):
    source = degraded(slide, 1.0, 0.03, rng)
    found = estimate(source)
    assert given_or_estimated(source, 0.2, None) == Quality(0.2, found.noise)
    assert given_or_estimated(source, None, 0.07) == Quality(found.blur_px, 0.07)
    empty = ImageSource.from_array(np.zeros((9, 9), np.uint8))
    assert given_or_estimated(empty, None, 0.1) is None
    assert given_or_estimated(empty, 0.3, 0.1) == Quality(0.3, 0.1)


def prepared(source, **settings):
    progress = SilentProgress()
    job = UpscaleJob(source="array", output="none", model="histology-x2", device="cpu", **settings)
    return prepare(job, source, progress), progress.warnings


def test_a_run_warns_of_blur_and_noise_and_keeps_what_it_found(slide, rng):
    run, warnings = prepared(degraded(slide, 0.0, 0.0, rng))
    assert not [w for w in warnings if "looks" in w]
    for blur_px, noise, words in (
        (2.0, 0.0, "blurred ("),
        (0.0, 0.06, "noisy ("),
        (2.0, 0.06, "blurred and noisy"),
    ):
        run, warnings = prepared(degraded(slide, blur_px, noise, rng))
        (warning,) = [w for w in warnings if "looks" in w]
        assert words in warning
        kept = run.provenance()["image_quality"]
        assert kept["blur_px"] == pytest.approx(blur_px, abs=0.45)
        assert "image_quality" not in run.fingerprint(), "the pixels do not depend on it"


@pytest.fixture
def cards(monkeypatch):
    """Bicubic interpolation, and of each kind a plain and a conditioned network."""
    card = find("histology-x2")[0]
    told = {"conditioned": True, "degradation": "Gaussian blur of 0-2 px, x2 antialiased bicubic reduction"}
    more = [
        card.model_copy(update={**told, "id": "told-x2"}),
        card.model_copy(update={"id": "nuclei-x2", "channels": 1, "domain": "fluorescence"}),
        card.model_copy(update={**told, "id": "told-nuclei-x2", "channels": 1, "domain": "fluorescence"}),
    ]
    monkeypatch.setattr(suitability, "list_cards", lambda: [find("bicubic")[0], card, *more])
    return more


def test_of_the_shipped_ones_the_best_for_the_kind_and_the_quality_is_recommended():
    colour = ImageSource.from_array(np.zeros((9, 9, 3), np.uint8))
    grey = ImageSource.from_array(np.zeros((9, 9), np.uint16))
    assert recommended(colour, CLEAN).id == "histology-x2"
    assert recommended(colour, NOISY).id == "histology-x2-conditioned"
    assert recommended(colour, CLEAN, 4).id == "histology-x4"
    assert recommended(grey, CLEAN).id == "fluorescence-x2"


def test_the_model_recommended_suits_kind_blur_and_noise(cards):
    colour = ImageSource.from_array(np.zeros((9, 9, 3), np.uint8))
    grey = ImageSource.from_array(np.zeros((9, 9), np.uint16))
    assert recommended(colour, CLEAN).id == "histology-x2"
    assert recommended(colour, NOISY).id == "told-x2"
    assert recommended(grey, CLEAN).id == "nuclei-x2"
    assert recommended(grey, Quality(1.5, 0.0), 2).id == "told-nuclei-x2"
    assert recommended(grey, CLEAN, 8) is None
    (message,) = mismatches(find("histology-x2")[0], colour, NOISY)
    assert "looks noisy" in message
    assert "Use told-x2" in message
    assert mismatches(cards[0], colour, NOISY) == []
    taken = find("histology-x2")[0].model_copy(update={"degradation": "x2 pairs that were taken"})
    assert mismatches(taken, colour, NOISY) == [], "the pairs are as noisy as the microscope"


def test_a_model_of_another_kind_is_not_recommended():
    colour = ImageSource.from_array(np.zeros((9, 9, 3), np.uint8))
    grey = ImageSource.from_array(np.zeros((9, 9), np.uint16))
    assert recommended(colour, CLEAN).domain == "histology"
    assert recommended(grey, CLEAN).channels != 3


def test_intensities_that_no_model_does_well_on_are_told(cards, rng):
    card = cards[1].model_copy(update={"normalisation": "percentile"})
    image = rng.normal(2000, 300, (200, 200)).clip(0, 4095).astype(np.uint16)
    assert intensity_faults(card, ImageSource.from_array(image)) == []
    image[:40] = 4095
    (message,) = intensity_faults(card, ImageSource.from_array(image))
    assert "overexposed" in message
    assert "20 %" in message
    pale = rng.integers(200, 240, (50, 50, 3), np.uint8)
    (message,) = intensity_faults(cards[0], ImageSource.from_array(pale, rgb=True))
    assert "of 256 grey levels" in message
    assert intensity_faults(find("bicubic")[0], ImageSource.from_array(image)) == []
    assert intensity_faults(card, ImageSource.from_array(np.zeros((5, 5), np.uint8))) == []
