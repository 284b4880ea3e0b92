"""The degradation between pairs is found again where it was planted."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_microsr.errors import InputError
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.degrade import bicubic_down
from napari_microsr.superres.images import open_images
from napari_microsr.superres.measured_degradation import measure_degradation


def scene(seed, side=384):
    """Discs and lines at all scales: a spectrum like that of tissue."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), 100.0)
    for _ in range(700):
        cy, cx = rng.uniform(0, side, 2)
        radius = rng.uniform(1.5, 12)
        inside = (slice(max(0, int(cy - 14)), int(cy + 15)), slice(max(0, int(cx - 14)), int(cx + 15)))
        disc = (y[inside] - cy) ** 2 + (x[inside] - cx) ** 2 < radius**2
        image[inside][disc] = rng.uniform(20, 220)
    return gaussian_filter(image, 0.7)


def planted(seed, factor, blur_px, noise, gain=1.0, offset=0.0, dtype=np.uint16, moved=0.0):
    high = scene(seed) * 40 + 500
    soft = gaussian_filter(high, blur_px * factor) if blur_px else high
    soft = shift(soft, moved * factor, order=3, mode="nearest") if moved else soft
    low = bicubic_down(soft, factor) if factor > 1 else soft
    low = low * gain + offset
    span = np.subtract(*np.percentile(low, (99.9, 0.1)))
    low = low + np.random.default_rng(seed).normal(0, noise / 255 * span, low.shape)
    return np.rint(low).astype(dtype), np.rint(high).astype(dtype)


def measured(*pairs):
    return measure_degradation(open_images(None, 1, {f"f{n}": pair for n, pair in enumerate(pairs)}))


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize(("blur_px", "noise"), [(0.0, 0.0), (0.5, 2.0), (1.0, 0.0), (1.5, 6.0)])
def test_planted_blur_and_noise_are_found(factor, blur_px, noise):
    (pair,) = measured(planted(1, factor, blur_px, noise)).pairs
    assert pair.blur_px == pytest.approx(blur_px, abs=0.08)
    assert pair.noise == pytest.approx(noise, abs=0.1 * noise + 0.35)
    assert pair.gain == pytest.approx(1, abs=0.03)


def test_gain_and_offset_are_found():
    (pair,) = measured(planted(2, 2, 0.8, 1.0, gain=0.6, offset=300)).pairs
    assert pair.gain == pytest.approx(0.6, rel=0.03)
    assert pair.offset == pytest.approx(300, abs=60)
    assert pair.blur_px == pytest.approx(0.8, abs=0.08)


def test_a_shift_below_a_pixel_is_no_blur():
    (pair,) = measured(planted(3, 4, 0.5, 1.0, moved=0.4)).pairs
    assert pair.blur_px == pytest.approx(0.5, abs=0.1)
    # Part of the finest detail that a shift moves is taken for noise.
    assert pair.noise == pytest.approx(1, abs=0.9)


def test_the_text_spans_the_pairs_and_makes_such_images():
    result = measured(*(planted(n, 2, 0.4 + 0.05 * n, 2 + n / 2) for n in range(5)))
    blur, kind, noise = result.text.split(" > ")
    low, high = map(float, blur.removeprefix("blur(").removesuffix(")").split(".."))
    assert (low, high) == (pytest.approx(2 * 0.42, abs=0.15), pytest.approx(2 * 0.58, abs=0.15))
    assert kind == "bicubic"
    low, high = map(float, noise.removeprefix("noise(").removesuffix(")").split(".."))
    assert (low, high) == (pytest.approx(2.2, abs=0.4), pytest.approx(3.8, abs=0.4))
    assert str(parse_degradation(result.text))
    # A step that is not there is left out.
    assert measured(planted(1, 2, 0.0, 0.0)).text == "bicubic"


def test_rgb_pairs_are_measured_on_all_channels():
    channels = [planted(n, 2, 0.7, 3.0) for n in range(3)]
    low, high = (np.stack([c[part] for c in channels], axis=-1) for part in (0, 1))
    low, high = ((image / 9600 * 255).clip(0, 255).astype(np.uint8) for image in (low, high))
    (pair,) = measure_degradation(open_images(None, 3, {"f": (low, high)})).pairs
    assert pair.blur_px == pytest.approx(0.7, abs=0.1)
    assert 1.5 < pair.noise < 4


def test_what_cannot_be_compared_is_told():
    low, high = planted(1, 2, 0.5, 1.0)
    with pytest.raises(InputError, match="no pairs"):
        measure_degradation(open_images(None, 1, {"f": high}))
    with pytest.raises(InputError, match="squares of 10 low pixels"):
        measured((low[:10, :10], high[:20, :20]))
    with pytest.raises(InputError, match="of the factors 1, 2"):
        measured((low, high), (high, high))
    with pytest.raises(InputError, match="shows nothing"):
        measured((low, np.full_like(high, 7)))
    with pytest.raises(InputError, match="do not show the same"):
        measured((low.max() - low, high))
