"""Random training patches, degraded on the fly, from folders of sharp images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from napari_microsr.errors import InputError
from napari_microsr.superres.degrade import DEGRADATIONS, Pixels

SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"}
#: Standard deviation in grey levels below which a patch counts as empty background.
BACKGROUND_STD = 6.0
#: How many places are tried before an empty patch is taken after all.
TRIES = 8


def list_images(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Path]:
    """Return the images of a folder whose names begin with one of `include` and none of `exclude`.

    A split by slide is a split by file-name prefix. An empty `include` takes all.

    Raises
    ------
    InputError
        If nothing is left.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    kept = [
        p
        for p in paths
        if (not include or p.name.startswith(tuple(include))) and not p.name.startswith(tuple(exclude))
    ]
    if not kept:
        raise InputError(
            f"No training image is left in {folder} ({len(paths)} before the selection by name).",
            "Point 'data' to a folder of PNG, WebP, TIFF or JPEG images.",
        )
    return kept


def read_image(path: Path, channels: int = 3) -> Pixels:
    """Read an 8-bit image as (H, W, 3), or as (H, W) for one channel.

    Raises
    ------
    InputError
        If the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB" if channels == 3 else "L"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"The image {path} cannot be read ({error}).", "Remove or replace it.") from error


def to_tensor(image: Pixels) -> Tensor:
    """Turn (H, W[, C]) uint8 into (C, H, W) float32 in [0, 1]."""
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes)).float().div_(255)


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (low, high) cut at random; the pair `index` is the same in every run of one seed.

    Images are decoded once and kept in memory as uint8. A patch is degraded with a margin that is
    cut off afterwards, so that it equals the patch of a whole degraded image.

    Parameters
    ----------
    images : sequence of ndarray
        Sharp 8-bit images (H, W[, C]).
    degradation : str
        Name in `degrade.DEGRADATIONS`.
    factor : int
        Of the degradation.
    patch_px : int
        Side of the low-resolution patch.
    smallest_scale : float
        A patch is shrunk by a random factor in [smallest_scale, 1] (half of them by 1): sharper
        images at more magnifications than were scanned.
    seed : int
        Of place, scale, flip and rotation.
    """

    def __init__(
        self,
        images: Sequence[Pixels],
        degradation: str,
        factor: int,
        patch_px: int,
        smallest_scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.degradation = DEGRADATIONS[degradation]
        self.factor = factor
        self.shrink = self.degradation.shrink(factor)
        self.margin = 4 * factor
        self.side = patch_px * self.shrink + 2 * self.margin
        self.smallest_scale = smallest_scale
        self.seed = seed
        self.images = [image for image in images if min(image.shape[:2]) >= self.side]
        if not self.images:
            raise InputError(
                f"No training image is at least {self.side} pixels wide and high.",
                "Use larger images or a smaller patch_px.",
            )
        areas = np.array([image.shape[0] * image.shape[1] for image in self.images], dtype=float)
        self.weights: NDArray[np.float64] = areas / areas.sum()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the pair `index`: float32 (C, h, w) and (C, H, W) in [0, 1]."""
        rng = np.random.default_rng((self.seed, index))
        high = self._draw(rng)
        for _ in range(TRIES):
            if high.std(axis=(0, 1)).max() >= BACKGROUND_STD:
                break
            high = self._draw(rng)
        high = np.rot90(high, int(rng.integers(4)))
        high = np.ascontiguousarray(high[:, ::-1] if rng.random() < 0.5 else high)
        low = self.degradation.apply(high, self.factor)
        rim, low_rim = self.margin, self.margin // self.shrink
        return to_tensor(low[low_rim:-low_rim, low_rim:-low_rim]), to_tensor(high[rim:-rim, rim:-rim])

    def _draw(self, rng: np.random.Generator) -> Pixels:
        """Cut a square of `side` pixels, shrunk to it from a larger one where scaled."""
        image = self.images[rng.choice(len(self.images), p=self.weights)]
        cut = self.side
        if self.smallest_scale < 1 and rng.random() < 0.5:
            scale = rng.uniform(self.smallest_scale, 1)
            cut = min(round(self.side / scale), *image.shape[:2])
        y = rng.integers(image.shape[0] - cut + 1)
        x = rng.integers(image.shape[1] - cut + 1)
        square: Pixels = image[y : y + cut, x : x + cut]
        if cut == self.side:
            return square
        resized = Image.fromarray(square).resize((self.side,) * 2, Image.Resampling.BICUBIC)
        return np.asarray(resized)
