"""What a training sees: random patches and whole held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from napari_microsr.errors import InputError
from napari_microsr.superres.augment import Augmentation
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.images import Given, open_images
from napari_microsr.superres.patches import PatchDataset, Sampling
from napari_microsr.superres.samples import Sample
from napari_microsr.superres.sources import TrainingImage
from napari_microsr.superres.split import split
from napari_microsr.superres.suitability import TAKEN
from napari_microsr.superres.watched import watch


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
    options : DataOptions
        Where it comes from.
    channels : int
        3 or 1.
    factor : int
        Magnification: pixels of a high patch per pixel of the low one, 1 on the same grid.
    degradation : str
        Sentence for the card.
    summary : str
        Sentence on what was found.
    """

    pairs: PatchDataset
    watched: list[Sample]
    options: DataOptions
    channels: int
    factor: int
    degradation: str
    summary: str

    @cached_property
    def reported(self) -> dict[str, list[Sample]]:
        """Samples of the card's figures: "all", then each slide of `report_slides`."""
        samples = self.watched
        if self.options.report is not None:
            samples = watch(open_images(self.options.report, self.channels), self.options)
        groups = {"all": samples}
        for slide in self.options.report_slides:
            groups[slide] = [sample for sample in samples if sample.name.startswith(slide)]
        return {name: group for name, group in groups.items() if group}


def open_training_data(
    options: DataOptions, channels: int, seed: int, given: Given | None = None
) -> TrainingData:
    """Find the images of a training and split them.

    Parameters
    ----------
    options : DataOptions
        Where they are, how they are split and degraded.
    channels : int
        3 for RGB, 1 for one channel.
    seed : int
        Of the patches, and of the groups that are held out by chance.
    given : mapping, optional
        Images from Python in the place of `options.data`: arrays or ImageSource by name, sharp ones or pairs
        (low, high).

    Raises
    ------
    JobError
        If an option is wrong.
    InputError
        If there are no images, or they do not suit.
    """
    sampling = Sampling(
        options.patch_px,
        parse_degradation(options.degradation),
        options.factor,
        options.smallest_scale,
        Augmentation(options.turn, options.stain_jitter, options.gamma_jitter, options.gain_jitter),
        options.condition,
    )
    found = open_images(options.data, channels, given)
    images = [image for image in found if not image.high.constant]
    if not images:
        raise InputError(
            f"All {len(found)} training images are constant: there is nothing to learn.",
            "Check that they are the images that you meant.",
        )
    _check_pairs(images, options)
    trained_on, held_out = split(images, options, seed)
    pairs = PatchDataset(trained_on, sampling, seed)
    taken = images[0].low is not None
    notes = [f"{len(pairs.images)} images to train on, {len(held_out)} held out"]
    if left := len(trained_on) - len(pairs.images):
        notes.append(f"{left} smaller than a patch")
    if left := len(found) - len(images):
        notes.append(f"{left} constant")
    return TrainingData(
        pairs,
        watch(held_out, options),
        options,
        channels,
        pairs.shrink,
        f"x{pairs.shrink} {TAKEN}" if taken else sampling.degradation.describe(options.factor),
        ", ".join(notes) + ".",
    )


def _check_pairs(images: Sequence[TrainingImage], options: DataOptions) -> None:
    kinds: Mapping[Any, TrainingImage] = {
        (image.low is None, image.factor): image for image in reversed(images)
    }
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise InputError(
            f"The pairs {first.name} and {second.name} are of factors {first.factor} and {second.factor}.",
            "Train on pairs of one factor.",
        )
    if images[0].low is None:
        return
    if options.condition:
        raise InputError(
            "Blur and noise of pairs that were taken are not known.",
            "Set condition to false, or degrade images.",
        )
    if images[0].factor not in (1, options.factor):
        raise InputError(
            f"The pairs are of factor {images[0].factor}, and the job's is {options.factor}.",
            f"Set factor to {images[0].factor}, also in the network's arguments.",
        )
