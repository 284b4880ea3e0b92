"""Offset and gain from simulated frames of cameras that are known."""

import numpy as np
import pytest

from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.camera_estimate import estimate_camera
from napari_microsr.smlm.simulate import Scene, draw_background, draw_emitters, expected_frames


def frames(rng, camera, scene, n=60):
    background = draw_background(rng, n, (64, 60), scene)
    emitters = draw_emitters(rng, n, (64, 60), scene)
    return camera.expose(rng, expected_frames(emitters, background, scene))


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(offset=300, e_per_adu=3.0),
        Camera(offset=400, e_per_adu=0.2),
        Camera(100, 15.0, 300.0),
        Camera(100, 0.46, read_noise_e=3.0),
    ],
)
@pytest.mark.parametrize(
    "scene", [Scene(), Scene(density_um2=(5, 5)), Scene(photons=(300, 6000), gradient=0.5)]
)
def test_cameras_are_recognised(rng, camera, scene):
    estimate = estimate_camera(frames(rng, camera, scene), camera)
    found = estimate.camera
    assert found.photons_per_adu == pytest.approx(camera.photons_per_adu, rel=0.1)
    assert estimate.gain_error < 0.05
    assert (found.offset - camera.offset) * camera.photons_per_adu == pytest.approx(0, abs=5)


def test_saturated_pixels_do_not_count(rng):
    counts = frames(rng, Camera(), Scene())
    counts[:, 20:30, 20:30] = 65535
    assert estimate_camera(counts).camera.e_per_adu == pytest.approx(1, rel=0.1)


def test_what_is_no_camera_frame_is_refused(rng):
    with pytest.raises(InputError, match="too few"):
        estimate_camera(np.full((50, 30, 30), 65535, np.uint16))
    with pytest.raises(InputError, match="too few"):
        estimate_camera(np.zeros((1, 5, 5)))
    with pytest.raises(InputError, match="does not grow"):
        estimate_camera(np.full((20, 50, 50), 100, np.uint16))
    falling = rng.normal(1000, 5, (20, 50, 50)) + rng.uniform(-1, 1, (20, 1, 1)) * 100
    falling[falling < 1000] += rng.normal(0, 30, (falling < 1000).sum())
    with pytest.raises(InputError, match="does not grow"):
        estimate_camera(falling)


@pytest.mark.parametrize("em", [1.0, 50.0])
def test_with_a_known_gain_even_frames_tell_the_offset(rng, em):
    camera = Camera(offset=350.0, em_gain=em, e_per_adu=0.5 * em)
    counts = camera.expose(rng, np.full((16, 64, 64), 40.0))
    found = estimate_camera(counts, camera, gain=0.5 * em)
    # 40 photons are 80 counts.
    assert found.camera.offset == pytest.approx(350, abs=4)
    assert (found.camera.e_per_adu, found.gain_error) == (0.5 * em, 0)
    with pytest.raises(InputError, match="varies too little"):
        estimate_camera(counts, camera)


@pytest.mark.parametrize("background", [5.0, 100.0])
def test_a_known_offset_makes_the_gain_surer(rng, background):
    camera = Camera(offset=200.0, e_per_adu=2.0, read_noise_e=2.0)
    scene = Scene(density_um2=(0.5, 0.5), background=(background, background))
    counts = frames(rng, camera, scene)
    known = estimate_camera(counts, camera, offset=200.0)
    assert known.camera.e_per_adu == pytest.approx(2.0, rel=0.05)
    assert known.camera.offset == 200.0
    assert known.gain_error < estimate_camera(counts, camera).gain_error
