"""Frames made while the network trains: no two are the same, and the i-th is the same in every run."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_microsr.smlm.patches import Patch, TrainingRanges


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Patches for `losses.emitter_loss`: `dataset[i]` for any i >= 0.

    Parameters
    ----------
    ranges : TrainingRanges
        What is drawn.
    patch_px : int
        Side; a multiple of 4.
    most_emitters : int
        Rows of a target; no patch has more.
    seed : int
        Of everything.
    """

    def __init__(
        self, ranges: TrainingRanges, patch_px: int = 32, most_emitters: int = 160, seed: int = 0
    ) -> None:
        self.ranges = ranges
        self.patch_px = patch_px
        self.most_emitters = max(most_emitters, (patch_px // 4) ** 2)
        self.seed = seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return input (3, H, W) and target (2, rows, 5), float32."""
        rng = np.random.default_rng((self.seed, index))
        patch = Patch(rng, self.ranges, self.patch_px)
        return torch.from_numpy(patch.frame()), torch.from_numpy(patch.target(self.most_emitters))
