"""Random training patches, degraded on the fly or cut from pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from napari_microsr.errors import InputError
from napari_microsr.superres.augment import Augmentation
from napari_microsr.superres.background import shows_something
from napari_microsr.superres.degradation import Degradation
from napari_microsr.superres.degrade import Pixels, resize
from napari_microsr.superres.networks.conditioned import with_planes
from napari_microsr.superres.samples import to_units
from napari_microsr.superres.sources import TrainingImage

#: How many places are tried before an empty patch is taken after all.
TRIES = 8


def to_tensor(image: NDArray[Any]) -> Tensor:
    """Turn (H, W[, C]) into (C, H, W) float32; 8 bits become [0, 1]."""
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(planes)).float()
    return tensor.div_(255) if image.dtype == np.uint8 else tensor


@dataclass(frozen=True)
class Sampling:
    """How patches are cut and changed.

    Attributes
    ----------
    patch_px : int
        Side of the low-resolution patch.
    degradation : Degradation
        What makes it of a sharp one.
    factor : int
        Of the degradation.
    smallest_scale : float
        A sharp patch is shrunk by a random factor in [smallest_scale, 1] (half of them by 1): sharper images
        at more magnifications than were scanned.
    augmentation : Augmentation
        What else is varied.
    condition : bool
        Append the planes of blur and noise to the low patch.
    """

    patch_px: int
    degradation: Degradation
    factor: int
    smallest_scale: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    condition: bool = False


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (low, high) cut at random; the pair `index` is the same in every run of one seed.

    A patch is degraded with a margin that is cut off afterwards, so that it equals the patch of a whole
    degraded image.

    Parameters
    ----------
    images : sequence of TrainingImage
        All sharp, or all pairs.
    sampling : Sampling
        How patches are made.
    seed : int
        Of all that is random.

    Raises
    ------
    InputError
        If no image is as large as a patch with its margin.
    """

    def __init__(self, images: Sequence[TrainingImage], sampling: Sampling, seed: int = 0) -> None:
        self.sampling, self.seed = sampling, seed
        factor, degradation = sampling.factor, sampling.degradation
        if images[0].low is not None:
            self.shrink, self.margin, self.side = images[0].factor, 0, sampling.patch_px * images[0].factor
        else:
            self.shrink, period = degradation.shrink(factor), degradation.period_px(factor)
            self.margin = _up(degradation.reach_px(factor), period)
            self.side = _up(sampling.patch_px * self.shrink + 2 * self.margin, period)
        self.images = [image for image in images if self._room(image)]
        if not self.images:
            raise InputError(
                f"No training image is at least {self.side} pixels wide and high.",
                f"Use larger images or a smaller patch_px (now {sampling.patch_px}).",
            )
        areas = np.array([self._area(image) for image in self.images], dtype=float)
        self.weights: NDArray[np.float64] = areas / areas.sum()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the pair `index`: float32 (C, h, w), with two planes more if conditioned, and (C, H, W)."""
        rng = np.random.default_rng((self.seed, index))
        image, parts = self._draw(rng)
        for _ in range(TRIES):
            if shows_something(parts[-1], image.high.noise):
                break
            image, parts = self._draw(rng)
        augmentation, high = self.sampling.augmentation, image.high
        parts = augmentation.turned(parts, rng)
        parts = augmentation.coloured(parts, high.zero, high.one, rng)
        blur_px, noise = 0.0, 0.0
        if image.low is None:
            degraded = self.sampling.degradation.degrade(
                parts[0], self.sampling.factor, rng, high.zero, high.one
            )
            blur_px, noise = degraded.blur_px, degraded.noise
            parts = self._inside(degraded.low, parts[0])
        zero, one = augmentation.rescaled(*_units_of(image), rng)
        low, sharp = (to_tensor(to_units(part, zero, one)) for part in parts)
        # The planes are in the network's units, too.
        noise *= (high.one - high.zero) / (one - zero)
        return with_planes(low, blur_px, noise) if self.sampling.condition else low, sharp

    def _room(self, image: TrainingImage) -> bool:
        if image.places is not None and self.sampling.patch_px > image.place_px:
            raise InputError(
                f"The pairs list patches of {image.place_px} pixels, less than patch_px.",
                f"Set patch_px to {image.place_px}, or export the pairs with larger patches.",
            )
        return min(image.high.shape) >= self.side

    def _area(self, image: TrainingImage) -> int:
        height, width = image.high.shape
        return height * width if image.places is None else len(image.places) * (image.place_px**2)

    def _draw(self, rng: np.random.Generator) -> tuple[TrainingImage, list[Pixels]]:
        """Cut a square of a sharp image, or the squares (low, high) of a pair."""
        image = self.images[int(rng.choice(len(self.images), p=self.weights))]
        if image.low is not None:
            y, x = self._place(image, rng)
            n, f = self.sampling.patch_px, image.factor
            low = image.low.read(slice(y, y + n), slice(x, x + n))
            return image, [low, image.high.read(slice(y * f, (y + n) * f), slice(x * f, (x + n) * f))]
        cut = self.side
        if self.sampling.smallest_scale < 1 and rng.random() < 0.5:
            scale = rng.uniform(self.sampling.smallest_scale, 1)
            cut = min(round(self.side / scale), *image.high.shape)
        y = int(rng.integers(image.high.shape[0] - cut + 1))
        x = int(rng.integers(image.high.shape[1] - cut + 1))
        square = image.high.read(slice(y, y + cut), slice(x, x + cut))
        if cut != self.side:
            square = resize(square, (self.side,) * 2, Image.Resampling.BICUBIC)
        return image, [square]

    def _place(self, image: TrainingImage, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a place of a patch in the low image of a pair."""
        assert image.low is not None
        n = self.sampling.patch_px
        if image.places is None:
            height, width = image.low.shape
            return int(rng.integers(height - n + 1)), int(rng.integers(width - n + 1))
        y, x = image.places[int(rng.integers(len(image.places)))]
        room = image.place_px - n + 1
        return int(y + rng.integers(room)), int(x + rng.integers(room))

    def _inside(self, low: Pixels, high: Pixels) -> list[Pixels]:
        """Cut the margin off."""
        n, first, shrink = self.sampling.patch_px, self.margin // self.shrink, self.shrink
        inside = slice(first, first + n)
        wide = slice(self.margin, self.margin + n * shrink)
        return [low[inside, inside], high[wide, wide]]


def _units_of(image: TrainingImage) -> tuple[float, float]:
    plane = image.low or image.high
    return plane.zero, plane.one


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
