"""From a finished training to weights with a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_microsr.core.weights import Metric, ModelCard, Score, export
from napari_microsr.superres.datasets import list_images, read_image
from napari_microsr.superres.degrade import DEGRADATIONS, Pixels
from napari_microsr.superres.evaluation import sample_images, score_samples
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES
from napari_microsr.superres.samples import Sample, make_samples

if TYPE_CHECKING:
    from napari_microsr.superres.training import TrainJob

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


def read_reported(
    paths: Sequence[Path], slides: Sequence[str], channels: int, sample: bool = False
) -> list[Reported]:
    """Read images and group them by slide (file-name prefix): all of them first, the shipped slide last."""
    images = [read_image(path, channels) for path in paths]
    groups = [Reported("all", images)]
    for slide in slides:
        chosen = [i for p, i in zip(paths, images, strict=True) if p.name.startswith(slide)]
        groups.append(Reported(slide, chosen))
    if sample:
        groups.append(Reported(SAMPLE, sample_images()))
    return [group for group in groups if group.images]


def reported_samples(job: TrainJob, watched: Sequence[Sample]) -> dict[str, Sequence[Sample]]:
    """Return the samples of the card's figures by name: those of `report`, or the held-out ones."""
    channels = job.arguments.get("channels", 3)
    if job.report is None:
        groups: dict[str, Sequence[Sample]] = {"all": watched}
        for slide in job.report_slides:
            groups[slide] = [sample for sample in watched if sample.name.startswith(slide)]
        if job.report_sample:
            groups[SAMPLE] = make_samples(sample_images(), job.degradation, job.factor)
        return {name: samples for name, samples in groups.items() if samples}
    reported = read_reported(list_images(job.report), job.report_slides, channels, job.report_sample)
    return {group.name: make_samples(group.images, job.degradation, job.factor) for group in reported}


def export_run(
    network: nn.Module,
    job: TrainJob,
    degradation: str,
    reported: Mapping[str, Sequence[Sample]],
    folder: Path,
) -> Path:
    """Measure a trained network, write weights and card to `folder` and return the weights' path."""
    network = network.eval().cpu()
    return export(network, make_card(network, job, degradation, reported), folder)


def make_card(
    network: nn.Module, job: TrainJob, degradation: str, reported: Mapping[str, Sequence[Sample]]
) -> ModelCard:
    """Fill the card from the job, the network and its figures."""
    channels = job.arguments.get("channels", 3)
    same_grid = DEGRADATIONS[job.degradation].same_grid
    cost = reduced_precision_cost(network, next(iter(reported.values())))
    halo_px, multiple_of = probe(network, channels)
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": job.architecture,
        "arguments": job.arguments,
        "task": next(a.task for a in ARCHITECTURES if a.name == job.architecture),
        "factor": 1 if same_grid else job.factor,
        "channels": channels,
        "dtype": "uint8" if channels == 3 else None,
        "parameters": sum(p.numel() for p in network.parameters()),
        "halo_px": halo_px,
        "multiple_of": multiple_of,
        "normalisation": "range" if channels == 3 else "percentile",
        "reduced_precision": cost <= LARGEST_COST_DB,
        "reduced_precision_cost_db": round(cost, 4),
        "degradation": degradation,
        "metrics": [measure(network, name, samples, job) for name, samples in reported.items()],
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})


def measure(network: nn.Module, name: str, samples: Sequence[Sample], job: TrainJob) -> Metric:
    """Return the figures of network and baseline on some samples, rounded for a card."""
    same_grid = DEGRADATIONS[job.degradation].same_grid
    beside, baseline = ("input", nn.Identity()) if same_grid else ("bicubic", Bicubic(factor=job.factor))
    figures = [
        Score(psnr_db=round(psnr, 3), ssim=round(ssim, 4))
        for psnr, ssim in (score_samples(module, samples) for module in (network, baseline))
    ]
    return Metric(data=name, n=len(samples), model=figures[0], baselines={beside: figures[1]})


def reduced_precision_cost(network: nn.Module, samples: Sequence[Sample]) -> float:
    """Return the PSNR in dB that bfloat16 arithmetic loses against float32."""
    exact, _ = score_samples(network, samples)
    with torch.autocast("cpu", torch.bfloat16):
        reduced, _ = score_samples(network, samples)
    return float(np.subtract(exact, reduced))
