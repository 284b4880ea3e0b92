"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.core.networks import build, load_weights
from napari_microsr.core.weights import ModelCard

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
    conditioned : bool
        Whether it takes two planes more than the image has, blur and noise; see `networks.conditioned`.
    """

    name: str
    build: Callable[..., nn.Module]
    task: str
    summary: str
    conditioned: bool = False


def _bicubic(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.bicubic import Bicubic

    return Bicubic(**arguments)


def _fast_residual(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.fast import FastResidual

    return FastResidual(**arguments)


def _conditioned_residual(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.conditioned import ConditionedResidual

    return ConditionedResidual(**arguments)


def _residual_unet(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.residual_unet import ResidualUNet

    return ResidualUNet(**arguments)


def _srresnet(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.srresnet import SRResNet

    return SRResNet(**arguments)


def _unet_generator(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.unet_generator import UNetGenerator

    return UNetGenerator(**arguments)


def _swift_srgan(**arguments: Any) -> nn.Module:
    from napari_microsr.superres.networks.swift_srgan import SwiftSRGAN

    return SwiftSRGAN(**arguments)


ARCHITECTURES = (
    Architecture("bicubic", _bicubic, "super-resolution", "Bicubic magnification, the baseline."),
    Architecture(
        "fast-residual",
        _fast_residual,
        "super-resolution",
        "A few 3x3 residual blocks at input resolution on top of bicubic magnification.",
    ),
    Architecture(
        "conditioned-residual",
        _conditioned_residual,
        "super-resolution",
        "The fast residual network, told how blurred and how noisy its input is.",
        conditioned=True,
    ),
    Architecture(
        "residual-unet",
        _residual_unet,
        "restoration",
        "PlacentaSR's U-Net, which predicts the detail that a blurred image of its size lacks.",
    ),
    Architecture(
        "srresnet-x4",
        _srresnet,
        "super-resolution",
        "mSRGAN's generator: residual blocks with batch norm, then pixel shuffles.",
    ),
    Architecture(
        "swift-srgan",
        _swift_srgan,
        "super-resolution",
        "Swift-SRGAN's generator of separable convolutions, small and fast.",
    ),
    Architecture(
        "unet-generator",
        _unet_generator,
        "restoration",
        "MedImageRefine's small U-Net, which sharpens a digitally magnified image.",
    ),
)


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build the network `name` with random weights.

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    known = {architecture.name: architecture.build for architecture in ARCHITECTURES}
    return build(known, name, arguments)


def build_discriminator(name: str, **arguments: Any) -> nn.Module:
    """Build a network that tells magnified images from true ones: "srgan", "unet" or "swift".

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    from napari_microsr.superres.networks.discriminators import DISCRIMINATORS

    return build(DISCRIMINATORS, name, arguments, "discriminator")


def build_feature_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network whose features compare images: "minivgg".

    Raises
    ------
    ModelError
        If there is no such network, or it does not take these arguments.
    """
    from napari_microsr.superres.networks.minivgg import MiniVGG

    return build({"minivgg": MiniVGG}, name, arguments, "network for features")


def load_network(card: ModelCard, weights: Path | None) -> nn.Module:
    """Build the network of a card and load its weights (None for a network without any).

    A foreign network (`foreign.find_model`) is read from its file.

    Raises
    ------
    ModelError
        If the weights are missing, damaged or of another architecture than the card's.
    """
    from napari_microsr.superres.foreign import READERS, load_foreign

    if card.architecture in READERS:
        return load_foreign(card, weights)
    network = build_network(card.architecture, **card.arguments)
    load_weights(network, card, weights)
    return network.eval()
