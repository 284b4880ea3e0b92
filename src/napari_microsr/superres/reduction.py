"""How a result is brought back to the grid of its input, so that the two can be compared."""

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from napari_microsr.core.weights import ModelCard
from napari_microsr.superres.networks.bicubic import Bicubic, cubic
from napari_microsr.superres.suitability import TAKEN

#: A Gaussian is cut off at so many standard deviations.
_GAUSS_REACH = 4.0
#: Input pixels on each side that the antialiased cubic kernel, or the cubic magnification, looks at.
_CUBIC_REACH = 2


@dataclass(frozen=True)
class Reduction:
    """The linear part of a degradation: blur, reduce and, for a restored image, enlarge again.

    Attributes
    ----------
    kind : {"bicubic", "area"}
        Antialiased cubic kernel (a = -0.5, widened by the factor, as Pillow's), or the mean of each block.
    factor : int
        Of the reduction.
    same_grid : bool
        Whether the reduced image is enlarged back by bicubic interpolation.
    blur_px : float
        Standard deviation of a Gaussian blur before the reduction, in pixels of the reduced image.
    """

    kind: Literal["bicubic", "area"]
    factor: int
    same_grid: bool = False
    blur_px: float = 0.0

    @property
    def grid_px(self) -> int:
        """Reduced images agree only if they begin on this grid of input pixels."""
        return self.factor if self.same_grid else 1

    @property
    def reach_px(self) -> int:
        """Input pixels around a region whose result is needed to reduce it."""
        return (self._reach + _CUBIC_REACH) * self.factor if self.same_grid else self._reach

    @property
    def _reach(self) -> int:
        """Reduced pixels on each side that the kernel covers."""
        return _CUBIC_REACH * (self.kind == "bicubic") + math.ceil(_GAUSS_REACH * self.blur_px)

    def __str__(self) -> str:
        text = f"{self.kind} reduction x{self.factor}"
        if self.blur_px:
            text = f"blur of {self.blur_px:.2g} px, {text}"
        return f"{text} and magnification back" if self.same_grid else text

    def __call__(self, fine: Tensor) -> Tensor:
        """Reduce a part of a result.

        Parameters
        ----------
        fine : torch.Tensor, shape (N, C, f * (H + 2 r), f * (W + 2 r))
            With r = `reach_px`; f is the factor, or 1 on the same grid.

        Returns
        -------
        torch.Tensor, shape (N, C, H, W)
            float32.
        """
        n, c, h, w = fine.shape
        taps = self._taps().to(fine.device)
        planes = fine.reshape(n * c, 1, h, w).float()
        rows = functional.conv2d(planes, taps.view(1, 1, -1, 1), stride=(self.factor, 1))
        low = functional.conv2d(rows, taps.view(1, 1, 1, -1), stride=(1, self.factor))
        if self.same_grid:
            rim = _CUBIC_REACH * self.factor
            low = Bicubic(factor=self.factor).to(low.device)(low)[..., rim:-rim, rim:-rim]
        return low.reshape(n, c, *low.shape[-2:])

    def _taps(self) -> Tensor:
        """Weights of the result's pixels from `_reach` reduced pixels before one to as many after it."""
        factor, reach = self.factor, self._reach
        place = torch.arange(factor * (2 * reach + 1), dtype=torch.float64) - factor * reach
        distance = place - (factor - 1) / 2
        taps = cubic(distance / factor) if self.kind == "bicubic" else (distance.abs() < factor / 2).double()
        if self.blur_px:
            sigma = self.blur_px * factor
            offset = torch.arange(-len(taps), len(taps) + 1, dtype=torch.float64)
            gauss = torch.exp(-0.5 * (offset / sigma) ** 2)
            taps = functional.conv1d(taps.view(1, 1, -1), gauss.view(1, 1, -1), padding=len(taps)).flatten()
        return (taps / taps.sum()).float()


def reduction_of(card: ModelCard, blur_px: float = 0.0) -> Reduction | None:
    """Return the reduction that a model undoes, as its card tells.

    A card without a degradation, such as that of bicubic magnification, is taken to undo a bicubic one.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    blur_px : float
        Blur of the input that a conditioned model was told.

    Returns
    -------
    Reduction or None
        None for a restoring model whose card does not tell what it undoes, and for a model of pairs that
        were taken: the blur between two microscopes' images is not in the card.
    """
    text = card.degradation or ""
    if TAKEN in text:
        return None
    binned = "mean over blocks" in text and "bicubic" not in text
    kind: Literal["bicubic", "area"] = "area" if binned else "bicubic"
    if card.factor == 1:
        factor = re.search(r"\bx(\d+)\b", text)
        return Reduction(kind, int(factor[1]), same_grid=True) if factor else None
    if not card.conditioned:
        # In pixels of the sharp image; of a range the middle.
        blur = re.search(r"blur of ([\d.]+)(?:-([\d.]+))? px", text)
        blur_px = (float(blur[1]) + float(blur[2] or blur[1])) / 2 / card.factor if blur else 0.0
    return Reduction(kind, card.factor, blur_px=blur_px)
