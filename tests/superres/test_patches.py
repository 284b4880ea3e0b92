import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.augment import Augmentation
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.degrade import bicubic_down, bicubic_down_up
from napari_microsr.superres.patches import PatchDataset, Sampling, to_tensor
from napari_microsr.superres.sources import pair_images, sharp_images

RNG = np.random.default_rng(5)
NONE = Augmentation(turn=False)
NOISE = RNG.integers(0, 256, (120, 150, 3), dtype=np.uint8)


def pairs_of(images, degradation="bicubic", factor=2, patch_px=16, smallest_scale=1.0, seed=0, **options):
    """Make patches of arrays."""
    found = [
        image
        for n, array in enumerate(images)
        for image in sharp_images(
            str(n), ImageSource.from_array(array, rgb=array.ndim == 3), 3 if array.ndim == 3 else 1
        )
    ]
    sampling = Sampling(patch_px, parse_degradation(degradation), factor, smallest_scale, **options)
    return PatchDataset(found, sampling, seed)


def to_image(tensor):
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def orientations(image):
    turned = [np.rot90(image, k) for k in range(4)]
    return [*turned, *(t[:, ::-1] for t in turned)]


def places(image, patch):
    """Return where `patch` lies in `image`."""
    h, w = patch.shape[:2]
    starts = np.argwhere((image == patch[0, 0]).all(axis=2))
    return [(y, x) for y, x in starts if np.array_equal(image[y : y + h, x : x + w], patch)]


def test_high_patches_are_cut_from_the_image_in_all_orientations():
    pairs = pairs_of([NOISE], "bicubic", 2, patch_px=16)
    seen = set()
    for index in range(40):
        high = to_image(pairs[index][1])
        assert high.shape == (32, 32, 3)
        found = [i for i, image in enumerate(orientations(NOISE)) if len(places(image, high))]
        assert len(found) == 1
        seen.add(found[0])
    assert seen == set(range(8))


def whole_cells(image, factor):
    h, w = (size // factor * factor for size in image.shape[:2])
    return np.ascontiguousarray(image[:h, :w])


@pytest.mark.parametrize(
    ("name", "function", "factor", "shrink"),
    [("bicubic", bicubic_down, 2, 2), ("bicubic-down-up", bicubic_down_up, 4, 1)],
)
def test_low_patch_equals_that_of_the_whole_image(name, function, factor, shrink):
    # The edge of a patch must not show: the low patch lies in the whole degraded image.
    pairs = pairs_of([NOISE[:64, :64]], name, factor, patch_px=16)
    found = 0
    for index in range(6):
        low, high = (to_image(t) for t in pairs[index])
        for image in orientations(NOISE[:64, :64]):
            for y, x in places(image, high):
                grid_y, grid_x = y % factor, x % factor
                whole = function(whole_cells(image[grid_y:, grid_x:], factor), factor)
                y0, x0 = (y - grid_y) // shrink, (x - grid_x) // shrink
                np.testing.assert_array_equal(whole[y0 : y0 + 16, x0 : x0 + 16], low)
                found += 1
    assert found == 6


def test_same_seed_same_pairs_and_another_seed_others():
    one, two = (pairs_of([NOISE], "bicubic", 2, 16, 0.5, seed=7) for _ in range(2))
    other = pairs_of([NOISE], "bicubic", 2, 16, 0.5, seed=8)
    assert all((a == b).all() for i in range(5) for a, b in zip(one[i], two[i], strict=True))
    assert not (one[0][1] == other[0][1]).all()
    assert not (one[0][1] == one[1][1]).all()


def test_background_is_avoided():
    image = np.full((400, 400, 3), 240, np.uint8)
    image[:, :100] = RNG.integers(0, 256, (400, 100, 3), dtype=np.uint8)
    pairs = pairs_of([image], "bicubic", 2, patch_px=16)
    empty = sum(float(pairs[i][1].std()) < 0.02 for i in range(40))
    # Without a choice about 65 % of the patches would be empty; nine draws leave 2 %.
    assert empty <= 6


def test_an_all_empty_image_still_gives_patches():
    low, high = pairs_of([np.full((64, 64, 3), 240, np.uint8)], "bicubic", 2, 16)[0]
    assert low.shape == (3, 16, 16)
    assert high.shape == (3, 32, 32)
    assert (high == 240 / 255).all()
    low, high = pairs_of([np.full((64, 64), 240, np.uint16)], "bicubic", 2, 16)[0]
    assert not low.any(), "a constant channel is zero in units of its own range"
    assert not high.any()


def test_scaling_takes_patches_from_larger_squares():
    # Vertical stripes of 12 px: shrunk ones are narrower, so their columns change more often.
    stripes = np.tile((np.arange(240) // 6 % 2 * 200).astype(np.uint8), (240, 1))
    plain = pairs_of([stripes], "bicubic", 2, 32)
    scaled = pairs_of([stripes], "bicubic", 2, 32, smallest_scale=0.5)

    def edges(pairs, index):
        high = pairs[index][1][0] > 0.4
        return max(int((high[0, 1:] != high[0, :-1]).sum()), int((high[1:, 0] != high[:-1, 0]).sum()))

    assert max(edges(plain, i) for i in range(30)) <= 11
    assert max(edges(scaled, i) for i in range(30)) >= 14


def test_images_too_small_are_left_out_or_refused():
    pairs = pairs_of([NOISE, NOISE[:20]], "bicubic", 2, 16)
    assert len(pairs.images) == 1
    with pytest.raises(InputError, match="at least 48 pixels"):
        pairs_of([NOISE[:20], np.zeros((1, 1, 3), np.uint8)], "bicubic", 2, 16)


def test_values_are_scaled_to_one():
    tensor = to_tensor(np.array([[[0, 51, 255]]], np.uint8))
    assert tensor.shape == (3, 1, 1)
    np.testing.assert_allclose(tensor.ravel(), [0, 0.2, 1], rtol=1e-6)


@pytest.mark.parametrize("degradation", ["bicubic", "area", "bicubic-down-up"])
def test_units_do_not_depend_on_gain_and_offset(degradation):
    # Floats, so that nothing is rounded: the same picture in other units gives the same pairs.
    image = RNG.normal(size=(90, 90)).astype(np.float32)
    one = pairs_of([image], degradation, 2, 16)[3]
    two = pairs_of([image * 40 + 1000], degradation, 2, 16)[3]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    low, high = np.percentile(image, (0.1, 99.9))
    known = (image.ravel().astype(float) - low) / (high - low)
    assert np.abs(known - one[1].numpy().reshape(-1, 1)).min(axis=1).max() < 1e-5


def test_background_of_one_channel_is_known_by_its_noise():
    # A dim cell on a noisy camera: no fixed grey level tells it from the background.
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:400, :400]
    cell = 60 * np.exp(-((y - 80) ** 2 + (x - 80) ** 2) / (2 * 25**2)) * (1 + 0.5 * np.sin(x / 2))
    image = (rng.normal(1000, 4, (400, 400)) + cell).astype(np.uint16)
    pairs = pairs_of([image], "bicubic", 2, patch_px=16)
    zero, one = (pairs.images[0].high.zero, pairs.images[0].high.one)
    peaks = [float(pairs[i][0].max()) * (one - zero) + zero for i in range(40)]
    # A patch that meets the cell (about 1 in 6) reaches far above the noise.
    assert sum(peak > 1016 for peak in peaks) >= 20


def test_pairs_stay_within_the_places_that_fit():
    low = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
    soft, sharp = (ImageSource.from_array(a) for a in (low, low.repeat(2, 0).repeat(2, 1)))
    places = np.array([(2, 8), (10, 22)])
    (image,) = pair_images("f", soft, sharp, 1, places, place_px=18)
    pairs = PatchDataset([image], Sampling(16, parse_degradation("bicubic"), 2, augmentation=NONE))
    seen = set()
    for index in range(60):
        soft, sharp = (
            part.numpy()[0] * (image.low.one - image.low.zero) + image.low.zero for part in pairs[index]
        )
        seen.add(divmod(round(float(soft[0, 0])), 40))
        np.testing.assert_allclose(sharp[::2, ::2], soft, atol=1e-2)
    assert seen == {(y + i, x + j) for y, x in places for i in range(3) for j in range(3)}
    with pytest.raises(InputError, match="list patches of 18 pixels"):
        PatchDataset([image], Sampling(19, parse_degradation("bicubic"), 2))


def test_other_factors_keep_to_their_grid():
    # 2.5 and 10 of MedImageRefine: the low patch lies in the whole image blurred by the same filter.
    image = NOISE[:100, :100]
    for text, period in (("bilinear-down-up(2.5)", 5), ("bilinear-down-up(10)", 10)):
        pairs = pairs_of([image], text, 2, 16, augmentation=NONE)
        found = 0
        for index in range(6):
            low, high = (to_image(t) for t in pairs[index])
            for y, x in places(image, high):
                grid_y, grid_x = y % period, x % period
                whole = parse_degradation(text).apply(whole_cells(image[grid_y:, grid_x:], period), 2)
                np.testing.assert_array_equal(
                    whole[y - grid_y : y - grid_y + 16, x - grid_x : x - grid_x + 16], low
                )
                found += 1
        assert found == 6


def test_blurred_patch_equals_that_of_the_whole_image():
    image = NOISE[:96, :96]
    pairs = pairs_of([image], "blur(1.5) > bicubic", 2, augmentation=NONE)
    for index in range(4):
        low, high = (to_image(t) for t in pairs[index])
        ((y, x),) = places(image, high)
        whole = parse_degradation("blur(1.5) > bicubic").apply(image[y % 2 :, x % 2 :][:94, :94], 2)
        np.testing.assert_array_equal(whole[y // 2 : y // 2 + 16, x // 2 : x // 2 + 16], low)


def test_conditioned_patches_carry_what_was_drawn():
    flat = np.full((200, 200), 1000.0, np.float32)
    flat[:, ::2] += 1  # a range of 1 to measure the noise in
    pairs = pairs_of([flat], "area > noise(20..60)", 2, 64, condition=True)
    for index in range(5):
        low, high = pairs[index]
        assert low.shape == (3, 64, 64)
        assert high.shape == (1, 128, 128)
        assert (low[1] == 0).all()
        assert (low[2] == low[2, 0, 0]).all()
        assert 20 / 255 <= float(low[2, 0, 0]) <= 60 / 255
        assert float(low[0].std()) == pytest.approx(float(low[2, 0, 0]), rel=0.06)
    blurred = pairs_of([NOISE], "blur(1..3) > bicubic", 2, condition=True)
    assert all(0.5 <= float(blurred[i][0][3, 0, 0]) <= 1.5 for i in range(8))


def test_gain_changes_both_patches_alike():
    image = RNG.random((90, 90)).astype(np.float32)
    plain, varied = (pairs_of([image], "area", augmentation=Augmentation(gain=g)) for g in (0.0, 0.3))
    for index in range(4):
        low, high = (varied[index][part].numpy().ravel() for part in (0, 1))
        means = varied[index][1][0].reshape(16, 2, 16, 2).mean(dim=(1, 3)).numpy().ravel()
        np.testing.assert_allclose(means, low, atol=1e-5)
        assert high.shape == plain[index][1].numpy().ravel().shape
    spans = {round(float(varied[i][1].max() - varied[i][1].min()), 2) for i in range(8)}
    assert max(spans) - min(spans) > 0.15


def test_without_turning_patches_stand_as_the_image_does():
    pairs = pairs_of([NOISE], augmentation=NONE)
    assert all(len(places(NOISE, to_image(pairs[i][1]))) == 1 for i in range(12))
