"""Held-out images as samples: whole, or the fullest part of a large one."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.samples import Sample, make_sample, pair_sample
from napari_microsr.superres.sources import TrainingImage

#: Of larger pictures a part of `PART_PX` is taken.
LARGEST_PX = 2048
PART_PX = 1024
#: Places along each side, and pixels there, at which the fullest part is looked for.
PROBES, PROBE_PX = 5, 128


def watch(images: Sequence[TrainingImage], options: DataOptions) -> list[Sample]:
    """Return one sample per image; what is random in a degradation depends on the image's name only."""
    degradation = parse_degradation(options.degradation)
    samples = []
    for image in images:
        y, x = region(image)
        high = image.high.read(
            *(slice(part.start * image.factor, part.stop * image.factor) for part in (y, x))
        )
        if image.low is not None:
            samples.append(pair_sample(image.low.read(y, x), high, image.factor, image.name))
            continue
        rng = np.random.default_rng(crc32(image.name.encode()))
        samples.append(make_sample(high, degradation, options.factor, image.name, rng))
    return samples


def region(image: TrainingImage) -> tuple[slice, slice]:
    """Return rows and columns of the part to take, in pixels of `low`, or of `high` where there is no low."""
    height, width = (image.low or image.high).shape
    if image.places is not None and len(image.places):
        first, last = image.places.min(axis=0), image.places.max(axis=0) + image.place_px
        whole = slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))
    else:
        whole = slice(0, height), slice(0, width)
    largest, part = LARGEST_PX // image.factor, PART_PX // image.factor
    if all(side.stop - side.start <= largest for side in whole):
        return whole
    parts = [_starts(side, part) for side in whole]
    places = [(y, x) for y in parts[0] for x in parts[1]]
    y, x = max(places, key=lambda place: _content(image, place, part))
    return slice(y, min(y + part, whole[0].stop)), slice(x, min(x + part, whole[1].stop))


def _starts(side: slice, part: int) -> list[int]:
    room = max(0, side.stop - side.start - part)
    return sorted({side.start + round(room * n / (PROBES - 1)) for n in range(PROBES)})


def _content(image: TrainingImage, place: tuple[int, int], part: int) -> float:
    plane = image.low or image.high
    middle = [start + max(0, part - PROBE_PX) // 2 for start in place]
    y, x = (
        slice(min(start, size - 1), min(start + PROBE_PX, size))
        for start, size in zip(middle, plane.shape, strict=True)
    )
    return float(plane.read(y, x).std())
