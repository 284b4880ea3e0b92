"""Counts to photons and back, and the statistics of the noise."""

import numpy as np
import pytest

from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import PRESETS, Camera


def test_photons_by_hand():
    camera = Camera(offset=100, e_per_adu=12.0, em_gain=300, qe=0.8)
    counts = np.array([[100, 150], [90, 65535]], np.uint16)
    np.testing.assert_allclose(camera.to_photons(counts), (counts - 100.0) * 12 / (300 * 0.8), rtol=1e-6)
    assert camera.to_photons(counts.astype(">u2")).dtype == np.float32
    assert camera.noise_factor == pytest.approx(2.5)
    assert Camera(qe=0.5).noise_factor == 2


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(offset=200, e_per_adu=0.2, read_noise_e=2.5, qe=0.7),
        Camera(offset=400, e_per_adu=5.0, em_gain=100.0, read_noise_e=40.0, qe=0.9),
    ],
)
def test_mean_and_variance_of_the_noise(rng, camera):
    photons = camera.to_photons(camera.expose(rng, np.full((200, 40, 50), 40.0)))
    rounding = camera.photons_per_adu**2 / 12
    variance = camera.noise_factor * 40 + camera.read_variance + rounding
    assert photons.mean() == pytest.approx(40, abs=5 * np.sqrt(variance / photons.size))
    assert photons.var() == pytest.approx(variance, rel=0.02)


def test_maps_per_pixel_and_per_frame(rng):
    offset = np.full((6, 5), 100.0)
    offset[2, 3] = 300
    camera = Camera(offset=offset, read_noise_e=np.where(offset > 200, 30.0, 0.0))
    counts = camera.expose(rng, np.full((4000, 6, 5), 9.0))
    assert counts[:, 2, 3].mean() == pytest.approx(309, abs=3)
    assert counts[:, 2, 3].var() == pytest.approx(909, rel=0.1)
    assert counts[:, 0, 0].var() == pytest.approx(9, rel=0.15)
    per_frame = Camera(
        em_gain=np.array([1.0, 200.0])[:, None, None], e_per_adu=np.array([1.0, 5.0])[:, None, None]
    )
    photons = per_frame.to_photons(per_frame.expose(rng, np.full((2, 200, 200), 50.0)))
    np.testing.assert_allclose(photons.var((1, 2)), [50, 100], rtol=0.05)


def test_saturation_stays_in_range(rng):
    assert (Camera().expose(rng, np.full((1, 2, 2), 1e6)) == 65535).all()
    assert (Camera(offset=0, read_noise_e=5).expose(rng, np.zeros((1, 9, 9))) >= 0).all()


@pytest.mark.parametrize(
    "wrong",
    [{"e_per_adu": 0}, {"em_gain": 0.5}, {"qe": 0}, {"qe": 1.2}, {"offset": np.nan}, {"read_noise_e": -1}],
)
def test_impossible_cameras_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Camera(**wrong)


def test_presets_measure_photons(rng):
    for camera in PRESETS.values():
        photons = camera.to_photons(camera.expose(rng, np.full((50, 40, 40), 100.0)))
        assert photons.mean() == pytest.approx(100, rel=0.02)
