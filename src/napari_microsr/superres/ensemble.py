"""Several opinions on one image: other networks, or one network on the turned and mirrored image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_microsr.core.image import ImageSource
from napari_microsr.core.weights import ModelCard
from napari_microsr.errors import JobError
from napari_microsr.superres.foreign import find_model
from napari_microsr.superres.image_quality import Quality
from napari_microsr.superres.networks.conditioned import conditioned
from napari_microsr.superres.normalise import Normalisation, measure
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.suitability import check_channels


class Member(NamedTuple):
    """One network of an ensemble, and how it wants the image's intensities.

    Attributes
    ----------
    network : torch.nn.Module
        (N, C, H, W) -> (N, C, f*H, f*W).
    normalisation : Normalisation
        Of the image for this network.
    """

    network: nn.Module
    normalisation: Normalisation


class Other(NamedTuple):
    """A model that a result is compared with.

    Attributes
    ----------
    card : ModelCard
        Of the model.
    weights : pathlib.Path or None
        Its weights.
    normalisation : Normalisation
        Of the image for it.
    """

    card: ModelCard
    weights: Path | None
    normalisation: Normalisation

    def member(self, quality: Quality | None) -> Member:
        """Load its network for an image of some quality."""
        return Member(expecting(self.card, self.weights, quality), self.normalisation)


def find_other(name: str, card: ModelCard, source: ImageSource, overlap_px: int | None = None) -> Other:
    """Find a model to compare with another one.

    Parameters
    ----------
    name : str
        Id or path.
    card : ModelCard
        Of the model whose result it is compared with.
    source : ImageSource
        The image.
    overlap_px : int, optional
        Of the tiles, for a foreign network that cannot be tiled exactly.

    Raises
    ------
    MicroSRError
        If there is none of that name, or it does something else.
    """
    other, weights = find_model(name, overlap_px)
    check_channels(other, source)
    if other.factor != card.factor:
        raise JobError(
            f"{card.id} magnifies {card.factor} times and {other.id} {other.factor} times: "
            "they cannot be compared.",
            "Compare models of one factor.",
        )
    return Other(other, weights, measure(source, other.normalisation))


def expecting(card: ModelCard, weights: Path | None, quality: Quality | None) -> nn.Module:
    """Load a network; a conditioned one is told the image's quality, none meaning sharp and clean."""
    network = load_network(card, weights)
    if not card.conditioned:
        return network
    expected = quality or Quality(0.0, 0.0)
    return conditioned(network, expected.blur_px, expected.noise)


class Turned(nn.Module):
    """A network that works on the turned and mirrored image and turns its result back.

    A network has learned no direction, so its eight results differ only where the image leaves it a choice
    (the self-ensemble of Lim et al., CVPRW 2017, here for its spread instead of its mean).

    Parameters
    ----------
    network : torch.nn.Module
        Of the image as it is.
    turn : int
        0 to 7: quarter turns, plus 4 where mirrored.
    """

    def __init__(self, network: nn.Module, turn: int) -> None:
        super().__init__()
        self.network = network
        self._quarters, self._mirrored = turn % 4, turn >= 4

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, f*H, f*W)."""
        last = x.is_contiguous(memory_format=torch.channels_last)
        x = torch.rot90(x.flip(3) if self._mirrored else x, self._quarters, (2, 3))
        x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        y = torch.rot90(self.network(x), -self._quarters, (2, 3))
        return y.flip(3) if self._mirrored else y


def spread(results: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the standard deviation of two or more results in each pixel, in their intensities.

    One degree of freedom goes to the mean, so that for two results it is their distance over the root of 2.
    """
    total: NDArray[np.float32] = np.std(np.stack(results), axis=0, ddof=1, dtype=np.float32)
    return total
