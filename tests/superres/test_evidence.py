"""Evidence maps: exact against whole images, and lit up by planted inventions."""

import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.weights import ModelCard, export, find, list_cards
from napari_microsr.errors import InputError, JobError
from napari_microsr.superres import ensemble
from napari_microsr.superres.evidence import consistency_map
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.reduction import Reduction, reduction_of
from napari_microsr.superres.summary import describe, read_evidence

PLACE = (slice(30, 42), slice(18, 34))  # in input pixels


def texture(rng, shape):
    """Smooth structures of about 100 grey levels, between 50 and 200."""
    rough = gaussian_filter(rng.normal(size=shape), (2, 2, 0)[: len(shape)])
    return (125 + 25 * rough / rough.std()).clip(50, 200)


def finest(path):
    return np.asarray(zarr.open_array(path / "0", mode="r"))


def run(image, folder, name="out", model="bicubic", progress=None, rgb=False, **settings):
    settings = {"device": "cpu", "precision": "float32", "blur_px": 0.0, "noise": 0.0, **settings}
    job = UpscaleJob(source="array", output=folder / name, model=model, **settings)
    source = ImageSource.from_array(image, axes="yxc" if rgb else "yx", rgb=rgb)
    paths = upscale(job, source=source, progress=progress or SilentProgress())
    return dict(zip(job.contents, paths, strict=True))


@pytest.fixture
def inventing(monkeypatch):
    """Let the network add a ring wherever the image is brighter than 220: what no reduction explains."""
    original = ensemble.load_network

    class Inventing(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            bright = torch.nn.functional.interpolate((x > 220).float(), scale_factor=2)
            return self.network(x) + 40 * bright

    monkeypatch.setattr(ensemble, "load_network", lambda *a: Inventing(original(*a)))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize(("kind", "filter_"), [("bicubic", Image.BICUBIC), ("area", Image.BOX)])
def test_the_reduction_is_pillows(rng, factor, kind, filter_):
    fine = texture(rng, (20 * factor, 15 * factor)).astype(np.float32)
    low = np.asarray(Image.fromarray(fine).resize((15, 20), filter_))
    inside = (slice(3, -3), slice(3, -3))
    difference = consistency_map(fine, low, Reduction(kind, factor))
    assert np.abs(difference[inside]).max() < 1e-3


def test_reduction_and_magnification_back_are_pillows(rng):
    fine = texture(rng, (80, 64)).astype(np.float32)
    small = Image.fromarray(fine).resize((16, 20), Image.BICUBIC)
    back = np.asarray(small.resize((64, 80), Image.BICUBIC))
    difference = consistency_map(fine, back, Reduction("bicubic", 4, same_grid=True))
    assert np.abs(difference[20:-20, 20:-20]).max() < 1e-3


def test_a_blur_before_the_reduction_is_gaussian(rng):
    fine = texture(rng, (80, 90)).astype(np.float32)
    blurred = gaussian_filter(fine, 2 * 0.8, truncate=6)
    low = np.asarray(Image.fromarray(blurred).resize((45, 40), Image.BICUBIC))
    difference = consistency_map(fine, low, Reduction("bicubic", 2, blur_px=0.8))
    assert np.abs(difference[8:-8, 8:-8]).max() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (33, 18, 3)])
def test_odd_sizes_and_constants(shape):
    for reduction in (Reduction("bicubic", 2), Reduction("bicubic", 4, same_grid=True)):
        factor = 1 if reduction.same_grid else 2
        fine = np.full((factor * shape[0], factor * shape[1], *shape[2:]), 7, np.uint16)
        difference = consistency_map(fine, np.full(shape, 7, ">u2"), reduction)
        assert difference.shape == shape
        assert np.abs(difference).max() < 1e-4


def test_a_result_of_another_image_is_refused():
    with pytest.raises(InputError, match="not 2 times"):
        consistency_map(np.zeros((4, 4)), np.zeros((3, 2)), Reduction("bicubic", 2))


def test_structure_painted_into_a_result_lights_up_at_its_place(rng):
    fine = texture(rng, (160, 120))
    low = np.asarray(Image.fromarray(fine.astype(np.float32)).resize((60, 80), Image.BICUBIC))
    painted = fine.copy()
    painted[2 * 30 : 2 * 42, 2 * 18 : 2 * 34] += 20
    difference = consistency_map(painted, low, Reduction("bicubic", 2))
    inside = difference[PLACE][2:-2, 2:-2]
    assert np.allclose(inside, 20, atol=1)
    outside = difference.copy()
    outside[28:44, 16:36] = 0
    assert np.abs(outside[3:-3, 3:-3]).max() < 0.01


def test_what_a_network_invents_lights_up_in_the_stored_map(rng, tmp_path, inventing):
    image = texture(rng, (90, 70)).astype(np.uint8)
    image[PLACE] = 230
    progress = SilentProgress()
    stores = run(image, tmp_path, consistency=True, tile_px=32, progress=progress)
    strayed = finest(stores["consistency"])
    assert strayed.shape == image.shape
    assert strayed.dtype == np.float32
    assert strayed[PLACE][3:-3, 3:-3].min() > 20
    away = np.abs(strayed).copy()
    away[27:45, 15:37] = 0
    assert away.max() < 12, "elsewhere only what bicubic magnification smooths"
    assert any("further than bicubic" in warning for warning in progress.warnings)


@pytest.mark.parametrize("model", ["bicubic", "histology-x2", "residual-unet-histology"])
def test_the_stored_map_is_that_of_the_stored_result_whatever_the_tiles(rng, tmp_path, model):
    rgb = model != "bicubic"
    image = texture(rng, (61, 90, 3) if rgb else (61, 90)).astype(np.uint8)
    maps = []
    for tile_px in (48, 512):
        stores = run(image, tmp_path, f"{tile_px}", model, rgb=rgb, consistency=True, tile_px=tile_px)
        maps.append(finest(stores["consistency"]))
    result = finest(stores["result"])
    card = find(model)[0]
    expected = consistency_map(result.transpose(1, 2, 0) if rgb else result, image, reduction_of(card))
    expected = expected.transpose(2, 0, 1) if rgb else expected
    rim = reduction_of(
        card
    ).reach_px  # beyond the edge the network goes on; the map of a whole array repeats it
    inside = (..., slice(rim, -rim - 4), slice(rim, -rim - 4))
    for strayed in maps:
        # Rounding to a whole grey level may fall to either side where two tilings round differently.
        assert np.mean(np.abs(strayed - maps[0]) > 1e-3) < 0.01
        assert np.mean(np.abs(strayed - expected)[inside] > 1e-3) < 0.01
        assert np.abs(strayed - expected)[inside].max() < 1.0


def test_maps_of_real_numbers_do_not_depend_on_the_tiles(rng, tmp_path):
    image = texture(rng, (61, 90)).astype(np.float32)
    image[5, 7] = np.nan
    stores = [
        run(image, tmp_path, f"{px}", consistency=True, self_ensemble=True, tile_px=px)
        for px in (16, 32, 512)
    ]
    for content in ("consistency", "disagreement"):
        first, *others = (finest(paths[content]) for paths in stores)
        for other in others:
            np.testing.assert_allclose(other, first, atol=2e-4)
        assert np.isnan(first).any()
        assert np.isfinite(first[..., 40:, :]).all()


def test_the_numbers_of_a_result_are_kept_with_it(rng, tmp_path):
    fine = texture(rng, (200, 160, 3)).round().astype(np.uint8)
    image = np.asarray(Image.fromarray(fine).resize((80, 100), Image.BICUBIC))
    found = {}
    for model in ("bicubic", "histology-x2"):
        stores = run(image, tmp_path, model, model, rgb=True, consistency=True)
        found[model] = read_evidence(stores["result"])["consistency"]
        assert read_evidence(stores["consistency"]) == read_evidence(stores["result"])
        inside = finest(stores["consistency"])[:, 3:-3, 3:-3]
        assert found[model]["rms"] == pytest.approx(np.sqrt(np.mean(inside**2)), rel=0.15)
        assert found[model]["rms_percent"] == pytest.approx(found[model]["rms"] / 2.55)
    assert found["bicubic"]["rms"] == pytest.approx(found["bicubic"]["baseline_rms"], rel=0.2)
    assert found["histology-x2"]["baseline_rms"] == pytest.approx(found["bicubic"]["baseline_rms"])
    assert found["histology-x2"]["rms"] < found["bicubic"]["rms"]
    (sentence,) = describe(read_evidence(stores["result"]))
    assert "bicubic magnification" in sentence
    assert "% of the range" in sentence


def test_a_resumed_run_has_the_same_maps_and_numbers(rng, tmp_path, cancel_after):
    image = texture(rng, (70, 100)).astype(np.uint16)
    settings = {"consistency": True, "compare_with": ("bicubic",), "tile_px": 32}

    def files(stores):
        return {
            (content, path.relative_to(folder).as_posix()): path.read_bytes()
            for content, folder in stores.items()
            for path in folder.rglob("*")
            if path.is_file()
        }

    whole = files(run(image, tmp_path, "whole", **settings))
    with pytest.raises(Cancelled):
        run(image, tmp_path, "cut", progress=cancel_after(5), **settings)
    assert files(run(image, tmp_path, "cut", **settings)) == whole


def test_two_models_disagree_where_they_differ(rng, tmp_path, monkeypatch):
    """The second model adds 30 grey levels to the bright place, and nothing elsewhere."""
    image = texture(rng, (64, 60)).astype(np.uint8)
    image[PLACE] = 230
    network = torch.nn.Module
    original = ensemble.load_network

    class Brighter(network):
        def forward(self, x):
            return bicubic(x) + 15 * torch.nn.functional.interpolate((x > 220).float(), scale_factor=2)

    bicubic = original(*find("bicubic"))
    card = find("bicubic")[0].model_copy(update={"id": "brighter", "architecture": "bicubic"})
    folder = tmp_path / "models"
    export(torch.nn.Identity(), card, folder)
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path))
    monkeypatch.setattr(
        ensemble, "load_network", lambda c, w: Brighter() if c.id == "brighter" else original(c, w)
    )
    stores = run(image, tmp_path, compare_with="brighter", tile_px=32)
    apart = finest(stores["disagreement"])
    assert apart.shape == (128, 120)
    place = (slice(60, 84), slice(36, 68))
    np.testing.assert_allclose(apart[place][4:-4, 4:-4], 15 / np.sqrt(2), atol=0.5)
    apart[58:86, 34:70] = 0
    assert apart.max() < 1e-6
    found = read_evidence(stores["result"])["disagreement"]
    assert found["with"] == ["brighter"]
    assert found["rms"] > 0
    assert any("brighter" in sentence for sentence in describe(read_evidence(stores["result"])))


def test_a_network_without_direction_agrees_with_itself(rng, tmp_path):
    image = texture(rng, (50, 37)).astype(np.float32)
    stores = run(image, tmp_path, self_ensemble=True)
    assert finest(stores["disagreement"]).max() < 1e-3
    image = texture(rng, (50, 37, 3)).astype(np.uint8)
    stores = run(image, tmp_path, "learned", "histology-x2", rgb=True, self_ensemble=True)
    spread = finest(stores["disagreement"])
    assert spread.shape == (3, 100, 74)
    assert 0 < spread.mean() < 5


def test_the_self_ensemble_is_that_of_the_turned_images(rng, tmp_path):
    image = rng.integers(0, 255, (40, 30, 3), np.uint8)
    stores = run(image, tmp_path, "all", "histology-x2", rgb=True, self_ensemble=True)
    results = []
    for turn in range(8):
        seen = np.rot90(image[:, ::-1] if turn >= 4 else image, turn % 4)
        path = run(np.ascontiguousarray(seen), tmp_path, f"{turn}", "histology-x2", rgb=True)["result"]
        back = np.rot90(finest(path).transpose(1, 2, 0), -(turn % 4))
        results.append(back[:, ::-1] if turn >= 4 else back)
    expected = np.std(np.stack(results).astype(float), axis=0, ddof=1).transpose(2, 0, 1)
    found = finest(stores["disagreement"])
    assert np.mean(np.abs(found - expected) > 1e-3) < 0.01  # ties of the rounding


def test_what_cannot_be_compared_is_a_sentence(tmp_path):
    image = np.zeros((20, 20), np.uint8)
    with pytest.raises(JobError, match="cannot be compared"):
        run(image, tmp_path, compare_with=["bicubic-x4"])
    with pytest.raises(InputError, match="RGB colour images"):
        run(image, tmp_path, compare_with=["histology-x2"])


def test_a_restoring_model_of_unknown_degradation_has_no_map(tmp_path, monkeypatch):
    card, _ = find("residual-unet-histology")
    assert reduction_of(card.model_copy(update={"degradation": None})) is None
    assert reduction_of(ModelCard.model_validate({**card.model_dump(), "degradation": "none"})) is None
    assert reduction_of(card.model_copy(update={"degradation": "x4 pairs that were taken"})) is None


@pytest.mark.parametrize(
    "card",
    [card for card in list_cards() if card.task in ("super-resolution", "restoration")],
    ids=lambda c: c.id,
)
def test_every_shipped_model_says_what_it_undoes(card):
    reduction = reduction_of(card)
    assert reduction is not None
    assert reduction.same_grid == (card.factor == 1)
    assert card.factor in (1, reduction.factor)


@pytest.mark.parametrize(
    ("degradation", "expected"),
    [
        ("x2 antialiased bicubic reduction (Pillow)", Reduction("bicubic", 2)),
        ("x2 mean over blocks (binning)", Reduction("area", 2)),
        (
            "Gaussian blur of 1-2 px, x2 mean over blocks (binning), noise of 2 / 255",
            Reduction("area", 2, blur_px=0.75),
        ),
        (
            "x2 antialiased bicubic reduction (Pillow) or x2 mean over blocks (binning)",
            Reduction("bicubic", 2),
        ),
    ],
)
def test_the_reduction_comes_from_the_card(degradation, expected):
    card = find("histology-x2")[0].model_copy(update={"degradation": degradation})
    assert reduction_of(card) == expected
    told = card.model_copy(update={"conditioned": True})
    assert reduction_of(told, 0.4).blur_px == 0.4
