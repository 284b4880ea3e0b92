"""A network that finds emitters in single frames, whatever their brightness, background and PSF."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.smlm.windows import over_window, window_mean

#: Planes of the output, in this order.
PLANES = ("probability", "dx", "dy", "photons", "sigma", "background", "s_x", "s_y", "s_photons", "s_sigma")
#: A position may lie this far (pixels) from the centre of the pixel that reports it.
REACH_PX = 1.25
#: Side of the window in which the background is sought; odd.
WINDOW_PX = 15
_SMALLEST = 1e-3


class Block(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), 3x3, without normalisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        nn.init.kaiming_normal_(self.second.weight, nonlinearity="linear")
        # A small branch at the start keeps the stack stable at a high rate.
        self.second.weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features, H, W) to the same shape."""
        change: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + change


class Emitters2d(nn.Module):
    """Per pixel: the probability of an emitter, where in the pixel it is, its photons, width and background.

    The frame comes in photons whose variance is their mean (those of an EM camera halved) and is divided by
    the noise of its own local background before the first convolution; so one network serves frames of any
    background. The layout of outputs follows DECODE (Speiser et al., Nature Methods 2021).

    Parameters
    ----------
    features : int
        Channels at full resolution; twice as many at half resolution.
    blocks : tuple of int
        Residual blocks at full resolution, at half resolution, and at full resolution again.
    threshold : float
        Probability above which an emitter counts, found on frames that were not trained on.
    error_scale : float
        By what the standard deviations are multiplied to be honest there.
    """

    def __init__(
        self,
        features: int = 32,
        blocks: Sequence[int] = (2, 2, 3),
        threshold: float = 0.5,
        error_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.threshold, self.error_scale = threshold, error_scale
        first, middle, last = blocks
        self.head = nn.Conv2d(6, features, 3, padding=1)
        self.fine = nn.Sequential(*[Block(features) for _ in range(first)])
        self.down = nn.Conv2d(features, 2 * features, 2, stride=2)
        self.coarse = nn.Sequential(*[Block(2 * features) for _ in range(middle)])
        self.up = nn.Conv2d(2 * features, features, 1)
        self.join = nn.Conv2d(2 * features, features, 1)
        self.rest = nn.Sequential(*[Block(features) for _ in range(last)], nn.SiLU())
        self.tail = nn.Conv2d(features, len(PLANES), 1)
        nn.init.normal_(self.tail.weight, std=0.01)
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)
        # Emitters are rare.
        self.tail.bias.data[0] = -3.0

    def forward(self, x: Tensor) -> Tensor:
        """Map frames to the planes of `PLANES`.

        Parameters
        ----------
        x : Tensor
            (N, 3, H, W), H and W even: photons, variance of the read noise, logarithm of the PSF's sigma in
            pixels.

        Returns
        -------
        Tensor
            (N, 10, H, W) float32: logit of the probability; dx and dy in pixels from the pixel's centre; the
            natural logarithms of photons, of sigma in pixels and of background in photons per pixel; the
            standard deviations of dx, dy, log photons and log sigma.
        """
        x = x.float()
        background = local_background(x[:, :1])
        start = self.fine(self.head(_features(x, background)))
        coarse = self.up(self.coarse(self.down(start)))
        coarse = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        features = self.rest(self.join(torch.cat([start, coarse], 1)))
        # In 16 bits the position would have steps of a hundredth of a pixel.
        with torch.autocast(x.device.type, enabled=False):
            # One plane after the other in memory: each is treated in its own way.
            planes = self.tail(features.float()).contiguous()
            return _physical(planes, x, background, self.error_scale)


def local_background(photons: Tensor) -> Tensor:
    """Return a smooth lower envelope of frames (N, 1, H, W): a scale for the input, not a measurement."""
    darkest = over_window(torch.minimum, window_mean(photons, 3), WINDOW_PX, torch.inf)
    return window_mean(darkest, WINDOW_PX).clamp(min=0)


def _features(x: Tensor, background: Tensor) -> Tensor:
    photons, read_variance, log_sigma = x[:, :1], x[:, 1:2], x[:, 2:3]
    variance = background + read_variance + 1.0
    noise = variance.sqrt()
    signal = photons - background
    total = (photons + read_variance).clamp(min=0)
    return torch.cat(
        [
            # The same signal at three scales: to find faint spots, in units of the noise, and their shape.
            torch.asinh(signal / noise) / 2,
            (torch.sqrt(total + 0.375) - torch.sqrt(background + read_variance + 0.375)) / 5,
            signal / (window_mean(signal.clamp(min=0), 5) + noise) / 3,
            torch.log(variance) / 2 - 1.5,
            torch.log(background + 0.5) / 2 - 1.5,
            3 * log_sigma,
        ],
        1,
    )


def _physical(raw: Tensor, x: Tensor, background: Tensor, error_scale: float) -> Tensor:
    log_sigma = x[:, 2:3]
    # A spot as bright as the noise of the pixels below it.
    faint = torch.log(4 * torch.pi * (background + x[:, 1:2] + 1.0)) / 2 + log_sigma
    return torch.cat(
        [
            raw[:, :1],
            REACH_PX * torch.tanh(raw[:, 1:3]),
            raw[:, 3:4] + faint + 2.0,
            0.5 * raw[:, 4:5] + log_sigma,
            raw[:, 5:6] + torch.log(background + 0.5),
            error_scale * (functional.softplus(raw[:, 6:] - 1.0) + _SMALLEST),
        ],
        1,
    )
