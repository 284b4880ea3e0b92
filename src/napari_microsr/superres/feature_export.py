"""How good a feature network is, and its weights with a card."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.core.weights import ModelCard, export
from napari_microsr.superres.feature_data import Fields, held_patches
from napari_microsr.superres.networks.minivgg import CONTENT_LAYERS
from napari_microsr.superres.registry import build_feature_network

if TYPE_CHECKING:
    from napari_microsr.superres.feature_job import TrainFeaturesJob

#: Patches that are computed at once.
BATCH = 32


class Measure:
    """Measures a network on held-out fields as they are, not augmented.

    Parameters
    ----------
    fields : Fields
        Those held out are used.
    side : int
        Of a patch.
    """

    def __init__(self, fields: Fields, side: int) -> None:
        self.patches, self.owners = held_patches(fields.held, side)
        self.labels = (
            np.array([field.label for field in fields.held])[self.owners] if fields.labelled else None
        )
        self.classes = len(fields.classes)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Return the shares of right classes (with labels; else of right retrievals) as the score."""
        with torch.inference_mode():
            device = next(network.parameters()).device
            parts = [
                (network(batch.to(device)).float().cpu(), embed(network, batch.to(device)).cpu())
                for batch in torch.split(self.patches, BATCH)
            ]
        logits, embeddings = (torch.cat(part) for part in zip(*parts, strict=True))
        found = retrieval(embeddings.numpy(), self.owners)
        if self.labels is None:
            return {"score": found, "retrieval": found}
        accuracy = float((logits.argmax(1).numpy() == self.labels).mean())
        return {"score": accuracy, "accuracy": accuracy, "retrieval": found}

    def chance(self) -> dict[str, float]:
        """Return what guessing gives: the nearest patch at random, and the most frequent class."""
        n = len(self.owners)
        others = np.bincount(self.owners)[self.owners] - 1
        asked = others[others > 0]
        figures = {"retrieval by chance": float(asked.mean() / (n - 1)) if len(asked) else 0.0}
        if self.labels is not None:
            figures["accuracy by chance"] = float(np.bincount(self.labels).max() / n)
        return figures


def embed(network: nn.Module, patches: Tensor) -> Tensor:
    """Return unit vectors (N, F) of patches: the mean features of the content layers."""
    layers = network.features(patches, CONTENT_LAYERS)  # type: ignore[operator]
    means = [functional.normalize(layer.float().mean(dim=(2, 3)), dim=1) for layer in layers]
    return functional.normalize(torch.cat(means, dim=1), dim=1)


def retrieval(embeddings: NDArray[np.float32], owners: NDArray[np.int64]) -> float:
    """Return how often the nearest other patch is of the same field.

    Parameters
    ----------
    embeddings : numpy.ndarray, shape (N, F)
        Unit vectors.
    owners : numpy.ndarray, shape (N,)
        Fields; those with a single patch are not asked, but may be found.
    """
    likeness = embeddings @ embeddings.T
    np.fill_diagonal(likeness, -np.inf)
    counts = np.bincount(owners)[owners]
    right = owners[likeness.argmax(axis=1)] == owners
    return float(right[counts > 1].mean()) if (counts > 1).any() else 0.0


def export_features(
    network: nn.Module, job: "TrainFeaturesJob", fields: Fields, measure: Measure, untrained: dict[str, float]
) -> Path:
    """Measure a trained network, write weights and card and return the path of the weights.

    Where fields were told apart, the classifier goes: only its features are of use.
    """
    figures = {**measure(network), **measure.chance()}
    figures["retrieval untrained"] = untrained["retrieval"]
    figures.pop("score")
    classes = len(fields.classes) if fields.labelled else 0
    kept = build_feature_network("minivgg", **{**job.arguments, "classes": classes})
    names = kept.state_dict().keys()
    kept.load_state_dict({name: value for name, value in network.state_dict().items() if name in names})
    channels = job.arguments.get("channels", 3)
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": "minivgg",
        "arguments": {**job.arguments, "classes": classes},
        "task": "features",
        "factor": 1,
        "channels": channels,
        "dtype": "uint8" if channels == 3 else None,
        "parameters": sum(p.numel() for p in kept.parameters()),
        "halo_px": 0,
        "multiple_of": 1,
        "normalisation": "range" if channels == 3 else "percentile",
        "reduced_precision": False,
        "figures": {name: round(value, 3) for name, value in figures.items()},
    }
    card = ModelCard.model_validate({**job.card.model_dump(), **facts})
    return export(kept, card, job.folder)
