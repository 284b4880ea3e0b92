"""Rings against the whole Fourier plane, summed pixel by pixel."""

import numpy as np
import pytest

from napari_microsr.core.frc import Rings, correlation, crossing, smooth


@pytest.mark.parametrize("shape", [(16, 16), (15, 20), (20, 15), (7, 7), (1, 9)])
def test_rings_are_those_of_the_whole_plane(rng, shape):
    a, b = rng.normal(size=(2, *shape))
    rings = Rings(*shape)
    half = [rings.transform(image) for image in (a, b)]
    taper = rings._taper
    whole = [np.fft.fft2((image - image.mean()) * taper) for image in (a, b)]
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")) * max(shape)
    for number, frequency in enumerate(rings.frequency):
        ring = np.rint(radius) == number + 1
        assert frequency == pytest.approx((number + 1) / max(shape))
        assert rings.power(half[0])[number] == pytest.approx((np.abs(whole[0][ring]) ** 2).sum(), rel=1e-5)
        shared = (whole[0][ring] * whole[1][ring].conj()).sum().real
        assert rings.shared(*half)[number] == pytest.approx(shared, rel=1e-4, abs=1e-4)


def test_correlation_of_equal_and_of_unrelated_images(rng):
    a, b = rng.normal(size=(2, 128, 128))
    rings = Rings(128, 128)
    x, y = rings.transform(a), rings.transform(b)
    same = correlation(rings.shared(x, x), rings.power(x), rings.power(x))
    np.testing.assert_allclose(same, 1)
    other = correlation(rings.shared(x, y), rings.power(x), rings.power(y))
    assert np.abs(other[10:]).mean() < 0.1
    assert np.isnan(crossing(rings.frequency, same))


def test_correlation_with_added_noise_follows_theory(rng):
    # Of signal S and noise N in one of two images: FRC = sqrt(S / (S + N)).
    a, noise = rng.normal(size=(2, 256, 256))
    rings = Rings(256, 256)
    x, y = rings.transform(a), rings.transform(a + 2 * noise)
    curve = smooth(correlation(rings.shared(x, y), rings.power(x), rings.power(y)))
    np.testing.assert_allclose(curve[40:], np.sqrt(1 / 5), atol=0.1)  # the inner rings have few pixels
    assert curve[10:].mean() == pytest.approx(np.sqrt(1 / 5), abs=0.015)


def test_crossing_lies_between_two_rings():
    frequency = np.array([0.1, 0.2, 0.3, 0.4])
    assert crossing(frequency, np.array([1.0, 2 / 7, 0.0, 1.0])) == pytest.approx(0.25)
    assert np.isnan(crossing(frequency, np.array([0.1, 0.9, 0.0, 0.0])))


def test_a_constant_image_has_no_power_and_no_correlation():
    rings = Rings(32, 32)
    x = rings.transform(np.full((32, 32), 7.0))
    np.testing.assert_allclose(correlation(rings.shared(x, x), rings.power(x), rings.power(x)), 0, atol=1e-9)
