"""From a finished training to weights with a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_microsr.core.weights import Metric, ModelCard, Score, export
from napari_microsr.superres.datasets import read_image
from napari_microsr.superres.degrade import DEGRADATIONS, Pixels
from napari_microsr.superres.evaluation import sample_images, score
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES

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


def export_run(network: nn.Module, job: TrainJob, reported: Sequence[Reported], folder: Path) -> Path:
    """Measure a trained network, write weights and card to `folder` and return the weights' path."""
    network = network.eval().cpu()
    return export(network, make_card(network, job, reported), folder)


def make_card(network: nn.Module, job: TrainJob, reported: Sequence[Reported]) -> ModelCard:
    """Fill the card from the job, the network and its figures."""
    channels = job.arguments.get("channels", 3)
    degradation = DEGRADATIONS[job.degradation]
    cost = reduced_precision_cost(network, reported[0].images, job)
    halo_px, multiple_of = probe(network, channels)
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": job.architecture,
        "arguments": job.arguments,
        "task": next(a.task for a in ARCHITECTURES if a.name == job.architecture),
        "factor": 1 if degradation.same_grid else job.factor,
        "channels": channels,
        "dtype": "uint8",
        "parameters": sum(p.numel() for p in network.parameters()),
        "halo_px": halo_px,
        "multiple_of": multiple_of,
        "normalisation": "range",
        "reduced_precision": cost <= LARGEST_COST_DB,
        "reduced_precision_cost_db": round(cost, 4),
        "degradation": f"x{job.factor} {degradation.summary}",
        "metrics": [measure(network, group, job) for group in reported],
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})


def measure(network: nn.Module, group: Reported, job: TrainJob) -> Metric:
    """Return the figures of network and baseline on some images, rounded for a card."""
    same_grid = DEGRADATIONS[job.degradation].same_grid
    name, baseline = ("input", nn.Identity()) if same_grid else ("bicubic", Bicubic(factor=job.factor))
    figures = [
        Score(psnr_db=round(psnr, 3), ssim=round(ssim, 4))
        for psnr, ssim in (
            score(module, group.images, job.degradation, job.factor) for module in (network, baseline)
        )
    ]
    return Metric(data=group.name, n=len(group.images), model=figures[0], baselines={name: figures[1]})


def reduced_precision_cost(network: nn.Module, images: Sequence[Pixels], job: TrainJob) -> float:
    """Return the PSNR in dB that bfloat16 arithmetic loses against float32."""
    exact, _ = score(network, images, job.degradation, job.factor)
    with torch.autocast("cpu", torch.bfloat16):
        reduced, _ = score(network, images, job.degradation, job.factor)
    return float(np.subtract(exact, reduced))
