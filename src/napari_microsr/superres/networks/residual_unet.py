"""PlacentaSR's network: a U-Net that predicts what a blurred image lacks, at the same size.

Re-implemented from the description in A. Rabbani and M. Babaei, arXiv 2208.00163 (2022), and from
the shapes of the published code.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

LEVELS = (16, 32, 64, 128)
BOTTLENECK = 256


def encode_residual(low: Tensor, high: Tensor) -> Tensor:
    """Return the residual as the source stores it: clip(127 + 2*(low - high), 0, 255) / 255.

    `low`, `high` and the result are in [0, 1]. Differences beyond about a quarter of the range
    are clipped.
    """
    return ((127 + 2 * 255 * (low - high)) / 255).clamp(0, 1)


def decode_residual(low: Tensor, encoded: Tensor) -> Tensor:
    """Return the restored image: the inverse of `encode_residual` where that did not clip."""
    return low - (encoded * 255 - 127) / (2 * 255)


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ELU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ELU(inplace=True),
    )


class ResidualUNet(nn.Module):
    """Same-size restoration; height and width are multiples of 16.

    Parameters
    ----------
    channels : int
        Channels of the image.
    head : {"linear", "sigmoid"}
        What follows the last 1x1 convolution. "sigmoid" is the published network, whose output is
        the encoded residual in [0, 1]; "linear" predicts the missing detail in image units.
    """

    factor = 1

    def __init__(self, channels: int = 3, head: str = "linear") -> None:
        super().__init__()
        self.sigmoid = head == "sigmoid"
        widths = (channels, *LEVELS)
        self.down = nn.ModuleList(_double_conv(a, b) for a, b in pairwise(widths))
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = nn.Sequential(nn.Conv2d(LEVELS[-1], BOTTLENECK, 3, padding=1), nn.ELU(inplace=True))
        rising = (BOTTLENECK, *reversed(LEVELS))
        pairs = list(pairwise(rising))
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(_double_conv(2 * b, b) for _, b in pairs)
        self.tail = nn.Conv2d(LEVELS[0], channels, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Initialise as the source does: he_normal before an ELU, Glorot elsewhere."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                if isinstance(module, nn.Conv2d) and module is not self.tail:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if not self.sigmoid:
            # A linear head starts at "nothing is missing".
            nn.init.zeros_(self.tail.weight)

    def _features(self, x: Tensor) -> Tensor:
        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for rise, level, skip in zip(self.raise_, self.up, reversed(skips), strict=True):
            x = level(torch.cat([rise(x), skip], dim=1))
        out: Tensor = self.tail(x)
        return out

    def residual(self, x: Tensor) -> Tensor:
        """Return the predicted residual low - high in image units, of the shape of `x`."""
        out = self._features(x - 0.5).float()
        if self.sigmoid:
            return (out.sigmoid() * 255 - 127) / (2 * 255)
        return -out

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` (N, C, H, W), H and W multiples of 16, to the same shape."""
        return x - self.residual(x)
