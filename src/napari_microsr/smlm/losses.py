"""What localisation networks are trained on: the likelihood of the true emitters, or a blurred image."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Only pixels this near an emitter's own can have reported it.
NEAR_PX = 2
BACKGROUND_WEIGHT = 0.1


def emitter_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood per emitter of counts and positions, plus the background's error.

    The count of a frame is normal about the sum of its probabilities; each emitter is drawn from the
    mixture of all pixels' normal distributions (Speiser et al., Nature Methods 2021), of which only the 5x5
    pixels around it are summed: the others have no weight there.

    Parameters
    ----------
    predicted : Tensor
        (N, 10, H, W), see `networks.emitters.Emitters2d`.
    target : Tensor
        (N, 2, rows, 5): first the emitters in rows of `patches.TARGET_COLUMNS`, the rest zero; then, in the
        first column, the logarithm of the background of blocks of 4x4 pixels in their order.
    """
    # Differences of logarithms need more digits than bfloat16 has.
    with torch.autocast(predicted.device.type, enabled=False):
        predicted, target = predicted.float(), target.float()
        emitters = target[:, 0]
        present = emitters[..., 0]
        count = _count(predicted[:, 0], present.sum(1))
        positions = (_mixture(predicted, emitters) * present).sum(1)
        background = _background(predicted[:, 5], target[:, 1, :, 0])
        per_emitter = (count + positions).sum() / present.sum().clamp(min=1)
        return BACKGROUND_WEIGHT * background - per_emitter


def _count(logit: Tensor, number: Tensor) -> Tensor:
    probability = torch.sigmoid(logit).flatten(1)
    mean = probability.sum(1)
    variance = (probability * (1 - probability)).sum(1) + 1e-2
    return -0.5 * ((number - mean) ** 2 / variance + torch.log(2 * math.pi * variance))


def _mixture(predicted: Tensor, emitters: Tensor) -> Tensor:
    """Return log sum_k p_k/sum(p) N(emitter; k) over the pixels k around each emitter, (N, emitters)."""
    n, _, height, width = predicted.shape
    at, inside, row, column = _near(emitters, height, width)
    # (N, planes, emitters, 25)
    near = predicted.flatten(2).gather(2, at.flatten(1)[:, None].expand(-1, predicted.shape[1], -1))
    near = near.view(n, predicted.shape[1], *at.shape[1:])
    share = (
        functional.logsigmoid(near[:, 0])
        - torch.log(torch.sigmoid(predicted[:, 0]).sum((1, 2)))[:, None, None]
    )
    errors = torch.stack(
        [
            emitters[..., 1:2] - column - near[:, 1],
            emitters[..., 2:3] - row - near[:, 2],
            emitters[..., 3:4] - near[:, 3],
            emitters[..., 4:5] - near[:, 4],
        ],
        1,
    )
    spread = near[:, 6:]
    log_normal = -0.5 * ((errors / spread) ** 2 + math.log(2 * math.pi)) - torch.log(spread)
    log_density = share + log_normal.sum(1)
    return torch.logsumexp(log_density.masked_fill(~inside, -1e4), -1)


def _near(emitters: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    step = torch.arange(-NEAR_PX, NEAR_PX + 1, device=emitters.device)
    row = emitters[..., 2].round().long()[..., None] + step.repeat_interleave(len(step))
    column = emitters[..., 1].round().long()[..., None] + step.repeat(len(step))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    at = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return at, inside, row, column


def _background(log_background: Tensor, true: Tensor) -> Tensor:
    coarse = functional.avg_pool2d(log_background[:, None], 4).flatten(1)
    return functional.smooth_l1_loss(coarse, true[:, : coarse.shape[1]], beta=0.1)


class BlurredSquares(nn.Module):
    """DSIR's loss: the squared difference of image and truth, both blurred by one Gaussian.

    The kernel is 5x5 with 1 in its centre and is not normalised.

    Parameters
    ----------
    fwhm_px : float
        Full width of the Gaussian at half its height, in fine pixels: 3, then 1 for the fine-tuning.
    """

    kernel: Tensor

    def __init__(self, fwhm_px: float = 3.0) -> None:
        super().__init__()
        at = torch.arange(-2.0, 3.0)
        square = at[:, None] ** 2 + at**2
        self.register_buffer("kernel", torch.exp(-4 * math.log(2) * square / fwhm_px**2)[None, None])

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean over (N, 1, H, W) of (g * predicted - g * target) squared."""
        blurred = functional.conv2d(predicted - target, self.kernel, padding=2)
        return (blurred**2).mean()
