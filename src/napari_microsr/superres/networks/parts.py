"""What several networks are made of."""

from math import log2

from torch import nn

from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.bicubic import Bicubic


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, Xavier-initialised, as mSRGAN's networks have them."""
    module = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.xavier_uniform_(module.weight)
    return module


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return mSRGAN's batch norm: its running statistics decay by 0.99, epsilon is 0.001."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def doublings(factor: int) -> int:
    """Return how many doublings make a magnification.

    Raises
    ------
    ModelError
        If it is no power of two from 2 on.
    """
    if factor < 2 or factor & (factor - 1):
        raise ModelError(f"The network cannot magnify {factor} times.", "Choose a factor of 2, 4 or 8.")
    return round(log2(factor))


def skip_connection(kind: str, channels: int, factor: int) -> Bicubic | None:
    """Return what a network's output is added to: nothing for "none", the magnified input for "bicubic".

    Raises
    ------
    ModelError
        For another kind.
    """
    if kind not in ("none", "bicubic"):
        raise ModelError(f"There is no skip connection {kind!r}.", "Choose none or bicubic.")
    return Bicubic(channels, factor) if kind == "bicubic" else None
