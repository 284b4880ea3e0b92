"""Swift-SRGAN's networks: SRGAN made of depthwise separable convolutions.

Re-implemented from the published layers (github.com/architkaila/Super-Resolution-for-Medical-Images, after
K. S. Krishnan and K. S. Krishnan, arXiv 2111.14320). The weights are named as in the source, so that its
files load.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_microsr.superres.networks.parts import doublings, skip_connection


class SeparableConv2d(nn.Module):
    """A convolution of each channel by itself, then a 1x1 convolution of all of them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=bias)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), less by the stride."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class ConvBlock(nn.Module):
    """Separable convolution, batch norm and activation, the latter two where asked for.

    A generator's block has the parameters of its PReLU also where it does not use them, as the source's:
    they are frozen.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        norm: bool = True,
        active: bool = True,
        leaky: bool = False,
    ) -> None:
        super().__init__()
        self.cnn = SeparableConv2d(inputs, outputs, kernel, stride, bias=not norm)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2) if leaky else nn.PReLU(outputs).requires_grad_(active)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), less by the stride."""
        out: Tensor = self.bn(self.cnn(x))
        return self.act(out) if self.active else out


class _ResidualBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(features, features)
        self.block2 = ConvBlock(features, features, active=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.block2(self.block1(x))
        return out


class _Doubling(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = SeparableConv2d(features, 4 * features)
        self.ps = nn.PixelShuffle(2)
        self.act = nn.PReLU(features)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.ps(self.conv(x)))
        return out


class SwiftSRGAN(nn.Module):
    """Swift-SRGAN's generator.

    Parameters
    ----------
    channels : int
        Channels of the image.
    features, blocks : int
        Channels inside and residual blocks; the source has 64 and 16.
    factor : int
        Magnification 2, 4 or 8, by one, two or three doublings. (The source has factor/2 of them, so that its
        x8 magnifies 16 times.)
    skip : {"none", "bicubic"}
        "bicubic" adds the network to bicubic magnification, where training then starts. "none" is the
        published network, which ends in (tanh + 1)/2.
    """

    def __init__(
        self, channels: int = 3, features: int = 64, blocks: int = 16, factor: int = 4, skip: str = "none"
    ) -> None:
        super().__init__()
        self.factor = factor
        self.initial = ConvBlock(channels, features, 9, norm=False)
        self.residual = nn.Sequential(*[_ResidualBlock(features) for _ in range(blocks)])
        self.convblock = ConvBlock(features, features, active=False)
        self.upsampler = nn.Sequential(*[_Doubling(features) for _ in range(doublings(factor))])
        self.final_conv = SeparableConv2d(features, channels, 9)
        self.skip = skip_connection(skip, channels, factor)
        if self.skip is not None:
            for parameter in self.final_conv.pointwise.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, factor*H, factor*W)."""
        initial = self.initial(x)
        out = self.convblock(self.residual(initial)) + initial
        out = self.final_conv(self.upsampler(out)).float()
        return (torch.tanh(out) + 1) / 2 if self.skip is None else torch.add(self.skip(x), out)


class SwiftDiscriminator(nn.Module):
    """Swift-SRGAN's discriminator.

    The features are averaged to 6x6, as in the source, so patches of any size will do; 96 px gives 6x6 by
    itself. The result is the score before the source's sigmoid, which belongs to its loss.

    Parameters
    ----------
    channels : int
        Channels of the image.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        widths = (channels, 64, 64, 128, 128, 256, 256, 512, 512)
        self.blocks = nn.Sequential(
            *[
                ConvBlock(inputs, outputs, stride=1 + i % 2, norm=i > 0, leaky=True)
                for i, (inputs, outputs) in enumerate(pairwise(widths))
            ]
        )
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.score = nn.Sequential(
            nn.Flatten(), nn.Linear(512 * 36, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Score images `x` (N, C, H, W) in [0, 1]: (N, 1), higher for images that look true."""
        out: Tensor = self.score(self.pool(self.blocks(x)))
        return out
