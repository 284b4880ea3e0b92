"""What lies in the square window around each pixel of frames."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional


def over_window(join: Callable[[Tensor, Tensor], Tensor], x: Tensor, side: int, edge: float) -> Tensor:
    """Join the pixels of the window around each pixel, for example to their largest.

    In passes of one line each, of shifted views: on a CPU torch's own pooling takes several times as long.

    Parameters
    ----------
    join : callable
        Of two tensors, elementwise, such as torch.maximum; in any order it must give the same.
    x : Tensor
        (N, C, H, W).
    side : int
        Of the window, odd.
    edge : float
        What is joined beyond the edge.

    Returns
    -------
    Tensor
        (N, C, H, W).
    """
    half, (height, width) = side // 2, x.shape[2:]
    x = functional.pad(x, (0, 0, half, half), value=edge)
    x = reduce(join, [x[:, :, step : step + height] for step in range(side)])
    x = functional.pad(x, (half, half), value=edge)
    return reduce(join, [x[..., step : step + width] for step in range(side)])


def window_mean(x: Tensor, side: int) -> Tensor:
    """Return the mean of the window of odd side around each pixel of (N, C, H, W); the edge ends it."""
    inside = torch.ones_like(x[:1, :1])
    return over_window(torch.add, x, side, 0.0) / over_window(torch.add, inside, side, 0.0)
