"""Results against their truth: figures, registration, baselines, files, and what cannot be compared."""

import csv
import json
import math

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter
from scipy.ndimage import fourier_shift, gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, JobError, OutputError
from napari_microsr.superres.baselines import Degraded, Enlargements
from napari_microsr.superres.chart import span
from napari_microsr.superres.evaluate_job import EvaluateJob, evaluate
from napari_microsr.superres.metrics import FIGURES, psnr, ssim
from napari_microsr.superres.report import table_text
from napari_microsr.superres.shift import Shift, find_shift, shared_region, shifted

RNG = np.random.default_rng(3)
BASELINES = ["input", "bicubic", "Lanczos", "sharpened", "sharpened twice", "unsharp mask"]


def scene(shape, sigma=1.2, colours=False):
    field = gaussian_filter(
        RNG.normal(size=(*shape, 3) if colours else shape), (sigma, sigma, 0)[: 2 + colours]
    )
    return np.clip(128 + 40 * field / (field.std() or 1), 0, 255).astype(np.uint8)


def source(array, name="image", um=None, **arguments):
    image = ImageSource.from_array(array, name=name, **arguments)
    if um is None:
        return image
    axes = image.placement.axis_labels
    placement = Placement.of_sizes(axes, dict.fromkeys("yx", (um, "um")))
    return ImageSource.from_array(array, name=name, placement=placement, **arguments)


def job(**settings):
    return EvaluateJob.parse({"result": "result", "reference": "reference", **settings})


def moved(image, y, x):
    """Show what `image` shows y rows below and x columns right of it; periodic."""
    spectrum = fourier_shift(np.fft.fft2(image, axes=(0, 1)), (y, x, 0)[: image.ndim])
    return np.fft.ifft2(spectrum, axes=(0, 1)).real


@pytest.mark.parametrize("colours", [False, True])
def test_figures_are_those_of_the_whole_images(colours):
    truth = scene((211, 190), colours=colours)
    result = np.clip(truth + RNG.normal(0, 6, truth.shape), 0, 255).astype(np.uint8)
    found = evaluate(job(), results=[source(result, "mine")], reference=source(truth))
    assert list(found.figures) == ["mine"]
    row = found.figures["mine"]
    assert row.keys() == FIGURES.keys()
    assert row["psnr_db"] == pytest.approx(psnr(result, truth))
    assert row["ssim"] == pytest.approx(ssim(result, truth))
    assert all(math.isfinite(value) for value in row.values())
    assert not found.shifts


def test_the_input_and_what_is_simply_made_of_it_stand_beside():
    truth = scene((128, 96), colours=True)
    low = np.asarray(Image.fromarray(truth).resize((48, 64), Image.Resampling.BICUBIC))
    found = evaluate(job(), results=[source(truth, "perfect")], reference=source(truth), low=source(low))
    assert list(found.figures) == ["perfect", *BASELINES]
    assert found.results == ("perfect",)
    assert found.figures["perfect"]["psnr_db"] == math.inf
    for name, filter_ in (("bicubic", Image.Resampling.BICUBIC), ("Lanczos", Image.Resampling.LANCZOS)):
        enlarged = np.asarray(Image.fromarray(low).resize((96, 128), filter_))
        assert found.figures[name]["psnr_db"] == pytest.approx(psnr(enlarged, truth))
    nearest = low.repeat(2, 0).repeat(2, 1)
    assert found.figures["input"]["psnr_db"] == pytest.approx(psnr(nearest, truth))
    assert json.loads(json.dumps(found.as_dict()))["figures"]["perfect"]["psnr_db"] is None


def test_sharpening_is_that_of_pillow():
    low = scene((40, 30), colours=True)
    made = Enlargements(source(low), 2)(0, slice(0, 80), slice(0, 60))
    bicubic = Image.fromarray(low).resize((60, 80), Image.Resampling.BICUBIC)
    once = bicubic.filter(ImageFilter.SHARPEN)
    twice = once.filter(ImageFilter.SHARPEN)
    unsharp = bicubic.filter(ImageFilter.UnsharpMask(2, 100, 0))
    expected = {"sharpened": (once, 1), "sharpened twice": (twice, 4), "unsharp mask": (unsharp, 4)}
    for name, (picture, off) in expected.items():
        # Pillow leaves the outermost pixels as they are, makes its Gauss of boxes, and rounds .5 another way,
        # which the second sharpening enlarges.
        ours, theirs = (np.asarray(v, float)[8:-8, 8:-8] for v in (made[name].transpose(1, 2, 0), picture))
        assert np.abs(ours - theirs).max() <= off, name


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_baselines_of_blocks_are_those_of_the_whole(factor):
    low = RNG.normal(1000, 200, (31, 27)).astype(">u2")
    enlarged = Enlargements(source(low), factor)
    height, width = 31 * factor, 27 * factor
    whole = enlarged(0, slice(0, height), slice(0, width))
    assert ("bicubic" in whole) == (factor > 1)
    block = slice(5, height - 7), slice(11, width)
    for name, part in enlarged(0, *block).items():
        np.testing.assert_allclose(part[0].astype(float), whole[name][(0, *block)], atol=1, err_msg=name)


def test_a_degraded_reference_is_an_input():
    truth = scene((97, 64))
    degraded = Degraded(source(truth), "area", 4)
    assert (degraded.height, degraded.width) == (24, 16)
    part = degraded.read(0, slice(3, 20), slice(2, 16))[0]
    mean = truth[:96].reshape(24, 4, 16, 4).mean((1, 3))
    np.testing.assert_allclose(part.astype(float), mean[3:20, 2:16], atol=1)  # rounded twice
    found = evaluate(job(degrade="area", factor=4), results=[source(truth)], reference=source(truth))
    assert list(found.figures)[1:] == BASELINES
    assert found.comparison.pixels == 96 * 64, "the last row belongs to no whole pixel of the input"


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.42), (3.0, 5.0), (-7.75, 2.5)])
@pytest.mark.parametrize("soft", [0.0, 1.2])
def test_shifts_are_found(shift, soft):
    truth = scene((160, 140)).astype(float)
    image = gaussian_filter(moved(truth, *shift), soft, mode="wrap") + RNG.normal(0, 2, truth.shape)
    found, correlation = find_shift(lambda y, x: image[y, x], lambda y, x: truth[y, x], 160, 140)
    assert (found.y, found.x) == pytest.approx(shift, abs=0.06)
    assert correlation > 0.7


def test_a_shifted_result_is_registered_and_said_so():
    truth = scene((150, 170), sigma=2, colours=True)
    image = np.clip(np.rint(moved(truth.astype(float), 2.5, -4.25)), 0, 255).astype(np.uint8)
    images = {"results": [source(image, "mine")], "reference": source(truth)}
    progress = SilentProgress()
    found = evaluate(job(rim_px=4), **images, progress=progress)
    assert found.shifts["mine"] == pytest.approx((2.5, -4.25), abs=0.05)
    assert any("mine lay +2.5" in warning for warning in progress.warnings)
    as_it_lies = evaluate(job(align=False, rim_px=4), **images)
    assert not as_it_lies.shifts
    assert found.figures["mine"]["psnr_db"] > as_it_lies.figures["mine"]["psnr_db"] + 15


def test_whole_pixels_are_not_interpolated():
    truth = scene((90, 80))
    image = np.roll(truth, (3, -2), (0, 1))
    found = evaluate(job(rim_px=8), results=[source(image)], reference=source(truth))
    assert found.figures["image"]["psnr_db"] == math.inf


def test_the_shift_of_the_input_is_its_own():
    truth = scene((128, 128), sigma=2.5)
    low = np.asarray(Image.fromarray(np.roll(truth, 4, 0)).resize((64, 64), Image.Resampling.BICUBIC))
    found = evaluate(job(), results=[source(truth, "mine")], reference=source(truth), low=source(low))
    assert found.shifts == {"input": pytest.approx((4, 0), abs=0.06)}
    assert found.figures["mine"]["psnr_db"] == math.inf
    assert found.figures["bicubic"]["psnr_db"] > 35


def test_unlike_images_are_not_registered():
    a, b = (source(RNG.integers(0, 255, (64, 64), np.uint8), name) for name in "ab")
    found = evaluate(job(), results=[a], reference=b)
    assert not found.shifts
    assert "too little in common" in found.notes[0]


def test_shifted_blocks_are_the_whole_shifted_image():
    image = RNG.normal(size=(1, 90, 80))
    read = shifted(lambda plane, y, x: {"": image[:, y, x]}, Shift(1.25, -2.5), 90, 80)
    (y, x) = shared_region([Shift(1.25, -2.5)], 90, 80)
    assert (y, x) == (slice(0, 88), slice(3, 80))
    whole = read(0, y, x)[""]
    part = read(0, slice(20, 60), slice(30, 50))[""]
    np.testing.assert_allclose(part, whole[:, 20:60, 27:47], atol=1e-5)


def test_planes_are_measured_together_each_channel_on_its_own_scale():
    truth = np.stack([scene((64, 64)).astype(np.uint16) * gain for gain in (3, 200)])
    result = truth + RNG.normal(0, 1, truth.shape) * np.array([30, 2000])[:, None, None]
    images = {
        "results": [source(result.clip(0).astype(np.uint16), axes="cyx")],
        "reference": source(truth, axes="cyx"),
    }
    found = evaluate(job(), **images).figures["image"]
    ranges = [np.subtract(*np.percentile(plane, (99.9, 0.1))) for plane in truth]
    errors = [
        np.mean((r - t) ** 2) / span**2
        for r, t, span in zip(result, truth.astype(float), ranges, strict=True)
    ]
    assert found["psnr_db"] == pytest.approx(-10 * np.log10(np.mean(errors)), abs=0.05)
    known = evaluate(job(peak=65535), **images).figures["image"]
    assert known["psnr_db"] == pytest.approx(psnr(result, truth.astype(float), 65535), abs=0.05)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_types_and_byte_orders_do_not_matter(dtype):
    truth = scene((64, 48))
    result = np.clip(truth.astype(int) + RNG.integers(-9, 9, truth.shape), 0, 255)
    found = evaluate(
        job(peak=255), results=[source(result.astype(dtype))], reference=source(truth.astype(dtype))
    )
    assert found.figures["image"]["psnr_db"] == pytest.approx(psnr(result, truth.astype(int)))


def test_nan_is_left_out_of_all_and_counted():
    truth = scene((64, 48)).astype(np.float32)
    a, b = (truth + 4).copy(), truth + 8
    a[10:14, 20:23] = np.nan
    found = evaluate(job(align=False), results=[source(a, "a"), source(b, "b")], reference=source(truth))
    assert found.comparison.missing == 12
    assert "12 of 3072 pixels are NaN" in found.notes[0]
    gap = found.figures["a"]["psnr_db"] - found.figures["b"]["psnr_db"]
    assert gap == pytest.approx(20 * np.log10(2))


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (20, 33)])
def test_small_images_have_the_figures_that_they_can(shape):
    truth = scene(shape)
    found = evaluate(job(degrade="none"), results=[source(truth)], reference=source(truth))
    have = {key for key, value in found.figures["image"].items() if not math.isnan(value)}
    size = min(shape)
    possible = {key for key, figure in FIGURES.items() if size >= figure.smallest_px}
    assert have == possible - ({"relative_mse"} if not truth.any() else set())
    assert "too few for some figures" in found.notes[-1]
    assert table_text(found.figures)


def test_results_of_one_name_are_told_apart():
    truth = scene((32, 32))
    results = [source(truth, name) for name in ("a", "a", "bicubic")]
    found = evaluate(job(), results=results, reference=source(truth))
    assert list(found.figures) == ["a", "a (2)", "bicubic (2)"]


def test_files_in_files_out(tmp_path):
    truth = scene((96, 80), colours=True)
    worse = np.clip(truth + RNG.normal(0, 9, truth.shape), 0, 255).astype(np.uint8)
    low = np.asarray(Image.fromarray(truth).resize((40, 48), Image.Resampling.BICUBIC))
    for name, image in (("mine", truth), ("worse", worse), ("truth", truth), ("low", low)):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, photometric="rgb")
    settings = {
        name: tmp_path / f"{name}.{end}"
        for name, end in (("csv", "csv"), ("curves", "csv"), ("chart", "png"))
    }
    paths = {name: str(tmp_path / f"{name}.tif") for name in ("mine", "worse", "truth", "low")}
    found = evaluate(
        EvaluateJob(
            result=paths["mine"],
            reference=paths["truth"],
            input=paths["low"],
            also=(paths["worse"],),
            **settings,
        )
    )
    assert found.results == ("mine", "worse")
    with (tmp_path / "csv.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["mine", "worse", *BASELINES]
    assert float(rows[1]["psnr_db"]) == pytest.approx(psnr(worse, truth))
    assert rows[0]["ms_ssim"] == "", "too small"
    curves = np.genfromtxt(tmp_path / "curves.csv", delimiter=",", names=True, deletechars="")
    np.testing.assert_allclose(curves["mine_correlation"], 1, atol=1e-5)
    assert curves["frequency_[1/px]"][-1] == pytest.approx(0.5)
    picture = Image.open(tmp_path / "chart.png")
    colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x2F, 0x7E, 0xBC), (0xA9, 0xB2, 0xBD)} <= colours, "bars of results and of baselines"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([30, 31], (29, 31)),
        ([30, 30.4], (29.8, 30.4)),
        ([0.1, 0.9], (0, 0.9)),
        ([], (0, 1)),
        ([0, 0], (0, 1)),
        ([5, 5], (0, 5)),
    ],
)
def test_bars_begin_at_0_unless_all_are_alike(values, expected):
    assert span(values) == pytest.approx(expected)


def test_the_table_marks_the_best():
    nothing = dict.fromkeys(FIGURES, math.nan)
    text = table_text(
        {"a": {**nothing, "psnr_db": 30, "gmsd": 0.1}, "b": {**nothing, "psnr_db": math.inf, "gmsd": 0.2}}
    )
    assert text.splitlines()[1].split() == ["a", "30.00", "0.1000*"]
    assert text.splitlines()[2].split() == ["b", "∞*", "0.2000"]


def test_cancel_and_progress():
    class Stop(SilentProgress):
        def advance(self, label, done, total):
            raise Cancelled

    image = source(scene((32, 32)))
    with pytest.raises(Cancelled):
        evaluate(job(), results=[image], reference=image, progress=Stop())


@pytest.mark.parametrize(
    ("result", "reference", "low", "message"),
    [
        (source(scene((32, 30))), source(scene((32, 32))), None, "32 x 30 pixels, the reference"),
        (source(scene((32, 32)), um=0.5), source(scene((32, 32)), um=0.25), None, "0.5 x 0.5 µm"),
        (source(scene((32, 32), colours=True)), source(scene((32, 32))), None, "RGB"),
        (source(np.zeros((2, 32, 32))), source(np.zeros((3, 32, 32))), None, "2 planes"),
        (source(scene((32, 32))), source(scene((32, 32))), source(scene((20, 20))), "no whole multiple"),
        (source(scene((32, 32))), source(scene((32, 32))), source(scene((16, 8))), "no whole multiple"),
        (source(scene((32, 32))), source(scene((32, 32))), source(scene((64, 64))), "no whole multiple"),
    ],
)
def test_what_does_not_belong_together_is_named(result, reference, low, message):
    with pytest.raises(InputError, match=message):
        evaluate(job(), results=[result], reference=reference, low=low)


def test_wrong_settings_are_named(tmp_path):
    image = source(scene((32, 32)))
    with pytest.raises(InputError, match="rim of 16"):
        evaluate(job(rim_px=16), results=[image], reference=image)
    with pytest.raises(JobError, match="chart"):
        job(chart="figure.jpg")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate(job(csv=tmp_path / "no" / "a.csv"), results=[image], reference=image)
    with pytest.raises(InputError, match="does not exist"):
        evaluate(job(result=str(tmp_path / "no.tif")))


def test_nearly_equal_pixel_sizes_are_one():
    truth = scene((32, 32))
    found = evaluate(job(), results=[source(truth, um=0.25)], reference=source(truth, um=0.2505))
    assert found.figures["image"]["psnr_db"] == math.inf


def test_memory_does_not_grow_with_the_image(monkeypatch):
    """Blocks are read as they are needed, none of them large."""

    class Lazy:
        dtype, ndim = np.dtype(np.uint8), 2

        def __init__(self, shape):
            self.shape, self.largest = shape, 0

        def __getitem__(self, index):
            sizes = [
                part.indices(size)[1] - part.indices(size)[0]
                for part, size in zip(index, self.shape, strict=True)
            ]
            self.largest = max(self.largest, sizes[0] * sizes[1])
            y, x = (np.arange(p.start, p.stop) for p in index)
            return ((y[:, None] * 7 + x * 3) % 251).astype(np.uint8)

    monkeypatch.setattr("napari_microsr.superres.metrics.spectra.LARGEST_PX", 128)
    monkeypatch.setattr("napari_microsr.superres.shift.WINDOW_PX", 128)
    largest = []
    for side in (300, 450):
        arrays = [Lazy((side, side)) for _ in range(2)]
        evaluate(job(), results=[source(arrays[0])], reference=source(arrays[1]))
        largest += [array.largest for array in arrays]
    assert max(largest) <= (128 + 160) ** 2
