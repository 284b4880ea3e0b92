"""What a stack tells about itself, against the simulation that made it."""

import numpy as np
import pytest

from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.measure import Ranges, doubts, measure_sigma, photon_doubts
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
