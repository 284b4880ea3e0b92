"""The truth of simulated images, against ramps whose values are coordinates and against the slide itself."""

from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from napari_microsr.registration import microscope
from napari_microsr.registration.geometry import apply, parts, similarity
from napari_microsr.registration.microscope import FORTY, FOUR, TEN, Light, mild, observe, strong, wild
from napari_microsr.registration.simulate import (
    BACKGROUND,
    Conditions,
    Specimen,
    View,
    shipped_specimen,
    take_field,
    take_overview,
)


@pytest.fixture(scope="module")
def shipped():
    return shipped_specimen()


@pytest.fixture(params=["opencv", "scipy"])
def resample(request, monkeypatch):
    """Both ways to resample."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
    else:
        monkeypatch.setattr(microscope, "find_spec", lambda name: None)
    return request.param


def ramps(side=250):
    """A specimen that says where it is: red is the row, green the column."""
    y, x = np.mgrid[:side, :side].astype(np.uint8)
    return np.stack([y, x, np.full_like(y, 200)], -1)


def test_a_pixel_shows_the_place_that_the_matrix_names(resample, rng):
    shape, matrix = (181, 240), similarity(0.4, 77.0, centre=(90, 119.5), onto=(131.3, 117.8))
    seen = observe(ramps(), 0.5, matrix, shape, 0.6, Light(jpeg=100), rng).astype(float)
    places = apply(matrix, np.stack(np.mgrid[: shape[0], : shape[1]], -1).astype(float))
    off = (seen[..., :2] - places)[8:-8, 8:-8].reshape(-1, 2)
    assert np.abs(off.mean(0)).max() < 0.02
    assert off.std(0).max() < 1


def test_the_two_ways_to_resample_agree(shipped, monkeypatch):
    pytest.importorskip("cv2")
    slide, _ = shipped
    conditions = Conditions(TEN, shape_yx=(150, 211), light=lambda rng: Light(), mirrored=True)
    fast = take_field(slide, conditions, np.random.default_rng(4))
    monkeypatch.setattr(microscope, "find_spec", lambda name: None)
    slow = take_field(slide, conditions, np.random.default_rng(4))
    assert np.array_equal(fast.to_specimen, slow.to_specimen)
    assert np.abs(fast.image.astype(float) - slow.image).mean() < 1
    assert parts(fast.to_specimen).mirrored


def test_blur_is_the_sigma_in_micrometres(resample, rng):
    point = np.zeros((101, 101, 3), np.uint8)
    point[46:55, 46:55] = 255
    identity = np.eye(3)
    seen = observe(point, 0.5, identity, (101, 101), 2.0, Light(jpeg=100), rng)[..., 1].astype(float)
    expected = ndimage.gaussian_filter(point[..., 1].astype(float), 4.0)
    assert np.abs(seen - expected).max() < 4


def test_the_edge_is_reflected_or_repeated(rng):
    look = partial(observe, ramps(), 0.5, shape_yx=(20, 40), blur_um=0.01, light=Light(jpeg=100), rng=rng)
    to_the_left = np.array([[1, 0, 100], [0, 1, -40], [0, 0, 1.0]])
    assert np.abs(look(to_the_left)[10, ::-1, 1].astype(int) - np.arange(40)).max() <= 2
    assert look(to_the_left, reflect=False)[..., 1].max() <= 2


def test_light_follows_its_formula(rng):
    grey = np.full((64, 96, 3), 128, np.uint8)
    light = Light((0.9, 1.0, 0.5), gamma=1.3, vignette=0.2, noise=3.0, jpeg=100)
    seen = observe(grey, 0.5, np.eye(3), (64, 96), 0.1, light, rng).astype(float)
    r2 = ((np.arange(64) - 31.5)[:, None] ** 2 + (np.arange(96) - 47.5) ** 2) / (32**2 + 48**2)
    expected = 255 * (128 / 255) ** 1.3 * (1 - 0.2 * r2)[..., None] * [0.9, 1.0, 0.5]
    assert np.abs((seen - expected).mean((0, 1))).max() < 0.5
    assert 2 < (seen - expected).std() < 4


def test_channels_can_be_exchanged(rng):
    seen = observe(ramps(), 0.5, np.eye(3), (250, 250), 0.1, Light(jpeg=100, channels=(2, 0, 1)), rng)
    assert int(seen[100, 20, 1]) == pytest.approx(100, abs=3)
    assert int(seen[100, 20, 2]) == pytest.approx(20, abs=3)


@pytest.mark.parametrize("draw", [mild, strong, wild])
def test_light_is_drawn_from_its_seed(draw):
    assert draw(np.random.default_rng(1)) == draw(np.random.default_rng(1))
    assert draw(np.random.default_rng(1)) != draw(np.random.default_rng(2))


def test_a_field_lies_on_the_overview_where_its_truth_says(shipped):
    slide, _ = shipped
    overview = take_overview(slide, np.random.default_rng(0), (1400, 1500))
    field = take_field(
        slide, Conditions(TEN, shape_yx=(301, 402)), np.random.default_rng(2), (900, 500, 1600, 1200)
    )
    truth = field.on(overview)
    scores = {dy: agreement(overview, field, truth, dy) for dy in (-6, 0, 6)}
    assert scores[0] > max(scores[-6], scores[6]) + 0.1
    assert 0.97 < parts(truth).scale / (TEN.um / FOUR.um) < 1.03


def agreement(overview, field, matrix, dy):
    """Correlation of a field with the overview below it."""
    moved = matrix.copy()
    moved[0, 2] += dy
    below = ndimage.affine_transform(
        overview.image.mean(2), moved[:2, :2], moved[:2, 2], field.image.shape[:2]
    )
    return np.corrcoef(below.ravel(), field.image.mean(2).ravel())[0, 1]


def test_the_strip_is_not_on_the_slide(shipped):
    slide, strip = shipped
    assert strip.pixels.shape == (617, 2220, 3)
    assert slide.pixels.shape == (3312, 4320, 3)
    # The first row of the strip follows the last one of the slide.
    last, first = slide.pixels[2349, :2220].astype(int), strip.pixels[0].astype(int)
    assert np.abs(last - first).mean() < 15


def test_any_strip_can_be_reserved():
    slide, strip = shipped_specimen(600)
    whole = np.concatenate([slide.pixels[:600, :2220], strip.pixels, slide.pixels[600:2350, :2220]])
    usual, rest = shipped_specimen()
    assert np.array_equal(whole, np.concatenate([usual.pixels[:2350, :2220], rest.pixels]))


def test_a_slide_without_mirror_images_is_glass_elsewhere():
    other = np.full((500, 300, 3), 90, np.uint8)
    slide, _ = shipped_specimen(others=(other,), mirror_images=False)
    assert (slide.pixels[:, 2220:] == BACKGROUND).all()
    assert (slide.pixels[2350:2850, :300] == 90).all()
    assert (slide.pixels[2350:, 300:] == BACKGROUND).all()
    assert sum(share for _, share in slide.homes) == pytest.approx(1)


def test_tissue_is_what_is_dark():
    pixels = np.full((400, 400, 3), 250, np.uint8)
    pixels[:, :200] = 100
    specimen = Specimen(pixels, 0.5, (((0, 0, 400, 400), 1.0),))
    assert specimen.tissue_around((200, 100), 60) == 1
    assert specimen.tissue_around((200, 300), 60) == 0
    assert specimen.tissue_around((200, 199.5), 150) == pytest.approx(0.5, abs=0.02)
    assert specimen.tissue_around((200, -200), 100) == 0
    field = take_field(specimen, Conditions(min_tissue=0.95, shape_yx=(100, 101)), np.random.default_rng(0))
    assert apply(field.to_specimen, np.array([49.5, 50.0]))[1] < 200
    right = take_field(
        specimen,
        Conditions(min_tissue=0, shape_yx=(100, 101)),
        np.random.default_rng(0),
        accept=lambda m: apply(m, np.array([49.5, 50.0]))[1] > 390,
    )
    assert apply(right.to_specimen, np.array([49.5, 50.0]))[1] > 390
    with pytest.raises(ValueError, match="tissue"):
        take_field(specimen, Conditions(min_tissue=1.1, shape_yx=(10, 10)), np.random.default_rng(0))


def test_a_camera_can_stand_at_an_angle(shipped):
    slide, _ = shipped
    turned = Conditions(max_rotation_deg=0.5, rotation_deg=30.0, min_tissue=0, shape_yx=(20, 21))
    angles = [
        parts(take_field(slide, turned, np.random.default_rng(i)).to_specimen).rotation_deg for i in range(8)
    ]
    assert all(29.5 <= angle <= 30.5 for angle in angles)
    assert np.ptp(angles) > 0.1


def test_a_cut_overview_keeps_the_truth():
    whole = View(np.zeros((100, 200, 3), np.uint8), similarity(1.2, 0, centre=(0, 0), onto=(0.1, 0.1)), 0.6)
    part, field = whole.columns(40, 160), View(np.zeros((9, 9, 3), np.uint8), np.eye(3), 0.5)
    assert part.image.shape == (100, 120, 3)
    assert np.allclose(apply(field.on(whole), np.zeros(2)) - apply(field.on(part), np.zeros(2)), [0, 40])


def test_objectives_blur_by_their_aperture():
    assert FOUR.blur_um() == pytest.approx(1.155)
    assert FORTY.blur_um(3.0) == pytest.approx(3.005, abs=0.001)
