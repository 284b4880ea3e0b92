"""The networks of localisation by name, and the finder that a model card stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.core.weights import ModelCard, load_state
from napari_microsr.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

#: The classical fitter has no weights.
GAUSSIAN_MLE = "gaussian-mle"


def _emitters_2d(**arguments: Any) -> nn.Module:
    from napari_microsr.smlm.networks.emitters import Emitters2d

    return Emitters2d(**arguments)


def _dsir(**arguments: Any) -> nn.Module:
    from napari_microsr.smlm.networks.dsir import DsirAutoencoder

    return DsirAutoencoder(**arguments)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "emitters-2d": _emitters_2d,
    "dsir-autoencoder": _dsir,
}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build the network `name` with random weights.

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    if name not in NETWORKS:
        raise ModelError(
            f"{name!r} is no network that localises.", f"Known are {', '.join(NETWORKS)} and {GAUSSIAN_MLE}."
        )
    try:
        return NETWORKS[name](**arguments)
    except TypeError as error:
        raise ModelError(
            f"The network {name} cannot be built with {arguments} ({error}).",
            "Correct the arguments in the model card or the job.",
        ) from error


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


def load_weights(network: nn.Module, card: ModelCard, weights: Path | None) -> None:
    """Load the weights of a card into a network.

    Raises
    ------
    ModelError
        As `load_network` does.
    """
    if weights is None:
        raise ModelError(f"The weights of {card.id} are missing.", "Put them beside the card.")
    try:
        network.load_state_dict(load_state(weights, card))
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise ModelError(
            f"The weights {weights} do not fit the network {card.architecture} of the card ({fault}).",
            "Correct the card's architecture and arguments.",
        ) from error
