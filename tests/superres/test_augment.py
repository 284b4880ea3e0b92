import numpy as np
import pytest
from skimage.color import hed2rgb, rgb2hed

from napari_microsr.superres.augment import Augmentation, apply_gamma, jitter_stain

RNG = np.random.default_rng(4)
COLOUR = RNG.integers(30, 240, (20, 24, 3), dtype=np.uint8)


def test_stain_is_what_colour_deconvolution_says():
    factors = (1.2, 0.8, 1.1)
    stains = rgb2hed(COLOUR) * factors
    # scikit-image clips the amounts and the colours at 0; compare where it did not.
    inside = (stains > 0).all(axis=2)
    expected = hed2rgb(stains) * 255
    assert inside.sum() > 50
    assert np.abs(jitter_stain(COLOUR, factors) - expected)[inside].max() < 1


def test_stain_of_one_changes_nothing_and_white_stays_white():
    assert np.abs(jitter_stain(COLOUR, (1, 1, 1)).astype(int) - COLOUR).max() <= 1
    assert (jitter_stain(np.full((4, 4, 3), 255, np.uint8), (1.4, 0.6, 1.2)) == 255).all()


def test_gamma_is_a_power_between_black_and_white():
    image = np.array([[100.0, 150, 300, 500, 900]], np.float32)
    expected = [100, 150, 300, 500, 900]
    np.testing.assert_allclose(apply_gamma(image, 1.0, 200, 700)[0], expected, rtol=1e-6)
    changed = apply_gamma(image, 2.0, 200, 700)[0]
    np.testing.assert_allclose(changed, [100, 150, 220, 380, 1180], rtol=1e-5)


def test_both_of_a_pair_are_changed_alike():
    augmentation = Augmentation(stain=0.3, gamma=0.5)
    one, two = augmentation.coloured([COLOUR, COLOUR.copy()], 0, 255, np.random.default_rng(1))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one.astype(int) - COLOUR).mean() > 3
    one, two = augmentation.turned([COLOUR, COLOUR.copy()], np.random.default_rng(1))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("option", ["stain", "gamma", "gain"])
def test_nothing_is_drawn_for_what_is_off(option):
    rng = np.random.default_rng(2)
    augmentation = Augmentation(turn=False)
    assert augmentation.coloured([COLOUR], 0, 255, rng)[0] is COLOUR
    assert augmentation.rescaled(3, 9, rng) == (3, 9)
    assert rng.random() == np.random.default_rng(2).random()
    assert Augmentation(**{option: 0.2}) != augmentation
