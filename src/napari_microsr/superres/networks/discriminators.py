"""Networks that tell magnified images from true ones, by the name of the generator they belong to.

Each maps images (N, C, H, W) in [0, 1] to scores (N, 1) without a sigmoid: losses that want one apply it. The
sources fix the patch at 96 px (mSRGAN) and 256 px (U-Net); here a mean over the last features, which is the
identity at that size, makes other sizes fit.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from napari_microsr.superres.networks.parts import conv
from napari_microsr.superres.networks.swift_srgan import SwiftDiscriminator
from napari_microsr.superres.networks.unet_generator import UNetDiscriminator


class SRGANDiscriminator(nn.Module):
    """mSRGAN's discriminator, without batch norm.

    Parameters
    ----------
    channels : int
        Channels of the image.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        widths = (channels, 64, 64, 128, 128, 256, 256, 512, 512)
        self.blocks = nn.Sequential()
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            self.blocks.extend([conv(inputs, outputs, stride=1 + i % 2), nn.LeakyReLU(0.2)])
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.score = nn.Sequential(
            nn.Flatten(), nn.Linear(512 * 36, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Score images `x` (N, C, H, W) in [0, 1]: (N, 1), higher for images that look true."""
        out: Tensor = self.score(self.pool(self.blocks(2 * x - 1)))
        return out


DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "srgan": SRGANDiscriminator,
    "unet": UNetDiscriminator,
    "swift": SwiftDiscriminator,
}
