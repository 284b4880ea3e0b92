"""A small residual network on top of bicubic magnification."""

import copy
from typing import Self

from torch import Tensor, nn

from napari_microsr.superres.networks.bicubic import Bicubic


class ResidualBlock(nn.Module):
    """x + conv(PReLU(conv(x))), 3x3, without batch norm (EDSR: Lim et al., CVPRW 2017)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        last = nn.Conv2d(features, features, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features), last)
        # A small branch at the start keeps a stack without batch norm stable at a high rate.
        nn.init.kaiming_normal_(last.weight, nonlinearity="linear")
        last.weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features, H, W) to the same shape, less what unpadded convolutions take off."""
        change: Tensor = self.body(x)
        return _inside(x, change) + change


class FastResidual(nn.Module):
    """Bicubic magnification plus a residual from a few full-resolution 3x3 blocks.

    Parameters
    ----------
    channels : int
        Channels of the image.
    features : int
        Channels inside.
    blocks : int
        Residual blocks.
    factor : int
        Magnification, done by one pixel shuffle at the end.
    """

    def __init__(self, channels: int = 3, features: int = 32, blocks: int = 4, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.bicubic = Bicubic(channels, factor)
        self.head = nn.Conv2d(channels, features, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(features) for _ in range(blocks)])
        self.tail = nn.Conv2d(features, channels * factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)
        # Training starts at bicubic magnification.
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, factor*H, factor*W)."""
        return self._add_residual(x, x - 0.5)

    def _add_residual(self, image: Tensor, planes: Tensor) -> Tensor:
        """Magnify `image` and add the residual that the network finds in `planes`."""
        residual = self.shuffle(self.tail(self.body(self.head(planes))))
        magnified: Tensor = _inside(self.bicubic(image), residual) + residual.float()
        return magnified

    def without_padding(self) -> Self:
        """Return a copy whose convolutions add no zeros around the image.

        It gives the inside of what the network gives, without the pixels that zeros beyond the edge have
        reached, and does not compute those: each layer of a tile's window is smaller than the one before.
        """
        network = copy.deepcopy(self)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.padding = (0, 0)
        return network


def _inside(large: Tensor, small: Tensor) -> Tensor:
    """Crop `large` about its centre to the height and width of `small`."""
    y, x = (large.shape[2] - small.shape[2]) // 2, (large.shape[3] - small.shape[3]) // 2
    return large[..., y : y + small.shape[2], x : x + small.shape[3]]
