"""Pictures of all kinds, good and bad: placed, or a verdict with a reason, and never an exception."""

import tracemalloc

import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.geometry import apply, similarity
from napari_microsr.registration.place import Field, Overview, Prior, place

TRUE = similarity(0.5, 30.0, centre=(119.5, 149.5), onto=(210.0, 260.0))
FIELD_YX = (240, 300)


def specks(shape_yx, matrix, count=900):
    """Round specks of light, strewn over 400 x 500 overview pixels and drawn as seen by `matrix`."""
    rng = np.random.default_rng(0)
    places = rng.uniform((0, 0), (400, 500), (count, 2))
    widths, powers = rng.uniform(1.5, 4, count), rng.uniform(0.2, 1, count)
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    image = np.zeros(shape_yx)
    for (y, x), width, power in zip(
        apply(np.linalg.inv(matrix), places), widths / scale, powers, strict=True
    ):
        r = int(4 * width) + 1
        y0, x0 = max(int(y) - r, 0), max(int(x) - r, 0)
        y1, x1 = min(int(y) + r, shape_yx[0]), min(int(x) + r, shape_yx[1])
        if y1 > y0 and x1 > x0:
            rows, columns = np.mgrid[y0:y1, x0:x1]
            image[y0:y1, x0:x1] += power * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image


LIGHT = specks((400, 500), np.eye(3)), specks(FIELD_YX, TRUE)


def source(array, **kwargs):
    return ImageSource.from_array(array, name="picture", **kwargs)


def noisy(light, dark, bright, dtype, *, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.01 * abs(bright - dark), light.shape)
    return (dark + (bright - dark) * np.clip(light, 0, 1.5) / 1.5 + noise).clip(0).astype(dtype)


def assert_placed(overview, field, **kwargs):
    found = place(
        Field.prepare(source(field, **kwargs), 1.0), Overview.prepare(source(overview, **kwargs), 2.0)
    )
    assert found.status == "placed"
    points = np.array([[0, 0], [239, 299], [0, 299], [120, 10.0]])
    assert np.abs(found.to_overview(points) - apply(TRUE, points)).max() < 0.15


@pytest.mark.parametrize(
    ("dtype", "bright"),
    [("uint8", 250), ("uint16", 9000), (">u2", 50000), ("float32", 1e-3), ("float64", 40.0)],
)
def test_fluorescence_of_every_type(dtype, bright):
    assert_placed(
        noisy(LIGHT[0], 0.02 * bright, bright, dtype), noisy(LIGHT[1], 0, 0.7 * bright, dtype, seed=1)
    )


def test_grey_bright_field_of_16_bits():
    assert_placed(noisy(LIGHT[0], 40000, 9000, "uint16"), noisy(LIGHT[1], 30000, 5000, "uint16", seed=1))


def test_several_channels_and_a_time_axis():
    def stack(light, seed):
        channels = [
            noisy(light, 100, 4000, "uint16", seed=seed),
            noisy(light, 50, 900, "uint16", seed=seed + 1),
        ]
        return np.stack([channels, np.zeros_like(channels)])

    assert_placed(stack(LIGHT[0], 0), stack(LIGHT[1], 2), axes="tcyx")


def test_rgba_is_read_without_its_alpha():
    def coloured(light, seed):
        grey = noisy(light, 240, 60, "uint8", seed=seed)
        alpha = np.random.default_rng(seed).integers(0, 256, grey.shape, dtype=np.uint8)
        return np.stack([grey, grey // 2 + 100, grey, alpha], -1)

    assert_placed(coloured(LIGHT[0], 0), coloured(LIGHT[1], 1))


def test_unknown_pixels_are_left_out():
    overview, field = noisy(LIGHT[0], 0, 1, "float32"), noisy(LIGHT[1], 0, 1, "float32", seed=1)
    overview[190:215, 240:300] = np.nan
    field[:, :40] = np.nan
    assert_placed(overview, field)


BAD = {
    "blank": (np.full((200, 200), 7, np.uint8), "blank"),
    "nan": (np.full((200, 200), np.nan, np.float32), "blank"),
    "one pixel wide": (np.arange(400, dtype=np.uint8).reshape(400, 1), "too small"),
    "one pixel": (np.ones((1, 1), np.uint16), "too small"),
    "infinite": (np.full((200, 200), np.inf, np.float32), "blank"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_fields_get_a_verdict_with_its_reason(name):
    array, reason = BAD[name]
    overview = Overview.prepare(source(noisy(LIGHT[0], 0, 200, "uint8")), 2.0)
    found = place(Field.prepare(source(array), 1.0), overview)
    assert (found.status, found.matrix_yx, found.overview) == ("not_found", None, None)
    assert reason in found.reason


@pytest.mark.parametrize("array", [np.zeros((300, 300), np.uint8), np.ones((1, 5), np.float32)])
def test_bad_overviews_get_a_verdict_with_its_reason(array):
    found = place(
        Field.prepare(source(noisy(LIGHT[1], 0, 200, "uint8")), 1.0), Overview.prepare(source(array), 2.0)
    )
    assert found.status == "not_found"
    assert "overview" in found.reason


def test_noise_alone_is_not_found():
    rng = np.random.default_rng(3)
    overview = Overview.prepare(source(rng.integers(0, 255, (300, 400), dtype=np.uint8)), 2.0)
    found = place(Field.prepare(source(rng.integers(0, 255, (240, 300), dtype=np.uint8)), 1.0), overview)
    assert found.status == "not_found"


def test_an_overview_is_placed_on_itself():
    image = noisy(LIGHT[0], 0, 200, "uint8")
    found = place(Field.prepare(source(image), 2.0), Overview.prepare(source(image), 2.0))
    assert found.status == "placed"
    assert np.abs(found.matrix_yx - np.eye(3)).max() < 0.02


def test_a_field_larger_than_the_overview_is_placed_by_its_part_or_refused_with_a_reason():
    whole = noisy(LIGHT[0], 0, 200, "uint8")
    part = Overview.prepare(source(whole[100:300, 120:380].copy()), 2.0)
    found = place(Field.prepare(source(whole), 2.0), part)
    assert found.status == "placed" or found.reason
    if found.status == "placed":
        assert np.abs(found.matrix_yx[:2, 2] - (-100, -120)).max() < 0.5
    none = place(Field.prepare(source(whole), 2.0), part, prior=Prior(scale=20.0))
    assert none.status == "not_found"
    assert none.reason


class Strips:
    """An overview of 6000 x 7500 pixels that is computed where it is read."""

    shape, dtype, ndim = (6000, 7500), np.dtype(np.uint8), 2
    tile = noisy(LIGHT[0], 5, 250, "uint8")

    def __getitem__(self, index):
        y, x = (np.arange(n, dtype=np.int32)[k] for n, k in zip(self.shape, index, strict=True))
        return self.tile[y[:, None] % 400, x[None, :] % 500]


def test_an_overview_larger_than_the_memory_allowed_is_read_in_bands():
    tracemalloc.start()
    overview = Overview.prepare(source(Strips()), 1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert overview.picture.level_shape(overview.base) == (2000, 2500)
    # The level is 20 MB, its features 32 MB; as numbers the whole would be 180 MB.
    assert peak < 140e6
