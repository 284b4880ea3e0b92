"""The networks of localisation by name, and the finder that a model card stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.core.networks import build, load_weights
from napari_microsr.core.weights import ModelCard

if TYPE_CHECKING:
    from torch import nn

#: The classical fitter has no weights.
GAUSSIAN_MLE = "gaussian-mle"
#: The architecture that draws an image instead of finding coordinates.
DSIR = "dsir-autoencoder"


def _emitters_2d(**arguments: Any) -> nn.Module:
    from napari_microsr.smlm.networks.emitters import Emitters2d

    return Emitters2d(**arguments)


def _dsir(**arguments: Any) -> nn.Module:
    from napari_microsr.smlm.networks.dsir import DsirAutoencoder

    return DsirAutoencoder(**arguments)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "emitters-2d": _emitters_2d,
    DSIR: _dsir,
}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build the network `name` with random weights.

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    return build(NETWORKS, name, arguments, "network that localises")


def load_network(card: ModelCard, weights: Path | None) -> nn.Module:
    """Build the network of a card and load its weights.

    Raises
    ------
    ModelError
        If the weights are missing, damaged or of another architecture than the card's.
    """
    network = build_network(card.architecture, **card.arguments)
    load_weights(network, card, weights)
    return network.eval()
