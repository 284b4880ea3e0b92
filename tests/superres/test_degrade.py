import numpy as np
import pytest

from napari_microsr.errors import InputError
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.degrade import KINDS, area_down, bicubic_down, bicubic_down_up

RNG = np.random.default_rng(3)
RESAMPLINGS = [name for name, kind in KINDS.items() if kind.filter_ is not None]


def keys(x):
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def resampling_matrix(size, new):
    """Written from the definition: Keys' kernel, widened when shrinking, normalised at the edges."""
    ratio = size / new
    width = max(ratio, 1)
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    weights = keys((np.arange(size)[None] - centres[:, None]) / width)
    return weights / weights.sum(axis=1, keepdims=True)


def resampled(image, shape):
    rows, cols = (resampling_matrix(a, b) for a, b in zip(image.shape, shape, strict=True))
    return np.clip(rows @ image @ cols.T, 0, 255)


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_down_is_the_widened_kernel(factor):
    image = RNG.integers(0, 256, (48, 32), dtype=np.uint8)
    low = bicubic_down(image, factor)
    assert low.dtype == np.uint8
    assert low.shape == (48 // factor, 32 // factor)
    expected = resampled(image.astype(float), low.shape)
    # Pillow rounds to 8 bits after each direction.
    assert np.abs(low - expected).max() <= 1.6
    assert np.abs(low - expected).mean() < 0.4


def test_down_up_keeps_the_grid_and_loses_the_detail():
    image = RNG.integers(0, 256, (32, 48), dtype=np.uint8)
    low = bicubic_down_up(image, 4)
    assert low.shape == image.shape
    expected = resampled(np.rint(resampled(image.astype(float), (8, 12))), image.shape)
    assert np.abs(low - expected).max() <= 3
    assert low.std() < 0.5 * image.std()


def test_area_is_the_mean_of_blocks():
    image = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)
    means = image.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3))
    assert np.abs(area_down(image, 3) - means).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_other_types_are_not_rounded_to_8_bits(dtype):
    image = (RNG.random((32, 48)) * 3000 + 500).astype(dtype)
    low = bicubic_down(image, 2)
    assert low.dtype == dtype
    rows, cols = (resampling_matrix(a, a // 2) for a in image.shape)
    assert np.abs(low - rows @ image.astype(float) @ cols.T).max() <= (0.51 if dtype == np.uint16 else 0.01)


@pytest.mark.parametrize("name", RESAMPLINGS)
def test_colours_do_not_mix_and_constants_stay(name):
    image = np.zeros((16, 24, 3), np.uint8)
    image[...] = (10, 128, 250)
    degradation = parse_degradation(name)
    low = degradation.apply(image, 4)
    assert low.shape[0] * degradation.shrink(4) == 16
    assert low.shape[1] * degradation.shrink(4) == 24
    assert (low == (10, 128, 250)).all()


@pytest.mark.parametrize("name", RESAMPLINGS)
def test_shift_by_whole_low_pixels_shifts_the_result(name):
    degradation, factor = parse_degradation(name), 4
    image = RNG.integers(0, 256, (96, 96), dtype=np.uint8)
    step = factor // degradation.shrink(factor)
    whole, part = degradation.apply(image, factor), degradation.apply(image[factor:, factor:], factor)
    rim = 5 * step
    np.testing.assert_array_equal(
        whole[step + rim : -rim, step + rim : -rim], part[rim:-rim, rim:-rim][: whole.shape[0]]
    )


@pytest.mark.parametrize("name", RESAMPLINGS)
@pytest.mark.parametrize("shape", [(15, 16), (16, 17, 3), (1, 1), (0, 16)])
def test_sizes_between_the_cells_are_refused(name, shape):
    with pytest.raises(InputError, match="cannot be reduced by 4"):
        parse_degradation(name).apply(np.zeros(shape, np.uint8), 4)
