"""Renderers against loops, integrals and their own definition; windows against the whole."""

import numpy as np
import pytest
from scipy.special import ndtr

from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render import (
    RENDERERS,
    Canvas,
    average_shifted_histogram,
    density,
    gaussian,
    histogram,
    reach_px,
)


def table(x, y, *, err=None, shape=(7, 9), pixel_nm=100.0, n_frames=4):
    errors = {} if err is None else {"x_err": np.full(len(x), err), "y_err": np.full(len(x), err)}
    return Localizations.from_columns(
        frame=np.zeros(len(x), int), x=x, y=y, **errors, pixel_nm=pixel_nm, shape_yx=shape, n_frames=n_frames
    )


@pytest.fixture
def many(rng):
    return table(rng.uniform(-0.5, 8.5, 500), rng.uniform(-0.5, 6.5, 500), err=0.15)


def test_half_pixels_by_hand():
    # Camera pixel (1, 0) covers 100 to 200 nm along y, 0 to 100 nm along x: its centre is at 150, 50.
    image = histogram(table([0.0], [1.0]), Canvas(20, 35, 45))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(np.argwhere(image), [[7, 2]])  # 140 to 160, 40 to 60


def test_the_canvas_covers_the_field():
    assert Canvas.over(table([], []), 10) == Canvas(10, 70, 90)
    assert Canvas.over(table([], []), 30) == Canvas(30, 24, 30)
    assert Canvas.over(table([], [], pixel_nm=0.1 * 1070), 10.7) == Canvas(10.7, 70, 90)


def test_a_histogram_counts(many):
    image = histogram(many, Canvas.over(many, 35.0))
    naive = np.zeros_like(image)
    for x, y in zip(many.x_nm, many.y_nm, strict=True):
        naive[int(y // 35), int(x // 35)] += 1
    np.testing.assert_array_equal(image, naive)


def test_a_gaussian_is_the_integral_of_the_uncertainty():
    found = table([3.2], [2.9], err=0.3)
    image = gaussian(found, Canvas.over(found, 25))
    edges_y, edges_x = np.arange(29) * 25, np.arange(37) * 25
    truth = np.outer(
        np.diff(ndtr((edges_y - found.y_nm[0]) / 30)), np.diff(ndtr((edges_x - found.x_nm[0]) / 30))
    )
    np.testing.assert_allclose(image, truth, atol=1e-5)
    sharp = gaussian(found.replace(x_err=[0], y_err=[0]), Canvas.over(found, 25))
    np.testing.assert_allclose(sharp, histogram(found, Canvas.over(found, 25)), atol=1e-4)


def test_unknown_and_absurd_uncertainties():
    found = table([3.0, 5.0], [3.0, 3.0]).replace(x_err=[0.1, np.nan], y_err=[0.1, np.nan])
    image = gaussian(found, Canvas.over(found, 50))
    np.testing.assert_allclose(image[:, 5:9], image[:, 9:13], atol=1e-5)  # the median takes its place
    wide = gaussian(found.replace(x_err=[1e6, 0.1], y_err=[1e6, 0.1]), Canvas.over(found, 50))
    assert np.isfinite(wide).all()
    with pytest.raises(InputError, match="histogram"):
        gaussian(table([3.0], [3.0]), Canvas(10, 9, 9))


@pytest.mark.parametrize("shifts", [1, 2, 5])
def test_ash_is_the_mean_of_shifted_histograms(many, shifts):
    size = 20.0
    image = average_shifted_histogram(many, Canvas(size, 35, 45), shifts)
    mean = np.zeros((35, 45))
    wide = size * shifts
    for dy in range(shifts):
        for dx in range(shifts):
            row = np.floor((many.y_nm + dy * size) / wide).astype(int)
            column = np.floor((many.x_nm + dx * size) / wide).astype(int)
            for r in range(35):
                for c in range(45):
                    # The bin of this histogram that the fine pixel lies in.
                    same = (row == (r + dy) // shifts) & (column == (c + dx) // shifts)
                    mean[r, c] += same.sum()
    np.testing.assert_allclose(image, mean / shifts**4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("renderer", list(RENDERERS))
def test_windows_make_up_the_whole(many, renderer):
    render = RENDERERS[renderer]
    whole = render(many, Canvas.over(many, 15))
    height, width = whole.shape
    parts = np.zeros_like(whole)
    for top in range(0, height, 17):
        for left in range(0, width, 23):
            window = Canvas(15, min(17, height - top), min(23, width - left), top, left)
            near = many.select(window.around(many, reach_px(many, window, renderer)))
            assert len(near) < len(many)
            parts[top : top + 17, left : left + 23] = render(near, window)
    np.testing.assert_allclose(parts, whole, atol=2e-6)


@pytest.mark.parametrize("renderer", list(RENDERERS))
def test_an_empty_table_and_molecules_outside(renderer):
    render = RENDERERS[renderer]
    assert not render(table([], []), Canvas(10, 7, 9)).any()
    assert not render(table([90.0], [-80.0], err=0.1), Canvas(10, 7, 9)).any()
    assert render(table([0.0], [0.0], err=0.01), Canvas(100, 1, 1)).shape == (1, 1)


def test_density_is_per_square_micrometre_and_frame():
    found = table([0, 1, 8], [0, 1, 6], shape=(10, 10), n_frames=4)
    np.testing.assert_allclose(
        density(found, Canvas.over(found, 500)), [[2 / 0.25 / 4, 0], [0, 1 / 0.25 / 4]]
    )


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
def test_wrong_pixel_sizes_are_refused(size):
    with pytest.raises(JobError, match="impossible"):
        Canvas.over(table([], []), size)
