"""What a stack tells about itself, against the simulation that made it."""

import numpy as np
import pytest

from napari_microsr.errors import JobError
from napari_microsr.smlm.camera import PRESETS, Camera
from napari_microsr.smlm.measure import (
    Ranges,
    check_offset,
    doubts,
    measure_sigma,
    photon_doubts,
    saturates,
)
from napari_microsr.smlm.simulate import Scene, simulate_frames

RANGES = Ranges((0.8, 1.8), (50.0, 10000.0), (0.2, 250.0))


@pytest.mark.parametrize(("sigma", "density"), [(0.85, 0.3), (1.06, 2.0), (1.6, 0.3)])
def test_the_psf_is_measured_also_where_spots_overlap(rng, sigma, density):
    scene = Scene(density_um2=(density, density), sigma_px=(sigma, sigma), sigma_spread=0.0)
    frames = simulate_frames(rng, 8, (48, 48), scene).photons
    assert measure_sigma(frames, Camera()) == pytest.approx(sigma, rel=0.06)


def test_without_spots_there_is_no_psf(rng):
    assert measure_sigma(rng.poisson(20, (3, 32, 32)).astype(np.float32), Camera()) is None


def test_doubts_name_numbers():
    counts = np.full((2, 8, 8), 120, np.uint16)
    counts[0, 0, 0] = 130
    photons = counts.astype(np.float32) - 100
    assert doubts(counts, photons, 1.1, RANGES, "it") == []
    (said,) = doubts(counts, photons, 3.0, RANGES, "it")
    assert "0.8 to 1.8 px" in said
    assert "3" in said
    (said,) = doubts(counts, photons * 100, 1.1, RANGES, "it")
    assert "2e+03" in said


def test_photons_outside_the_range_are_told():
    assert photon_doubts(np.full(50, 500, np.float32), RANGES, "it") == []
    assert photon_doubts(np.full(5, 5e5, np.float32), RANGES, "it") == []
    (said,) = photon_doubts(np.full(50, 5e5, np.float32), RANGES, "it")
    assert "500000" in said


@pytest.mark.parametrize("camera", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("background", [0.3, 30.0])
def test_only_frames_that_are_cut_off_are_saturated(rng, camera, background):
    scene = Scene(density_um2=(0.5, 0.5), photons=(200, 3000), background=(background, background))
    for _ in range(5):
        made = simulate_frames(rng, 6, (64, 64), scene, camera)
        counts = np.rint(made.photons / camera.photons_per_adu + camera.offset).astype(np.uint16)
        assert not saturates(counts)
        assert not saturates(counts // 4 * 4)
        assert saturates(np.minimum(counts, int(np.quantile(counts, 0.995))))


def test_a_camera_of_12_bits_is_noticed_in_a_file_of_16(rng):
    counts = rng.poisson(1000, (3, 30, 30)).astype(np.uint16)
    assert not saturates(counts)
    counts[0, 4, 5] = 4095
    # One pixel may be hot.
    assert not saturates(counts)
    counts[1, 9, 9] = 4095
    assert saturates(counts)
    (said,) = doubts(counts, counts / np.float32(50), 1.1, RANGES, "it")
    assert "4095" in said
    assert "saturated" in said


def test_photon_noise_alone_is_not_saturated(rng):
    for background in (0.01, 1, 20):
        assert not any(saturates(rng.poisson(background, (8, 32, 32)).astype(np.uint16)) for _ in range(20))
    assert not saturates(np.zeros((1, 1, 1), np.uint16))


def test_an_offset_above_most_pixels_is_refused(rng):
    photons = rng.poisson(5, (3, 20, 20)).astype(np.float32)
    check_offset(photons, Camera())
    check_offset(photons * 0 + rng.normal(0, 2, photons.shape), Camera(read_noise_e=2.0))
    with pytest.raises(JobError, match=r"offset of 108 counts.*leave it empty"):
        check_offset(photons - 8, Camera(offset=108))
