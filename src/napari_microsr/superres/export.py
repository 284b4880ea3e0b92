"""From a finished training to weights with a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_microsr.core.weights import Metric, ModelCard, Score, export
from napari_microsr.superres.datasets import TrainingData
from napari_microsr.superres.degrade import Pixels
from napari_microsr.superres.evaluation import sample_images, score_sample, score_samples
from napari_microsr.superres.images import open_images
from napari_microsr.superres.losses import describe
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.conditioned import conditioned
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES
from napari_microsr.superres.samples import Sample, make_samples

if TYPE_CHECKING:
    from napari_microsr.superres.training import TrainJob

#: PSNR (dB) and SSIM of a network on a sample.
Scored = Callable[[nn.Module, Sample], tuple[float, float]]
#: Reduced precision is used where it costs less than this.
LARGEST_COST_DB = 0.02
#: Name of the shipped slide in a card's figures.
SAMPLE = "shipped sample"


@dataclass(frozen=True)
class Reported:
    """Images for the card's figures.

    Attributes
    ----------
    name : str
        Of the slide, or "all".
    images : sequence of ndarray
        Sharp images.
    """

    name: str
    images: Sequence[Pixels]


def read_reported(folder: Path, slides: Sequence[str], channels: int, sample: bool = False) -> list[Reported]:
    """Read images and group them by slide (beginning of the name): all first, the shipped slide last."""
    images = {image.name: image.high.read_whole() for image in open_images(folder, channels)}
    groups = [Reported("all", list(images.values()))]
    for slide in slides:
        groups.append(Reported(slide, [i for name, i in images.items() if name.startswith(slide)]))
    if sample:
        groups.append(Reported(SAMPLE, sample_images(channels)))
    return [group for group in groups if group.images]


def export_run(network: nn.Module, job: TrainJob, data: TrainingData) -> Path:
    """Measure a trained network, write weights and card to the job's folder and return the weights' path."""
    reported = dict(data.reported)
    if job.report_sample:
        reported[SAMPLE] = make_samples(sample_images(data.channels), job.degradation, job.factor)
    network = network.eval().cpu()
    return export(network, make_card(network, job, data, reported), job.folder)


def make_card(
    network: nn.Module, job: TrainJob, data: TrainingData, reported: Mapping[str, Sequence[Sample]]
) -> ModelCard:
    """Fill the card from the job, the network and its figures."""
    scored = cache(score_sample)  # a slide's images are also among all
    baseline = nn.Identity() if data.factor == 1 else Bicubic(factor=data.factor)
    cost = reduced_precision_cost(network, reported["all"], scored)
    plain = conditioned(network, 0.0, 0.0) if job.condition else network
    halo_px, multiple_of = probe(plain, data.channels)
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": job.architecture,
        "arguments": job.arguments,
        "task": next(a.task for a in ARCHITECTURES if a.name == job.architecture),
        "factor": data.factor,
        "channels": data.channels,
        "dtype": "uint8" if data.channels == 3 else None,
        "parameters": sum(p.numel() for p in network.parameters()),
        "halo_px": halo_px,
        "multiple_of": multiple_of,
        "normalisation": "range" if data.channels == 3 else "percentile",
        "conditioned": job.condition,
        "reduced_precision": cost <= LARGEST_COST_DB,
        "reduced_precision_cost_db": round(cost, 4),
        "degradation": data.degradation,
        "loss": describe(job),
        "metrics": [measure(network, baseline, *group, scored) for group in reported.items()],
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})


def measure(
    network: nn.Module, baseline: nn.Module, name: str, samples: Sequence[Sample], scored: Scored
) -> Metric:
    """Return the figures of network and baseline on some samples, rounded for a card."""
    model, beside = (
        Score(psnr_db=round(psnr, 3), ssim=round(ssim, 4))
        for psnr, ssim in (score_samples(module, samples, scored) for module in (network, baseline))
    )
    called = "bicubic" if isinstance(baseline, Bicubic) else "input"
    return Metric(data=name, n=len(samples), model=model, baselines={called: beside})


def reduced_precision_cost(network: nn.Module, samples: Sequence[Sample], scored: Scored) -> float:
    """Return the PSNR in dB that bfloat16 arithmetic loses against float32, in which `scored` measures."""
    exact, _ = score_samples(network, samples, scored)
    with torch.autocast("cpu", torch.bfloat16):
        reduced, _ = score_samples(network, samples)
    return float(np.subtract(exact, reduced))
