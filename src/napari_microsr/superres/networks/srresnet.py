"""mSRGAN's generator: a residual network with batch norm that magnifies four times.

Re-implemented from the layers of S. Gawande's master thesis work (KTH, TRITA-EECS-EX-2018:10), which follow
SRResNet (C. Ledig et al., CVPR 2017, arXiv 1609.04802).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_microsr.superres.networks.parts import batch_norm, conv, doublings, skip_connection


def _conv_norm(features: int, dropout: float) -> list[nn.Module]:
    norm = batch_norm(features)
    # The source's start: each branch adds little at first.
    nn.init.trunc_normal_(norm.weight, std=0.1)
    return [conv(features, features), norm, nn.Dropout(dropout)]


class _Block(nn.Module):
    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        first, second = _conv_norm(features, dropout), _conv_norm(features, dropout)
        self.body = nn.Sequential(*first, nn.PReLU(features, init=0.0), *second)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class SRResNet(nn.Module):
    """Magnification by residual blocks at input resolution and pixel shuffles behind them.

    Parameters
    ----------
    channels : int
        Channels of the image.
    features : int
        Channels inside, a multiple of 4; the source has 64. The last pixel shuffle leaves a quarter of them.
    blocks : int
        Residual blocks; the source has 15, SRResNet 16.
    dropout : float
        Share of values that are dropped in training; the source drops half, also when it is used. Here
        nothing is dropped in evaluation.
    factor : int
        Magnification, a power of two; each doubling is one pixel shuffle.
    end_kernel : int
        Side of the first and the last convolution; SRResNet has 9.
    skip : {"none", "bicubic"}
        "bicubic" adds the network to bicubic magnification, where training then starts. "none" is the
        published network.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 64,
        blocks: int = 15,
        dropout: float = 0.5,
        factor: int = 4,
        end_kernel: int = 3,
        skip: str = "none",
    ) -> None:
        super().__init__()
        self.factor = factor
        self.head = nn.Sequential(conv(channels, features, end_kernel), nn.LeakyReLU(0.2))
        body = [_Block(features, dropout) for _ in range(blocks)]
        self.body = nn.Sequential(*body, *_conv_norm(features, dropout))
        widths = [features] * doublings(factor) + [features // 4]
        self.rise = nn.Sequential()
        for inputs, outputs in pairwise(widths):
            self.rise.extend([conv(inputs, 4 * outputs), nn.PixelShuffle(2)])
            # The source drops nothing behind its last shuffle.
            if outputs == features:
                self.rise.append(nn.Dropout(dropout))
            self.rise.append(nn.PReLU(outputs, init=0.0))
        self.tail = conv(features // 4, channels, end_kernel)
        self.skip = skip_connection(skip, channels, factor)
        if self.skip is not None:
            nn.init.zeros_(self.tail.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, factor*H, factor*W)."""
        # The source works on intensities in [-1, 1].
        shortcut = self.head(2 * x - 1)
        out: Tensor = self.tail(self.rise(shortcut + self.body(shortcut))).float()
        return (out + 1) / 2 if self.skip is None else torch.add(self.skip(x), out)
