"""Bicubic magnification, the baseline of every network and the skip of most."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, as Pillow and MATLAB use it.

    R. G. Keys, IEEE Trans. ASSP 29 (1981) 1153, eq. 15.
    """
    x = distance.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


class Bicubic(nn.Module):
    """Bicubic magnification by a whole number, edges replicated.

    Inside (two pixels from the edges) it equals `PIL.Image.resize(..., BICUBIC)`.

    Parameters
    ----------
    channels : int, optional
        Any number of channels where None; the argument is there so that cards of all networks
        look the same.
    factor : int
        Magnification.
    """

    kernel: Tensor

    def __init__(self, channels: int | None = None, factor: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.factor = factor
        # The fine pixel `phase` of a coarse one has its centre `offset` coarse pixels from it.
        offset = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
        taps = cubic(offset[:, None] - torch.arange(-2, 3, dtype=torch.float64))
        kernel = torch.einsum("ai,bj->abij", taps, taps).reshape(factor**2, 1, 5, 5)
        self.register_buffer("kernel", kernel.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify `x` (N, C, H, W) to (N, C, factor*H, factor*W)."""
        n, c, h, w = x.shape
        # The channels go to the batch axis: one small dense convolution for any number of them.
        # Always in float32: bfloat16 would round an 8-bit image to whole grey levels.
        with torch.autocast(x.device.type, enabled=False):
            planes = x.reshape(n * c, 1, h, w).float()
            planes = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
            fine = functional.pixel_shuffle(functional.conv2d(planes, self.kernel), self.factor)
        return fine.reshape(n, c, h * self.factor, w * self.factor)
