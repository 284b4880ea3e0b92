"""Which contrast an image has is told from its pixels."""

import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.bands import measure_tone


def image(pixels, rgb=True):
    return ImageSource.from_array(pixels, axes="yxc" if rgb else "yx", rgb=rgb)


@pytest.mark.parametrize("tissue", [0.0, 0.001, 0.3, 1.0])
def test_a_slide_is_bright_field_however_little_tissue_it_has(tissue, rng):
    glass = rng.normal(225, 4, (300, 400, 3))
    # A vignette: most pixels are far from the brightest.
    glass -= 30 * np.linspace(-1, 1, 400)[None, :, None] ** 2
    stained = rng.normal((170, 90, 150), 25, (300, 400, 3))
    where = rng.random((300, 400, 1)) < tissue
    pixels = np.clip(np.where(where, stained, glass), 0, 255).astype(np.uint8)
    assert measure_tone(image(pixels), "auto").contrast == "absorption"


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 4095), (">u2", 65535)])
@pytest.mark.parametrize("tissue", [0.0, 0.001, 0.3])
def test_a_grey_slide_too_under_a_lamp_that_lights_its_middle(dtype, full, tissue, rng):
    y, x = np.mgrid[-1:1:300j, -1:1:400j]
    glass = (0.62 + 0.25 * np.exp(-8 * (y**2 + x**2))) * full
    stained = rng.normal(0.4, 0.05, glass.shape) * full
    pixels = np.where(rng.random(glass.shape) < tissue, stained, glass)
    pixels += rng.normal(0, 0.01 * full, glass.shape)
    assert measure_tone(image(pixels.clip(0, full).astype(dtype), rgb=False), "auto").contrast == "absorption"


@pytest.mark.parametrize("signal", [0, 40, 3000])
def test_a_camera_that_saw_little_light_is_fluorescence(signal, rng):
    camera = rng.normal(300, 8, (300, 400))
    camera[100:105, 50:300] += signal
    assert measure_tone(image(camera.astype(np.uint16), rgb=False), "auto").contrast == "fluorescence"


def test_emitted_light_on_a_bright_ground_is_fluorescence(rng):
    haze = 100 + rng.exponential(45, (300, 400)) + rng.normal(0, 4, (300, 400))
    assert (
        measure_tone(image(haze.clip(0, 255).astype(np.uint8), rgb=False), "auto").contrast == "fluorescence"
    )


def test_emitted_light_on_black_is_fluorescence(rng):
    dark = rng.poisson(6, (300, 400, 3)).astype(float)
    dark[100:120, 50:300] += 150
    assert measure_tone(image(dark.astype(np.uint8)), "auto").contrast == "fluorescence"
    camera = (dark[..., 1] * 20 + 100).astype(np.uint16)
    assert measure_tone(image(camera, rgb=False), "auto").contrast == "fluorescence"


def test_a_wish_is_followed_and_a_blank_image_has_no_tone(rng):
    pixels = rng.integers(0, 255, (40, 50, 3), np.uint8)
    assert measure_tone(image(pixels), "fluorescence").contrast == "fluorescence"
    assert measure_tone(image(np.full((40, 50, 3), 9, np.uint8)), "auto") is None
