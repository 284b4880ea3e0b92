import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_microsr.errors import InputError
from napari_microsr.superres.datasets import PatchDataset, list_images, read_image, to_tensor
from napari_microsr.superres.degrade import bicubic_down, bicubic_down_up

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (120, 150, 3), dtype=np.uint8)


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
    pairs = PatchDataset([NOISE], "bicubic", 2, patch_px=16)
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
    pairs = PatchDataset([NOISE[:64, :64]], name, factor, patch_px=16)
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
    one, two = (PatchDataset([NOISE], "bicubic", 2, 16, 0.5, seed=7) for _ in range(2))
    other = PatchDataset([NOISE], "bicubic", 2, 16, 0.5, seed=8)
    assert all((a == b).all() for i in range(5) for a, b in zip(one[i], two[i], strict=True))
    assert not (one[0][1] == other[0][1]).all()
    assert not (one[0][1] == one[1][1]).all()


def test_background_is_avoided():
    image = np.full((400, 400, 3), 240, np.uint8)
    image[:, :100] = RNG.integers(0, 256, (400, 100, 3), dtype=np.uint8)
    pairs = PatchDataset([image], "bicubic", 2, patch_px=16)
    empty = sum(float(pairs[i][1].std()) < 0.02 for i in range(40))
    # Without a choice about 65 % of the patches would be empty; nine draws leave 2 %.
    assert empty <= 6


def test_an_all_empty_image_still_gives_patches():
    low, high = PatchDataset([np.full((64, 64, 3), 240, np.uint8)], "bicubic", 2, 16)[0]
    assert low.shape == (3, 16, 16)
    assert high.shape == (3, 32, 32)
    assert (high == 240 / 255).all()
    low, high = PatchDataset([np.full((64, 64), 240, np.uint16)], "bicubic", 2, 16)[0]
    assert not low.any(), "a constant channel is zero in units of its own range"
    assert not high.any()


def test_scaling_takes_patches_from_larger_squares():
    # Vertical stripes of 12 px: shrunk ones are narrower, so their columns change more often.
    stripes = np.tile((np.arange(240) // 6 % 2 * 200).astype(np.uint8), (240, 1))
    plain = PatchDataset([stripes], "bicubic", 2, 32)
    scaled = PatchDataset([stripes], "bicubic", 2, 32, smallest_scale=0.5)

    def edges(pairs, index):
        high = pairs[index][1][0] > 0.4
        return max(int((high[0, 1:] != high[0, :-1]).sum()), int((high[1:, 0] != high[:-1, 0]).sum()))

    assert max(edges(plain, i) for i in range(30)) <= 11
    assert max(edges(scaled, i) for i in range(30)) >= 14


def test_images_too_small_are_left_out_or_refused():
    pairs = PatchDataset([NOISE, NOISE[:20]], "bicubic", 2, 16)
    assert len(pairs.images) == 1
    with pytest.raises(InputError, match="at least 48 pixels"):
        PatchDataset([NOISE[:20], np.zeros((1, 1, 3), np.uint8)], "bicubic", 2, 16)


def test_values_are_scaled_to_one():
    tensor = to_tensor(np.array([[[0, 51, 255]]], np.uint8))
    assert tensor.shape == (3, 1, 1)
    np.testing.assert_allclose(tensor.ravel(), [0, 0.2, 1], rtol=1e-6)


def test_split_by_slide_is_a_split_by_name(tmp_path):
    for name in ("a-1_y0.png", "a-2_y0.png", "b-1_y0.webp", "c-1.tif"):
        Image.fromarray(NOISE).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    names = [p.name for p in list_images(tmp_path, exclude=["a-1", "c"])]
    assert names == ["a-2_y0.png", "b-1_y0.webp"]
    assert [p.name for p in list_images(tmp_path, include=["a"])] == ["a-1_y0.png", "a-2_y0.png"]
    with pytest.raises(InputError, match="No training image is left"):
        list_images(tmp_path, include=["z"])
    with pytest.raises(InputError, match="No training image is left"):
        list_images(tmp_path / "absent")


def test_reading_keeps_pixels_and_names_what_is_broken(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), NOISE)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with pytest.raises(InputError, match=r"b\.png cannot be opened"):
        read_image(tmp_path / "b.png")
    Image.fromarray(NOISE).save(tmp_path / "c.bmp")
    np.testing.assert_array_equal(read_image(tmp_path / "c.bmp"), NOISE)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f4"])
def test_one_channel_of_any_type_is_read_as_it_is(tmp_path, dtype):
    image = (NOISE[..., 0].astype(float) * (200 if np.dtype(dtype).itemsize > 1 else 1)).astype(dtype)
    byteorder = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=byteorder)
    read = read_image(tmp_path / "a.tif", channels=1)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(read, image)


def test_16_bit_png_keeps_its_bits(tmp_path):
    image = NOISE[..., 0].astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=1), image)


def test_other_channels_than_the_networks_are_refused(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "colour.png")
    Image.fromarray(NOISE[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(NOISE[..., :1], 3, axis=2)).save(tmp_path / "three.png")
    tifffile.imwrite(tmp_path / "stack.tif", NOISE[..., 0][None].repeat(4, 0), photometric="minisblack")
    with pytest.raises(InputError, match=r"colour\.png is in colour, and the network is for one channel"):
        read_image(tmp_path / "colour.png", channels=1)
    with pytest.raises(InputError, match=r"grey\.png is a single channel"):
        read_image(tmp_path / "grey.png", channels=3)
    np.testing.assert_array_equal(read_image(tmp_path / "three.png", channels=1), NOISE[..., 0])
    with pytest.raises(InputError, match="4 planes"):
        read_image(tmp_path / "stack.tif", channels=1)


@pytest.mark.parametrize("degradation", ["bicubic", "area", "bicubic-down-up"])
def test_units_do_not_depend_on_gain_and_offset(degradation):
    # Floats, so that nothing is rounded: the same picture in other units gives the same pairs.
    image = RNG.normal(size=(90, 90)).astype(np.float32)
    one = PatchDataset([image], degradation, 2, 16)[3]
    two = PatchDataset([image * 40 + 1000], degradation, 2, 16)[3]
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
    pairs = PatchDataset([image], "bicubic", 2, patch_px=16)
    zero, one = pairs.ranges[0]
    peaks = [float(pairs[i][0].max()) * (one - zero) + zero for i in range(40)]
    # A patch that meets the cell (about 1 in 6) reaches far above the noise.
    assert sum(peak > 1016 for peak in peaks) >= 20
