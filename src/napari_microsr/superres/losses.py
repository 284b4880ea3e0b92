"""Pixel losses by name: (predicted, true) of shape (N, C, H, W) in [0, 1] -> a scalar."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def charbonnier(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the smooth absolute error sqrt(d^2 + 1e-6) (Lai et al., CVPR 2017)."""
    return torch.sqrt((predicted - true) ** 2 + 1e-6).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}
