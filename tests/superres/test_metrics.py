import math

import numpy as np
import pytest

from napari_microsr.errors import InputError
from napari_microsr.superres.metrics import crop_rim, psnr, ssim

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_psnr_of_a_known_difference(dtype):
    truth = np.full((5, 7, 3), 100, dtype)
    # One grey level everywhere: 20 log10(255).
    assert psnr((truth - 1).astype(dtype), truth) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_does_not_wrap_unsigned_differences():
    dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert psnr(dark, bright) == psnr(bright, dark) == 0


def test_identical_images():
    image = RNG.integers(0, 256, (9, 9), dtype=np.uint8)
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == 1


def test_ssim_of_constants_is_the_luminance_term():
    # (2ab + C1) / (a^2 + b^2 + C1) with C1 = (0.01 * 255)^2; contrast and structure are 1.
    a, b, c1 = 100.0, 140.0, 2.55**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    images = [np.full((16, 16, 3), v, np.uint8) for v in (a, b)]
    assert ssim(*images) == pytest.approx(expected, abs=1e-12)


def test_noise_lowers_both():
    truth = RNG.integers(50, 200, (32, 32, 3), dtype=np.uint8)
    noise = [np.clip(truth + RNG.normal(0, s, truth.shape), 0, 255).astype(np.uint8) for s in (3, 12)]
    assert psnr(noise[0], truth) > psnr(noise[1], truth) + 10
    assert 1 > ssim(noise[0], truth) > ssim(noise[1], truth)


def test_nan_is_seen():
    image = np.ones((8, 8))
    image[0, 0] = np.nan
    assert math.isnan(psnr(image, np.ones((8, 8)), 1.0))


def test_rim_is_cut_on_all_sides():
    image = np.arange(7 * 9).reshape(7, 9)
    np.testing.assert_array_equal(crop_rim(image, 3), image[3:4, 3:6])
    np.testing.assert_array_equal(crop_rim(image, 0), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psnr(np.zeros((4, 4)), np.zeros((4, 5))), "differ in shape"),
        (lambda: ssim(np.zeros((9, 9)), np.zeros((9, 9, 3))), "differ in shape"),
        (lambda: ssim(np.zeros((1, 1)), np.zeros((1, 1))), "at least 7 x 7"),
        (lambda: crop_rim(np.zeros((8, 9)), 4), "no inside"),
        (lambda: crop_rim(np.zeros((0, 9)), 1), "no inside"),
    ],
)
def test_what_cannot_be_compared_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
