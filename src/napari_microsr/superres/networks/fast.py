"""A small residual network on top of bicubic magnification."""

from torch import Tensor, nn

from napari_microsr.superres.networks.bicubic import Bicubic


class ResidualBlock(nn.Module):
    """x + conv(PReLU(conv(x))), 3x3, without batch norm (EDSR: Lim et al., CVPRW 2017)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.PReLU(features),
            nn.Conv2d(features, features, 3, padding=1),
        )
        # A small branch at the start keeps a stack without batch norm stable at a high rate.
        nn.init.kaiming_normal_(self.body[2].weight, nonlinearity="linear")
        self.body[2].weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features, H, W) to the same shape."""
        out: Tensor = x + self.body(x)
        return out


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
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, factor*H, factor*W)."""
        residual = self.shuffle(self.tail(self.body(self.head(x - 0.5))))
        magnified: Tensor = self.bicubic(x) + residual.float()
        return magnified
