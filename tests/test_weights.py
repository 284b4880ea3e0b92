"""The shipped weights do what their cards say, measured on crops of a slide that ships with the package."""

import pytest
import torch

from napari_microsr.core.weights import SHIPPED, list_cards, load_state, read_card
from napari_microsr.superres.evaluation import sample_images, score
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES, load_network

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
    degradation = ("bicubic-down-up", 4) if card.task == "restoration" else ("bicubic", card.factor)
    return score(module, sample_images(), *degradation)


def by_id(name):
    return next(card for card in CARDS if card.id == name)


def test_these_models_ship(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path))
    ids = ["bicubic", "bicubic-x4", "dsir-autoencoder", "emitters-2d", "histology-x2", "residual-unet-histology"]
    assert sorted(card.id for card in list_cards()) == ids
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 25e6
    assert all(path.stat().st_size <= 6e6 for path in SHIPPED.iterdir())


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_card_describes_the_network(card):
    module = network(card)
    assert card.parameters == sum(p.numel() for p in module.parameters())
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


def test_histology_x2_gains_at_least_four_fifths_of_dat_light():
    card = by_id("histology-x2")
    assert [metric.data for metric in card.metrics][:1] == ["all"]
    for metric in (card.metrics[0], recorded(card)):
        base = metric.baselines["bicubic"].psnr_db
        assert metric.model.psnr_db - base >= 0.8 * (metric.baselines["DAT-light"].psnr_db - base)
        assert metric.model.ssim > metric.baselines["bicubic"].ssim


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
