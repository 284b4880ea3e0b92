"""From a finished training of an emitter network to weights with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from napari_microsr.core.device import Device
from napari_microsr.core.weights import ModelCard, TrainingData, export, find
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.evaluation import (
    DENSITIES_UM2,
    VALIDATION_SEED,
    Outcome,
    best_threshold,
    find_all,
    frames_of,
    judge,
    usual_scene,
)
from napari_microsr.smlm.network_finder import HALO_PX, NetworkFinder
from napari_microsr.smlm.networks.emitters import Emitters2d
from napari_microsr.smlm.patches import TrainingRanges

if TYPE_CHECKING:
    from napari_microsr.smlm.localizations import Localizations
    from napari_microsr.smlm.training import TrainLocalizerJob

THRESHOLDS = tuple(np.round(np.arange(0.3, 0.85, 0.05), 2))
#: Validation frames per density, so that each has about 1500 emitters, and their side.
FRAMES = {0.2: 46, 2.0: 5, 5.0: 2}
SIDE_PX = 128

Tables = list[tuple["Localizations", "Localizations"]]


def efficiencies(network: nn.Module, ranges: TrainingRanges) -> dict[str, float]:
    """Return the efficiency E at each density of the validation frames, and their mean as "score"."""
    tables = validation_tables(network, ranges)
    figures = {
        f"E_{density:g}": judge(truth, found.select(found.probability > 0.5)).score.efficiency
        for density, (truth, found) in zip(DENSITIES_UM2, tables, strict=True)
    }
    return {"score": float(np.mean(list(figures.values()))), **figures}


def validation_tables(network: nn.Module, ranges: TrainingRanges) -> Tables:
    """Return the truth and what a network finds at the lowest threshold, for each density."""
    assert isinstance(network, Emitters2d)
    training = network.training
    device = Device(str(next(network.parameters()).device), None, channels_last=True)
    tables = []
    for number, density in enumerate(DENSITIES_UM2):
        scene = usual_scene(density, ranges)
        frames = frames_of(scene, VALIDATION_SEED + number, FRAMES[density], SIDE_PX)
        finder = NetworkFinder(network, device, Camera(), scene.sigma_px[0], THRESHOLDS[0])
        tables.append((frames.truth, find_all(finder, frames.photons, frames.truth)))
    network.train(training)
    return tables


def settle(network: Emitters2d, ranges: TrainingRanges) -> list[Outcome]:
    """Set threshold and scale of the errors from the validation frames and return the outcomes with them."""
    network.error_scale = 1.0
    # Which spots are left out depends on the scale: look twice.
    for _ in range(2):
        tables = validation_tables(network, ranges)
        network.threshold = float(best_threshold(tables, THRESHOLDS))
        outcomes = [judge(true, seen.select(seen.probability > network.threshold)) for true, seen in tables]
        told = [outcome.honesty for outcome in outcomes if np.isfinite(outcome.honesty)]
        # The mean of logarithms: too small by a third counts as much as too large by a half.
        scale = float(np.exp(np.mean(np.log(told)))) if told else 1.0
        network.error_scale = round(scale * network.error_scale, 3)
    return [Outcome(outcome.score, outcome.honesty / scale) for outcome in outcomes]


def export_localizer(
    network: nn.Module, job: TrainLocalizerJob, ranges: TrainingRanges, folder: Path
) -> Path:
    """Settle a trained network, write weights and card to `folder` and return the weights' path."""
    network = network.eval().cpu()
    assert isinstance(network, Emitters2d)
    outcomes = settle(network, ranges)
    return export(network, make_card(network, job, ranges, outcomes), folder)


def make_card(
    network: Emitters2d, job: TrainLocalizerJob, ranges: TrainingRanges, outcomes: list[Outcome]
) -> ModelCard:
    """Fill the card from the job, the network and its figures."""
    patches = job.steps * job.batch
    made = TrainingData(
        source=f"Simulated frames: PSF sigma {_span(ranges.sigma_px)} px, {_span(ranges.photons)} photons on "
        f"{_span(ranges.background)}, {_span(ranges.density_um2)} emitters per µm²",
        licence="none needed: made while training",
        credit="napari-microsr",
        images=patches,
        mpx=round(patches * job.patch_px**2 / 1e6, 1),
    )
    before = () if job.start is None else find(job.start)[0].trained_on
    arguments = {**job.arguments, "threshold": network.threshold, "error_scale": network.error_scale}
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": "emitters-2d",
        "arguments": arguments,
        "task": "localization",
        "factor": 1,
        "channels": 1,
        "parameters": sum(p.numel() for p in network.parameters()),
        "halo_px": HALO_PX,
        "multiple_of": 2,
        "normalisation": "identity",
        "reduced_precision": True,
        "trained_on": [*before, made],
        "figures": figures(outcomes),
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})


def figures(outcomes: list[Outcome]) -> dict[str, float]:
    """Return the figures of a card by name, but for those of which nothing was found."""
    named: dict[str, float] = {}
    for density, outcome in zip(DENSITIES_UM2, outcomes, strict=True):
        at = f"at {density:g} per µm²"
        named[f"efficiency {at}"] = round(outcome.score.efficiency, 1)
        named[f"recall {at}"] = round(outcome.score.recall, 3)
        named[f"RMSE in nm {at}"] = round(outcome.score.rmse_nm, 1)
        named[f"error / predicted error {at}"] = round(outcome.honesty, 2)
    return {name: value for name, value in named.items() if np.isfinite(value)}


def _span(values: tuple[float, float]) -> str:
    return f"{values[0]:g}-{values[1]:g}"
