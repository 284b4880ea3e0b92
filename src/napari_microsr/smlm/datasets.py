"""Frames made while the network trains: no two are the same, and the i-th is the same in every run."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_microsr.smlm.networks.dsir import FACTOR, enlarge
from napari_microsr.smlm.patches import Patch, TrainingRanges
from napari_microsr.smlm.simulate import Scene, simulate_frames

#: Of an emitter in the truth. With the source's 1 the noise of random weights outweighs the truth, and most
#: trainings end early in an image without any light.
BRIGHTNESS = 50.0


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


class DsirDataset(Dataset[tuple[Tensor, Tensor]]):
    """Enlarged frames and the fine pixels that hold an emitter: `dataset[i]` for any i >= 0.

    Parameters
    ----------
    scene : Scene
        What frames show.
    side : int
        Of a frame in camera pixels.
    seed : int
        Of everything.
    """

    def __init__(self, scene: Scene, side: int, seed: int) -> None:
        self.scene, self.side, self.seed = scene, side, seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return frame and truth, (1, 8 side, 8 side) float32 each."""
        rng = np.random.default_rng((self.seed, index))
        made = simulate_frames(rng, 1, (self.side, self.side), self.scene)
        frame = enlarge(torch.from_numpy(made.photons)[None])[0]
        truth = torch.zeros_like(frame)
        last = FACTOR * self.side - 1
        # The corner of the first camera pixel is at -0.5.
        row, column = (
            np.floor((v + 0.5) * FACTOR).astype(int).clip(0, last) for v in (made.truth.y, made.truth.x)
        )
        truth[0, row, column] = BRIGHTNESS
        return frame, truth
