"""Content loss: how far the features of two images lie apart in a network that was trained to tell images."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.core.networks import load_weights
from napari_microsr.core.weights import find
from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.minivgg import CONTENT_LAYERS, MiniVGG

MOBILENET = "mobilenet-v2"


class FeatureNetwork(Protocol):
    """Gives the features of images (N, C, H, W) in [0, 1] in some of its layers."""

    def features(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the features, one tensor per layer."""


class Features(nn.Module):
    """Some layers of a network that is never trained.

    Parameters
    ----------
    network : nn.Module
        A `FeatureNetwork`.
    channels : int
        Channels of its images; others are repeated or averaged to them.
    layers : sequence of str
        Names of its layers.
    """

    def __init__(self, network: nn.Module, channels: int, layers: Sequence[str]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.channels = channels
        self.layers = tuple(layers)

    def train(self, _mode: bool = True) -> "Features":
        """Stay in evaluation: the statistics of normalisation must not follow the images."""
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, H, W) in [0, 1], one tensor (N, F, h, w) per layer."""
        if x.shape[1] != self.channels:
            x = x.mean(dim=1, keepdim=True).expand(-1, self.channels, -1, -1)
        network: FeatureNetwork = self.network  # type: ignore[assignment]
        return network.features(x, self.layers)


class Content(nn.Module):
    """Mean squared difference of features.

    Parameters
    ----------
    features : Features
        Of both images.
    per_pixel : bool
        The sum over all features and layers divided by the number of the image's values, as mSRGAN weighs
        them: wide layers near the image count most. Else the mean over the layers of their means.
    """

    def __init__(self, features: Features, per_pixel: bool = False) -> None:
        super().__init__()
        self.features = features
        self.per_pixel = per_pixel

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Return the loss; gradients go to `predicted` only."""
        with torch.no_grad():
            wanted = self.features(true)
        errors = [functional.mse_loss(a, b) for a, b in zip(self.features(predicted), wanted, strict=True)]
        if not self.per_pixel:
            return torch.stack(errors).mean()
        scale = [layer.numel() / true.numel() for layer in wanted]
        return torch.stack([s * error for s, error in zip(scale, errors, strict=True)]).sum()


def load_features(name: str, layers: Sequence[str] = ()) -> Features:
    """Return the features of a minivgg by id or path, or of "mobilenet-v2".

    Raises
    ------
    ModelError
        If there is no such network here, or it has no such layers.
    """
    if name == MOBILENET:
        from napari_microsr.superres.networks.mobilenet import LAYERS, load_mobilenet

        return Features(load_mobilenet(), 3, _known(layers or LAYERS[-1:], LAYERS, name))
    card, weights = find(name)
    if card.architecture != "minivgg":
        raise ModelError(
            f"{card.id} is a network of the kind {card.architecture}, which gives no features.",
            f"Give a minivgg (task train-features makes one) or {MOBILENET}.",
        )
    network = MiniVGG(**card.arguments)
    load_weights(network, card, weights)
    return Features(network, card.channels or 3, _known(layers or CONTENT_LAYERS, network.layers, name))


def _known(layers: Sequence[str], known: Iterable[str], name: str) -> Sequence[str]:
    there = list(known)
    if unknown := [layer for layer in layers if layer not in there]:
        raise ModelError(f"{name} has no layer {', '.join(unknown)}.", f"Its layers are {', '.join(there)}.")
    return layers
