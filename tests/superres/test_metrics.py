import math

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity

from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.superres.metrics import (
    FIGURES,
    crop_rim,
    gmsd,
    haarpsi,
    make_measures,
    ms_ssim,
    psnr,
    relative_mse,
    ssim,
)
from napari_microsr.superres.metrics.spectra import Spectra, tile_px
from napari_microsr.superres.metrics.window import Pair

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_psnr_of_a_known_difference(dtype):
    truth = np.full((5, 7, 3), 100, dtype)
    # One grey level everywhere: 20 log10(255).
    assert psnr((truth - 1).astype(dtype), truth) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_does_not_wrap_unsigned_differences():
    dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert psnr(dark, bright) == psnr(bright, dark) == 0


def test_identical_images():
    image = RNG.integers(0, 256, (9, 9), dtype=np.uint8)
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == 1


def test_ssim_of_constants_is_the_luminance_term():
    # (2ab + C1) / (a^2 + b^2 + C1) with C1 = (0.01 * 255)^2; contrast and structure are 1.
    a, b, c1 = 100.0, 140.0, 2.55**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    images = [np.full((16, 16, 3), v, np.uint8) for v in (a, b)]
    assert ssim(*images) == pytest.approx(expected, abs=1e-12)


def test_noise_lowers_both():
    truth = RNG.integers(50, 200, (32, 32, 3), dtype=np.uint8)
    noise = [np.clip(truth + RNG.normal(0, s, truth.shape), 0, 255).astype(np.uint8) for s in (3, 12)]
    assert psnr(noise[0], truth) > psnr(noise[1], truth) + 10
    assert 1 > ssim(noise[0], truth) > ssim(noise[1], truth)


@pytest.mark.parametrize("measure", [psnr, ssim, ms_ssim, gmsd, haarpsi])
def test_nan_is_seen(measure):
    image = np.ones((180, 180))
    image[0, 0] = np.nan
    assert math.isnan(measure(image, np.ones((180, 180)), 1.0))


def textured(shape, noise=12.0):
    """A truth with detail of several sizes, and an image that is a little off."""
    fine = RNG.normal(0, 1, shape)
    coarse = np.kron(
        RNG.uniform(0, 255, (-(-shape[0] // 16), -(-shape[1] // 16), *shape[2:])),
        np.ones((16, 16, 1)[: len(shape)]),
    )
    truth = np.clip(coarse[: shape[0], : shape[1]] + 20 * fine, 0, 255)
    image = np.clip(truth + RNG.normal(0, noise, shape), 0, 255)
    return image.astype(np.uint8), truth.astype(np.uint8)


@pytest.mark.parametrize("shape", [(40, 33), (7, 9, 3), (64, 50, 3)])
def test_ssim_is_that_of_scikit_image(shape):
    image, truth = textured(shape)
    axis = 2 if len(shape) == 3 else None
    expected = structural_similarity(image, truth, data_range=255, channel_axis=axis)
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-9)


def test_ms_ssim_follows_the_paper():
    # Eq. 7 of Wang et al. 2003, with explicit two-dimensional windows.
    image, truth = textured((191, 180))
    side, sigma, c1, c2 = 11, 1.5, (0.01 * 255) ** 2, (0.03 * 255) ** 2
    grid = np.arange(side) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * sigma**2))
    window /= window.sum()

    def blur(values):
        return convolve2d(values, window, mode="valid")

    a, b, product = image.astype(float), truth.astype(float), 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        ma, mb = blur(a), blur(b)
        va, vb, vab = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        value = (2 * vab + c2) / (va + vb + c2)
        if scale == 4:
            value = value * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
        product *= value.mean() ** weight
        a, b = (convolve2d(v, np.ones((2, 2)) / 4, mode="valid")[::2, ::2] for v in (a, b))
    assert ms_ssim(image, truth) == pytest.approx(product, rel=1e-9)


@pytest.mark.parametrize("shape", [(50, 41), (8, 8), (33, 20, 3)])
def test_gmsd_follows_the_paper(shape):
    image, truth = textured(shape)
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    gradients = []
    for values in (image, truth):
        grey = values if values.ndim == 2 else values @ np.array([0.299, 0.587, 0.114])
        half = convolve2d(grey.astype(float), np.ones((2, 2)) / 4, mode="valid")[::2, ::2]
        gradients.append(np.hypot(*(convolve2d(half, k, mode="valid") for k in (prewitt, prewitt.T))))
    a, b = gradients
    similar = (2 * a * b + 170) / (a**2 + b**2 + 170)
    assert gmsd(image, truth) == pytest.approx(np.std(similar, ddof=1), rel=1e-9)


@pytest.mark.parametrize("shape", [(50, 41), (40, 52, 3)])
def test_haarpsi_follows_the_paper(shape):
    # The published algorithm on "same" convolutions, of which the part without the image's edges is kept.
    image, truth = textured(shape)
    colours = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    planes = []
    for values in (image, truth):
        channels = (
            [values.astype(float)] if values.ndim == 2 else list((values @ colours.T).transpose(2, 0, 1))
        )
        planes.append([convolve2d(c, np.ones((2, 2)) / 4, mode="valid")[::2, ::2] for c in channels])

    def coefficient(values, scale, turned):
        kernel = np.ones((2**scale, 2**scale)) / 2**scale
        kernel[: 2 ** (scale - 1)] *= -1
        # MATLAB's "same" begins half a kernel in; scipy's one pixel earlier for even sizes.
        full = convolve2d(values, kernel.T if turned else kernel)
        start = 2**scale // 2
        return np.abs(full[start : start + values.shape[0], start : start + values.shape[1]])[3:-4, 3:-4]

    def agree(a, b):
        return (2 * a * b + 30) / (a**2 + b**2 + 30)

    similar, weight = [], []
    for turned in (False, True):
        a, b = ([coefficient(p[0], scale, turned) for scale in (1, 2, 3)] for p in planes)
        similar.append((agree(a[0], b[0]) + agree(a[1], b[1])) / 2)
        weight.append(np.maximum(a[2], b[2]))
    if len(shape) == 3:
        mean = [
            [np.abs(convolve2d(c, np.ones((2, 2)) / 4, mode="valid"))[3:-3, 3:-3] for c in p[1:]]
            for p in planes
        ]
        similar.append((agree(mean[0][0], mean[1][0]) + agree(mean[0][1], mean[1][1])) / 2)
        weight.append((weight[0] + weight[1]) / 2)
    similar, weight = np.array(similar), np.array(weight)
    value = (weight / (1 + np.exp(-4.2 * similar))).sum() / weight.sum()
    assert haarpsi(image, truth) == pytest.approx((np.log(value / (1 - value)) / 4.2) ** 2, rel=1e-9)


def test_relative_mse_is_that_of_placenta_sr():
    image, truth = textured((9, 12, 3))
    expected = np.linalg.norm(image.astype(float) - truth) ** 2 / np.linalg.norm(truth.astype(float)) ** 2
    assert relative_mse(image, truth) == pytest.approx(expected)
    assert relative_mse(truth, truth) == 0
    assert math.isnan(relative_mse(image, np.zeros_like(truth)))


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_identical_images_are_perfect(dtype):
    _, image = textured((180, 177))
    image = image.astype(dtype)
    assert gmsd(image, image) == 0
    assert [ms_ssim(image, image), haarpsi(image, image)] == pytest.approx([1, 1])


def test_figures_do_not_depend_on_the_units_of_intensity():
    image, truth = textured((180, 180))
    for measure in (psnr, ssim, ms_ssim, gmsd, haarpsi):
        scaled = measure(image.astype(np.uint16) * 257, truth.astype(np.uint16) * 257, 65535.0)
        assert scaled == pytest.approx(measure(image, truth))


def test_constants_have_no_structure_to_agree():
    flat = np.full((16, 16), 9.0)
    assert math.isnan(haarpsi(flat, flat))
    assert gmsd(flat, flat + 3) == 0


@pytest.mark.parametrize("shape", [(333, 290), (401, 355, 3)])
def test_blocks_together_are_the_whole(monkeypatch, shape):
    from napari_microsr.core.image import ImageSource
    from napari_microsr.superres.comparison import compare

    image, truth = (ImageSource.from_array(values) for values in textured(shape))
    region = slice(0, shape[0]), slice(0, shape[1])

    def measured():
        read = lambda plane, y, x: {"it": image.read(plane, y, x)}  # noqa: E731
        return compare(truth, [read], region, [(0.0, 255.0)], SilentProgress()).figures["it"]

    whole = measured()
    monkeypatch.setattr("napari_microsr.superres.metrics.spectra.LARGEST_PX", 100)
    parts = measured()
    for name in FIGURES.keys() - {"frc_px", "spectrum_db"}:
        assert parts[name] == pytest.approx(whole[name], rel=1e-9), name
    assert parts["frc_px"] == pytest.approx(whole["frc_px"], rel=0.05), "an average over tiles"


def test_what_is_nan_is_left_out_of_blocks():
    image, truth = (v.astype(float) for v in textured((400, 380)))
    hole = image.copy()
    hole[90:95, 20:26] = np.nan
    found = []
    for values in (image, hole):
        measures = make_measures(*image.shape)
        for it in measures:
            it.add(Pair(values[None], truth[None], *image.shape))
        found.append({name: value for it in measures for name, value in it.figures().items()})
    assert found[1] == pytest.approx(found[0], rel=0.03)
    # Exactly: what is left is the mean over windows without the hole.
    _, full = structural_similarity(image, truth, data_range=255, full=True)
    inside = np.ones(image.shape, bool)
    inside[87:98, 17:29] = False
    assert found[1]["ssim"] == pytest.approx(full[3:-3, 3:-3][inside[3:-3, 3:-3]].mean())


def test_spectra_of_a_known_filter():
    # Noise that was halved above a quarter of the sampling rate: 6 dB less there, in full agreement below.
    noise = RNG.normal(100, 20, (96, 96))
    frequency = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96))
    halved = np.fft.ifft2(np.fft.fft2(noise) * np.where(frequency > 0.25, 0.5, 1)).real
    other = np.fft.ifft2(np.fft.fft2(RNG.normal(0, 20, (96, 96))) * (frequency > 0.25)).real
    spectra = Spectra(96, 96)
    spectra.add(Pair(halved[None], noise[None], 96, 96))
    curves = spectra.curves()
    ratio = 10 * np.log10(curves.power / curves.truth)
    np.testing.assert_allclose(ratio[curves.frequency < 0.22], 0, atol=0.1)
    np.testing.assert_allclose(ratio[curves.frequency > 0.29], -6.02, atol=0.1)
    assert spectra.figures()["frc_px"] == 2, "what is only weaker still agrees"
    lost = Spectra(96, 96)
    lost.add(
        Pair((2 * halved - noise + other)[None], noise[None], 96, 96)
    )  # low frequencies, and unrelated ones
    assert lost.figures()["frc_px"] == pytest.approx(1 / 0.25, rel=0.06)


@pytest.mark.parametrize("size", [1, 40, 512, 513, 1000, 5000, 100_000])
def test_tiles_cover_nearly_all(size):
    side = tile_px(size)
    assert side <= 512
    assert side * (size // side) > 0.9 * size
    assert side == size or side % 16 == 0


def test_rim_is_cut_on_all_sides():
    image = np.arange(7 * 9).reshape(7, 9)
    np.testing.assert_array_equal(crop_rim(image, 3), image[3:4, 3:6])
    np.testing.assert_array_equal(crop_rim(image, 0), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psnr(np.zeros((4, 4)), np.zeros((4, 5))), "differ in shape"),
        (lambda: ssim(np.zeros((9, 9)), np.zeros((9, 9, 3))), "differ in shape"),
        (lambda: ssim(np.zeros((1, 1)), np.zeros((1, 1))), "at least 7 x 7"),
        (lambda: ms_ssim(np.zeros((200, 99)), np.zeros((200, 99))), "at least 176 x 176"),
        (lambda: haarpsi(np.zeros((15, 99)), np.zeros((15, 99))), "at least 16 x 16"),
        (lambda: crop_rim(np.zeros((8, 9)), 4), "no inside"),
        (lambda: crop_rim(np.zeros((0, 9)), 1), "no inside"),
    ],
)
def test_what_cannot_be_compared_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
