"""From the planes of the emitter network to emitters: which pixels speak of the same one."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

#: Pixels below are not looked at: with their neighbours they do not reach any useful threshold.
LOWEST = 0.1
#: A pixel beside a more probable one is an emitter of its own only above this.
SECOND = 0.6
#: ... and only if it points this far (pixels) from what the other points at.
APART_PX = 0.75
#: Neighbours that point so near (pixels) speak of the same emitter.
SAME_PX = 0.5
#: The planes whose standard deviations the last four planes are: dx, dy, photons, sigma.
MEANS = (1, 2, 3, 4)

Floats = NDArray[np.float32]


class Emitters(NamedTuple):
    """Emitters of one frame in the network's units, each an array of shape (n,).

    Attributes
    ----------
    row, column : numpy.ndarray of int
        Pixel that reports it.
    values : numpy.ndarray of float32, shape (10, n)
        The planes there, the first now the probability summed over pixels that speak of the same emitter.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    values: Floats

    def select(self, which: NDArray[np.bool_]) -> "Emitters":
        """Return some of them."""
        return Emitters(self.row[which], self.column[which], self.values[:, which])


def find_emitters(planes: Tensor, threshold: float) -> Emitters:
    """Collect the emitters of one frame.

    As in DECODE (Speiser et al., Nature Methods 2021), a local maximum of the probability takes over that
    of its four neighbours, and a neighbour that is sure by itself stays as a second emitter; here only where
    it also points elsewhere.

    Parameters
    ----------
    planes : Tensor
        (10, H, W), see `networks.emitters.Emitters2d`.
    threshold : float
        Smallest summed probability.
    """
    probability = torch.sigmoid(planes[0])
    highest = functional.max_pool2d(probability[None], 3, 1, 1)[0]
    peak = (probability == highest) & (probability > LOWEST)
    second = _second(probability, planes, peak)
    chosen = peak | second
    others = torch.where(chosen, 0.0, probability)
    total = probability + _cross(others)
    row, column = torch.nonzero(chosen & (total > threshold), as_tuple=True)
    values = _pooled(planes, probability, others, row, column)
    values[0] = total[row, column].clamp(max=1.0)
    return Emitters(row.cpu().numpy(), column.cpu().numpy(), values.cpu().numpy())


def _pooled(planes: Tensor, probability: Tensor, others: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the planes at peaks, as mean and standard deviation of the mixture of them and their neighbours.

    Neighbours that point at the same emitter are further opinions on it: where these differ, the mean errs
    least, and the difference is a part of the error.
    """
    own = planes[:, row, column]
    height, width = probability.shape
    total = torch.zeros_like(own[0])
    mean, square = torch.zeros_like(own[1:6]), torch.zeros_like(own[6:])
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            near_row, near_column = row + step_y, column + step_x
            inside = (near_row >= 0) & (near_row < height) & (near_column >= 0) & (near_column < width)
            near_row, near_column = near_row.clamp(0, height - 1), near_column.clamp(0, width - 1)
            values = planes[:, near_row, near_column].clone()
            values[1] += step_x
            values[2] += step_y
            if step_x or step_y:
                apart = torch.hypot(values[1] - own[1], values[2] - own[2])
                weight = torch.where(inside & (apart < SAME_PX), others[near_row, near_column], 0.0)
            else:
                weight = probability[row, column]
            total = total + weight
            mean = mean + weight * values[1:6]
            square = square + weight * (values[list(MEANS)] ** 2 + values[6:] ** 2)
    mean = mean / total
    centre = mean[[m - 1 for m in MEANS]]
    own[1:6] = mean
    own[6:] = (square / total - centre**2).clamp(min=1e-8).sqrt()
    return own


def _second(probability: Tensor, planes: Tensor, peak: Tensor) -> Tensor:
    """Mark sure pixels that are no maximum and point away from every maximum beside them."""
    sure = (probability > SECOND) & ~peak
    row, column = torch.nonzero(sure, as_tuple=True)
    result = torch.zeros_like(sure)
    if not len(row):
        return result
    x, y = column + planes[1, row, column], row + planes[2, row, column]
    apart = torch.ones(len(row), dtype=torch.bool, device=planes.device)
    height, width = probability.shape
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            near_row, near_column = row + step_y, column + step_x
            inside = (near_row >= 0) & (near_row < height) & (near_column >= 0) & (near_column < width)
            near_row, near_column = near_row.clamp(0, height - 1), near_column.clamp(0, width - 1)
            other_x = near_column + planes[1, near_row, near_column]
            other_y = near_row + planes[2, near_row, near_column]
            close = torch.hypot(other_x - x, other_y - y) < APART_PX
            apart &= ~(close & inside & peak[near_row, near_column])
    result[row[apart], column[apart]] = True
    return result


def _cross(plane: Tensor) -> Tensor:
    """Return the sum of the four neighbours of each pixel."""
    padded = functional.pad(plane, (1, 1, 1, 1))
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
