"""Random training patches, degraded on the fly, from folders of sharp images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from napari_microsr.core.image import open_image
from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.background import noise_level, shows_something
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.degrade import DEGRADATIONS, Pixels, resize
from napari_microsr.superres.samples import Sample, make_sample, to_units, unit_range

SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"}
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
    """Read an image as (H, W, 3) of 8 bits, or as (H, W) of any type for one channel.

    A grey picture that was saved as RGB is one channel.

    Raises
    ------
    InputError
        If the file cannot be decoded, or has other channels.
    """
    if path.suffix.lower() == ".bmp":
        return _fitting(_read_bitmap(path), channels, path)
    source = open_image(path)
    if source.n_planes > 1:
        raise InputError(
            f"The image {path} has {source.n_planes} planes.", "Save each channel or slice as an image."
        )
    block = source.read(0, slice(0, source.height), slice(0, source.width))
    return _fitting(block.transpose(1, 2, 0) if source.rgb else block[0], channels, path)


def _read_bitmap(path: Path) -> Pixels:
    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"The image {path} cannot be read ({error}).", "Remove or replace it.") from error


def _fitting(image: Pixels, channels: int, path: Path) -> Pixels:
    """Return an image with the network's channels."""
    if channels == 3:
        if image.ndim == 3 and image.dtype == np.uint8:
            return image
        kind = f"an RGB image of {image.dtype}" if image.ndim == 3 else "a single channel"
        raise InputError(
            f"The image {path} is {kind}, and the network is for 8-bit RGB.",
            "Convert or remove it, or give the network the argument channels: 1.",
        )
    if image.ndim == 2:
        return image
    if (image == image[..., :1]).all():
        return np.ascontiguousarray(image[..., 0])
    raise InputError(
        f"The image {path} is in colour, and the network is for one channel.",
        "Save its channels as single images, or give the network the argument channels: 3.",
    )


def to_tensor(image: NDArray[Any]) -> Tensor:
    """Turn (H, W[, C]) into (C, H, W) float32; 8 bits become [0, 1]."""
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(planes)).float()
    return tensor.div_(255) if image.dtype == np.uint8 else tensor


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (low, high) cut at random; the pair `index` is the same in every run of one seed.

    Images are decoded once and kept in memory in their own type. A patch is degraded with a margin that is
    cut off afterwards, so that it equals the patch of a whole degraded image.

    Parameters
    ----------
    images : sequence of ndarray
        Sharp images: (H, W, 3) of 8 bits, or (H, W) of any type.
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
        self.ranges = [unit_range(image) for image in self.images]
        self.noises = [
            noise_level(image, one - zero) if image.ndim == 2 else 0.0
            for image, (zero, one) in zip(self.images, self.ranges, strict=True)
        ]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the pair `index`: float32 (C, h, w) and (C, H, W) in network units."""
        rng = np.random.default_rng((self.seed, index))
        chosen, high = self._draw(rng)
        for _ in range(TRIES):
            if shows_something(high, self.noises[chosen]):
                break
            chosen, high = self._draw(rng)
        high = np.rot90(high, int(rng.integers(4)))
        high = np.ascontiguousarray(high[:, ::-1] if rng.random() < 0.5 else high)
        low = self.degradation.apply(high, self.factor)
        rim, low_rim = self.margin, self.margin // self.shrink
        patches = low[low_rim:-low_rim, low_rim:-low_rim], high[rim:-rim, rim:-rim]
        low_units, high_units = (to_tensor(to_units(patch, *self.ranges[chosen])) for patch in patches)
        return low_units, high_units

    def _draw(self, rng: np.random.Generator) -> tuple[int, Pixels]:
        """Cut a square of `side` pixels, shrunk to it from a larger one where scaled; of which image."""
        chosen = int(rng.choice(len(self.images), p=self.weights))
        image = self.images[chosen]
        cut = self.side
        if self.smallest_scale < 1 and rng.random() < 0.5:
            scale = rng.uniform(self.smallest_scale, 1)
            cut = min(round(self.side / scale), *image.shape[:2])
        y = rng.integers(image.shape[0] - cut + 1)
        x = rng.integers(image.shape[1] - cut + 1)
        square: Pixels = image[y : y + cut, x : x + cut]
        if cut == self.side:
            return chosen, square
        return chosen, resize(square, (self.side,) * 2, Image.Resampling.BICUBIC)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a training sees.

    Attributes
    ----------
    pairs : Dataset
        `pairs[i]`, i >= 0, the same in every run: (low, high), float32 (C, h, w) and (C, H, W) in network
        units.
    watched : list of Sample
        Whole held-out images.
    degradation : str
        Sentence for the card.
    summary : str
        Sentence on what was found.
    """

    pairs: PatchDataset
    watched: list[Sample]
    degradation: str
    summary: str


def open_training_data(options: DataOptions, channels: int, seed: int) -> TrainingData:
    """Find and read the images of a training.

    Parameters
    ----------
    options : DataOptions
        Where they are and how they are degraded.
    channels : int
        3 for RGB, 1 for one channel.
    seed : int
        Of the patches.

    Raises
    ------
    JobError
        If a name in the options is not known.
    InputError
        If there are no images, or they do not suit.
    """
    if options.degradation not in DEGRADATIONS:
        raise JobError(
            f"There is no degradation named {options.degradation!r}.",
            f"Known are {', '.join(DEGRADATIONS)}.",
        )
    held_out = list_images(options.data, options.hold_out, options.exclude)
    watched = [
        make_sample(read_image(path, channels), options.degradation, options.factor, path.name, path.stem)
        for path in held_out
    ]
    trained_on = list_images(options.data, exclude=[*options.exclude, *options.hold_out])
    pairs = PatchDataset(
        [read_image(path, channels) for path in trained_on],
        options.degradation,
        options.factor,
        options.patch_px,
        options.smallest_scale,
        seed,
    )
    return TrainingData(
        pairs,
        watched,
        f"x{options.factor} {DEGRADATIONS[options.degradation].summary}",
        f"{len(trained_on)} images to train on, {len(watched)} held out.",
    )
