"""MedImageRefine's networks: a small U-Net that sharpens a digitally magnified image, and its discriminator.

Re-implemented from the shapes of the published code and weights (github.com/pretam591/SRGAN_MajorProject),
first version.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (8, 16, 32, 64, 128)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class UNetGenerator(nn.Module):
    """Same-size sharpening; height and width are multiples of 16.

    The full-size level has no skip connection, as in the source. The output ends in (tanh + 1)/2, so it
    stays within [0, 1].

    Parameters
    ----------
    channels : int
        Channels of the image.
    """

    factor = 1

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise((channels, *WIDTHS)))
        self.pool = nn.MaxPool2d(2)
        # Without aligned corners: aligned ones would make a pixel depend on its place in the image.
        self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        rising = list(pairwise(reversed(WIDTHS)))
        self.up = nn.ModuleList(_block(a, b) for a, b in rising)
        self.squeeze = nn.ModuleList(_block(2 * b, b) for _, b in rising[:-1])
        self.tail = nn.Conv2d(WIDTHS[0], channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Sharpen `x` (N, C, H, W), H and W multiples of 16, to the same shape."""
        out = self.down[0](2 * x - 1)
        skips = []
        for level in self.down[1:]:
            out = level(self.pool(out))
            skips.append(out)
        skips.pop()
        for rise, squeeze in zip(self.up, self.squeeze, strict=False):
            out = squeeze(torch.cat([rise(self.enlarge(out)), skips.pop()], dim=1))
        out = self.tail(self.up[-1](self.enlarge(out))).float()
        return (torch.tanh(out) + 1) / 2


class UNetDiscriminator(nn.Module):
    """The U-Net's discriminator.

    The source averages the 16x16 features of a 256 px patch; here those of any patch of 16 px or more.

    Parameters
    ----------
    channels : int
        Channels of the image.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for inputs, outputs in pairwise((channels, *WIDTHS)):
            self.blocks.extend([_block(inputs, outputs), nn.MaxPool2d(2)])
        self.blocks.pop(-1)
        # No activation between the two, as in the source.
        self.score = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 64), nn.Linear(64, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Score images `x` (N, C, H, W) in [0, 1], 16 px or more: (N, 1), higher for those that look true."""
        out: Tensor = self.score(self.blocks(2 * x - 1))
        return out
