"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.core.weights import ModelCard, load_state
from napari_microsr.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A network that a model card can name.

    Attributes
    ----------
    name : str
        As written in cards and jobs.
    build : callable
        Makes the network from the card's `arguments`; imports torch when called.
    task : str
        "super-resolution" (larger than its input) or "restoration" (same size).
    summary : str
        One sentence.
    """

    name: str
    build: Callable[..., nn.Module]
    task: str
    summary: str


def _bicubic(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.bicubic import Bicubic

    return Bicubic(**arguments)


def _fast_residual(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.fast import FastResidual

    return FastResidual(**arguments)


def _residual_unet(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.residual_unet import ResidualUNet

    return ResidualUNet(**arguments)


ARCHITECTURES = (
    Architecture("bicubic", _bicubic, "super-resolution", "Bicubic magnification, the baseline."),
    Architecture(
        "fast-residual",
        _fast_residual,
        "super-resolution",
        "A few 3x3 residual blocks at input resolution on top of bicubic magnification.",
    ),
    Architecture(
        "residual-unet",
        _residual_unet,
        "restoration",
        "PlacentaSR's U-Net, which predicts the detail that a blurred image of its size lacks.",
    ),
)


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build the network `name` with random weights.

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    if name not in known:
        raise ModelError(f"There is no network named {name!r}.", f"Known are {', '.join(known)}.")
    try:
        return known[name].build(**arguments)
    except TypeError as error:
        raise ModelError(
            f"The network {name} cannot be built with {arguments} ({error}).",
            "Correct the arguments in the model card or the job.",
        ) from error


def load_network(card: ModelCard, weights: Path | None) -> nn.Module:
    """Build the network of a card and load its weights (None for a network without any).

    Raises
    ------
    ModelError
        If the weights are missing, damaged or of another architecture than the card's.
    """
    network = build_network(card.architecture, **card.arguments)
    if weights is None:
        if card.sha256 is not None:
            raise ModelError(f"The weights of {card.id} are missing.", "Put them beside the card.")
        return network.eval()
    state = load_state(weights, card)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise ModelError(
            f"The weights {weights} do not fit the network {card.architecture} of the card ({fault}).",
            "Correct the card's architecture and arguments.",
        ) from error
    return network.eval()
