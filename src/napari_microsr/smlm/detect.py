"""From the planes of the emitter network to emitters: which pixels speak of the same one."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_microsr.smlm.windows import over_window

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
#: Which of a pixel's nine neighbours is itself.
_ITSELF = 4

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
    highest = over_window(torch.maximum, probability[None, None], 3, 0.0)[0, 0]
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
    """Return the planes (10, n) at peaks: mean and standard deviation of the mixture with their neighbours.

    Neighbours that point at the same emitter are further opinions on it: where these differ, the mean errs
    least, and the difference is a part of the error.
    """
    own = planes[:, row, column]
    at, inside = _around(row, column, probability.shape)
    values = planes.flatten(1)[:, at]
    values[1:3] += _steps(planes.device).flip(1).T[..., None]
    apart = torch.hypot(values[1] - own[1], values[2] - own[2])
    weight = torch.where(inside & (apart < SAME_PX), others.flatten()[at], 0.0)
    weight[_ITSELF] = probability[row, column]
    total = weight.sum(0)
    own[1:6] = (weight * values[1:6]).sum(1) / total
    square = (weight * (values[list(MEANS)] ** 2 + values[6:] ** 2)).sum(1)
    own[6:] = (square / total - own[list(MEANS)] ** 2).clamp(min=1e-8).sqrt()
    return own


def _second(probability: Tensor, planes: Tensor, peak: Tensor) -> Tensor:
    """Mark sure pixels that are no maximum and point away from every maximum beside them."""
    row, column = torch.nonzero((probability > SECOND) & ~peak, as_tuple=True)
    at, inside = _around(row, column, probability.shape)
    values = planes[1:3].flatten(1)[:, at] + _steps(planes.device).flip(1).T[..., None]
    apart = torch.hypot(*(values - planes[1:3, row, column][:, None]))
    close = inside & peak.flatten()[at] & (apart < APART_PX)
    away = ~close.any(0)
    result = torch.zeros_like(peak)
    result[row[away], column[away]] = True
    return result


def _around(row: Tensor, column: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return the flat indices (9, n) of pixels and their neighbours, and which of these lie in the frame."""
    steps = _steps(row.device)
    near_row, near_column = row + steps[:, :1], column + steps[:, 1:]
    height, width = shape
    inside = (near_row >= 0) & (near_row < height) & (near_column >= 0) & (near_column < width)
    return near_row.clamp(0, height - 1) * width + near_column.clamp(0, width - 1), inside


def _steps(device: torch.device) -> Tensor:
    """Return the steps (9, 2), y and x, from a pixel to itself and its neighbours."""
    one = torch.arange(-1, 2, device=device)
    return torch.cartesian_prod(one, one)


def _cross(plane: Tensor) -> Tensor:
    """Return the sum of the four neighbours of each pixel."""
    padded = functional.pad(plane, (1, 1, 1, 1))
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
