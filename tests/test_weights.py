"""The shipped weights do what their cards say, measured on crops of a slide that ships with the package."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_microsr.core.weights import SHIPPED, list_cards, load_state, read_card
from napari_microsr.superres.content import Content, load_features
from napari_microsr.superres.evaluation import predict, sample_images, score, score_samples
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.conditioned import conditioned
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES, load_network
from napari_microsr.superres.samples import make_samples

CARDS = [read_card(path) for path in sorted(SHIPPED.glob("*.json"))]
# Networks that localise or give features have other figures: see smlm/test_shipped_localizer.py and below.
CARDS = [card for card in CARDS if card.task not in ("localization", "features")]
TRAINED = [card for card in CARDS if card.sha256 is not None]
SAMPLE = "shipped sample"


def network(card):
    return load_network(card, SHIPPED / f"{card.id}.safetensors" if card.sha256 else None)


def recorded(card, name=SAMPLE):
    return next(metric for metric in card.metrics if metric.data == name)


def measured(card, module):
    """Return the figures on the degradation that the card names."""
    degradation = "blur(0..1.6)? > bicubic > noise(0..6)?" if card.conditioned else "bicubic"
    if card.task == "restoration":
        degradation = "bicubic-down-up(4)"
    if card.id == "histology-x2-area":
        degradation = "area"
    return score(module, sample_images(card.channels or 3), degradation, card.factor)


def by_id(name):
    return next(card for card in CARDS if card.id == name)


def test_these_models_ship(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path))
    ids = """bicubic bicubic-x4 dsir-autoencoder emitters-2d fluorescence-x2 fluorescence-x4 histology-x2
        histology-x2-area histology-x2-conditioned histology-x2-fast histology-x4 minivgg-fluorescence
        msrgan-x4 residual-unet-histology swift-srgan-x4"""
    assert sorted(card.id for card in list_cards()) == ids.split()
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 25e6
    assert all(path.stat().st_size <= 6e6 for path in SHIPPED.iterdir())


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_card_describes_the_network(card):
    module = network(card)
    assert card.parameters == sum(p.numel() for p in module.parameters())
    module = conditioned(module, 0.0, 0.0) if card.conditioned else module
    assert (card.halo_px, card.multiple_of) == probe(module, card.channels or 3)
    assert card.task == next(a.task for a in ARCHITECTURES if a.name == card.architecture)
    assert (card.task == "restoration") == (card.factor == 1)
    with torch.inference_mode():
        assert module(torch.rand(1, card.channels or 3, 32, 48)).shape[2:] == (
            32 * card.factor,
            48 * card.factor,
        )


@pytest.mark.parametrize("card", TRAINED, ids=lambda card: card.id)
def test_weights_are_those_of_the_card_and_of_training(card):
    state = load_state(SHIPPED / f"{card.id}.safetensors", card)
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert card.trained_on
    assert all(data.licence and data.credit and data.images > 0 for data in card.trained_on)
    assert not any("CMU" in data.source for data in card.trained_on)
    assert card.reduced_precision == (card.reduced_precision_cost_db <= 0.02)


@pytest.mark.parametrize("card", TRAINED, ids=lambda card: card.id)
def test_recorded_figures_are_reproduced(card):
    psnr, ssim = measured(card, network(card))
    assert psnr == pytest.approx(recorded(card).model.psnr_db, abs=0.02)
    assert ssim == pytest.approx(recorded(card).model.ssim, abs=0.001)


def test_recorded_baselines_are_reproduced():
    psnr, _ = measured(by_id("histology-x2"), Bicubic(factor=2))
    assert psnr == pytest.approx(recorded(by_id("histology-x2")).baselines["bicubic"].psnr_db, abs=0.02)
    psnr, _ = measured(by_id("residual-unet-histology"), torch.nn.Identity())
    expected = recorded(by_id("residual-unet-histology")).baselines["input"].psnr_db
    assert psnr == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("card", TRAINED, ids=lambda card: card.id)
def test_reduced_precision_costs_nothing_on_the_sample(card):
    module = network(card)
    with torch.autocast("cpu", torch.bfloat16):
        reduced, _ = measured(card, module)
    assert reduced == pytest.approx(measured(card, module)[0], abs=0.02)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("histology-x2", 0.92),
        ("histology-x2-fast", 0.85),
        ("histology-x4", 0.8),
        ("fluorescence-x4", 0.7),
    ],
)
def test_share_of_the_gain_of_dat_light(name, share):
    overall = by_id(name).metrics[0]
    assert overall.data == "all"
    base = overall.baselines["bicubic"]
    assert overall.model.psnr_db - base.psnr_db >= share * (
        overall.baselines["DAT-light"].psnr_db - base.psnr_db
    )
    assert overall.model.ssim > base.ssim


@pytest.mark.parametrize(("name", "gain"), [("swift-srgan-x4", 1.0), ("msrgan-x4", 0.0)])
def test_networks_of_the_source_systems_are_better_than_bicubic(name, gain):
    overall = by_id(name).metrics[0]
    base = overall.baselines["bicubic"]
    assert overall.model.psnr_db >= base.psnr_db + gain
    assert overall.model.ssim > base.ssim


def test_every_slide_gains():
    for card, name, gain in (
        (by_id("histology-x2"), "bicubic", 2.0),
        (by_id("residual-unet-histology"), "input", 0.8),
    ):
        assert len(card.metrics) == 6
        for metric in card.metrics:
            assert metric.model.psnr_db >= metric.baselines[name].psnr_db + gain


def test_residual_unet_gains_its_bar_over_its_input():
    overall = by_id("residual-unet-histology").metrics[0]
    assert overall.n == 19
    assert overall.model.psnr_db >= overall.baselines["input"].psnr_db + 1.4


@pytest.mark.parametrize("name", ["fluorescence-x2", "fluorescence-x4"])
def test_another_gain_and_offset_of_the_camera_are_those_of_the_result(name):
    rng = np.random.default_rng(5)
    image = sample_images(1)[0].astype(np.uint16) * 16 + rng.integers(0, 16, (256, 256), np.uint16)
    low = image[::2, ::2] + np.uint16(2000)  # nothing is cut at 0
    module = network(by_id(name))
    there = predict(module, low).astype(np.int64)
    moved = predict(module, 5 * low + 700).astype(np.int64)
    assert moved.max() < 65535
    # Each result is rounded once.
    assert np.abs(moved - (5 * there + 700)).max() <= 3


def test_the_features_tell_fields_apart():
    card = read_card(SHIPPED / "minivgg-fluorescence.json")
    assert card.task == "features"
    assert card.figures["retrieval"] > 10 * card.figures["retrieval by chance"]
    assert card.figures["retrieval"] > card.figures["retrieval untrained"]
    crop = torch.from_numpy(sample_images(1)[0] / np.float32(255))[None, None]
    loss = Content(load_features(card.id))
    blurred = [functional.avg_pool2d(crop, side, 1, side // 2) for side in (3, 5, 9)]
    distances = [float(loss(image, crop)) for image in [crop, *blurred]]
    assert distances[0] == 0
    assert distances == sorted(set(distances))


def test_a_network_that_is_told_blur_and_noise_gains_there_and_loses_little_elsewhere():
    told, plain = network(by_id("histology-x2-conditioned")), network(by_id("histology-x2"))
    blurred = make_samples(sample_images(), "blur(1.2) > bicubic > noise(2)", 2)
    assert score_samples(told, blurred)[0] >= score_samples(plain, blurred)[0] + 2
    clean = make_samples(sample_images(), "bicubic", 2)
    assert score_samples(told, clean)[0] >= score_samples(plain, clean)[0] - 0.3


def test_averaged_pixels_have_a_network_of_their_own():
    averaged = make_samples(sample_images(), "area", 2)
    own, plain, bicubic = (
        score_samples(module, averaged)[0]
        for module in (network(by_id("histology-x2-area")), network(by_id("histology-x2")), Bicubic(factor=2))
    )
    assert own > plain > bicubic
