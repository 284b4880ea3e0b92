"""Networks by name, with the weights of a model card: alike for every domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.core.weights import ModelCard, load_state
from napari_microsr.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def build(
    known: Mapping[str, Callable[..., nn.Module]],
    name: str,
    arguments: dict[str, Any],
    kind: str = "network",
) -> nn.Module:
    """Build the network `name` of the `known` ones, which are of a `kind`, with random weights.

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    if name not in known:
        raise ModelError(f"There is no {kind} named {name!r}.", f"Known are {', '.join(known)}.")
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise ModelError(
            f"The network {name} cannot be built with {arguments} ({error}).",
            "Correct the arguments in the model card or the job.",
        ) from error


def load_weights(network: nn.Module, card: ModelCard, weights: Path | None) -> None:
    """Load the weights of a card into a network of its architecture.

    Parameters
    ----------
    network : torch.nn.Module
        Keeps its mode, training or evaluation.
    card : ModelCard
        Says what the weights must be.
    weights : Path or None
        None for a network without any.

    Raises
    ------
    ModelError
        If the weights are missing, damaged or of another architecture.
    """
    if weights is None:
        if card.sha256 is not None or next(network.parameters(), None) is not None:
            raise ModelError(f"The weights of {card.id} are missing.", "Put them beside the card.")
        return
    state = load_state(weights, card)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise ModelError(
            f"The weights {weights} do not fit the network {card.architecture} of the card ({fault}).",
            "Correct the card's architecture and arguments.",
        ) from error
