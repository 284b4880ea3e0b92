"""The task that makes training images: stains merged to RGB, images cut, reduced, written as pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from napari_microsr.core.job import Job
from napari_microsr.core.output import check_free, writing
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.superres.degrade import Pixels, as_type, resize


class PrepareJob(Job):
    """Settings of a preparation of training images."""

    task: ClassVar[str] = "prepare"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"data", "output"})

    data: Path
    """Folder of images: RGB, or one stain per file."""
    output: Path
    """Folder of PNG images to write, or NAME.h5 for pairs as PlacentaSR's (X low, Y residual, Y0 high)."""
    stains: tuple[str, ...] = ()
    """Ends of the names (before the suffix) of the stains that become red, green and blue, such as `_red`,
    `_green`, `_blue`; other files are dropped. Empty takes the images as they are."""
    side_px: int | None = Field(default=None, ge=8)
    """Squeeze each image to a square of this side by bicubic interpolation."""
    tile_px: int | None = Field(default=None, ge=16)
    """Cut the images into squares of this side; what is left at the ends is dropped. Pairs need it, or images
    of one size."""
    degradation: str = "bicubic-down-up"
    """What makes the low images of pairs; see the same setting of a training."""
    factor: int = Field(default=4, ge=2)
    """Of the degradation."""

    @model_validator(mode="after")
    def _check_stains(self) -> Self:
        if len(self.stains) not in (0, 3) or len(set(self.stains)) != len(self.stains):
            raise ValueError("stains must be three different ends of names, for red, green and blue")
        return self


def prepare(job: PrepareJob, progress: Progress) -> Path:
    """Prepare training images and return the folder or file that was written.

    Raises
    ------
    MicroSRError
        If an image is missing or unsuitable, or the output cannot be written.
    Cancelled
        If the progress asked to stop; nothing is left.
    """
    import os
    import shutil

    from napari_microsr.superres.hdf5 import write_hdf5

    check_free(job.output, restart=None)
    images = _tiles(job, progress)
    partial = job.output.with_name(f".{job.output.name}.{os.getpid()}.partial")
    try:
        with writing(job.output):
            job.output.parent.mkdir(parents=True, exist_ok=True)
            if job.output.suffix in (".h5", ".hdf5"):
                write_hdf5(partial, _pairs(job, images))
            else:
                _write_pictures(partial, images)
            partial.rename(job.output)
    finally:
        shutil.rmtree(partial, ignore_errors=True) if partial.is_dir() else partial.unlink(missing_ok=True)
    return job.output


def merge_stains(stains: list[Pixels]) -> Pixels:
    """Merge three single channels (H, W) to 8-bit RGB.

    8 bits stay as they are; other types are scaled by their own 0.1 and 99.9 % quantiles.

    Raises
    ------
    InputError
        If they differ in size.
    """
    from napari_microsr.superres.samples import to_units, unit_range

    shapes = {stain.shape for stain in stains}
    if len(shapes) > 1:
        sizes = ", ".join(f"{height} x {width}" for height, width in sorted(shapes))
        raise InputError(f"The stains of an image differ in size ({sizes}).", "Export them alike.")
    levels = [
        s if s.dtype == np.uint8 else as_type(255 * to_units(s, *unit_range(s)), np.dtype(np.uint8))
        for s in stains
    ]
    return np.stack(levels, axis=-1)


def _images(job: PrepareJob, progress: Progress) -> Iterator[tuple[str, Pixels]]:
    from napari_microsr.superres.images import open_images
    from napari_microsr.superres.sources import list_files, open_file

    if not job.stains:
        images = open_images(job.data, 3)
        for n, image in enumerate(images):
            progress.advance("images", n, len(images))
            yield Path(image.name).stem, image.high.read_whole()
        return
    files = {path.stem: path for path in list_files(job.data)}
    first = job.stains[0]
    fields = [stem.removesuffix(first) for stem in files if stem.endswith(first)]
    if not fields:
        raise InputError(f"No image in {job.data} ends in {first!r}.", "Correct 'stains'.")
    for n, field in enumerate(fields):
        progress.advance("images", n, len(fields))
        missing = [field + end for end in job.stains if field + end not in files]
        if missing:
            raise InputError(
                f"The stain {missing[0]} is missing in {job.data}.", "Add it, or remove the others."
            )
        planes = [open_file(files[field + end], 1)[0].high.read_whole() for end in job.stains]
        yield field, merge_stains(planes)


def _tiles(job: PrepareJob, progress: Progress) -> Iterator[tuple[str, Pixels]]:
    from PIL import Image

    count = 0
    for name, image in _images(job, progress):
        if job.side_px is not None:
            image = resize(image, (job.side_px,) * 2, Image.Resampling.BICUBIC)
        if job.tile_px is None:
            count += 1
            yield name, image
            continue
        side = job.tile_px
        for y in range(0, image.shape[0] - side + 1, side):
            for x in range(0, image.shape[1] - side + 1, side):
                count += 1
                yield f"{name}_y{y:05d}_x{x:05d}", image[y : y + side, x : x + side]
    if not count:
        raise InputError(f"No image is as large as a tile of {job.tile_px} pixels.", "Choose a smaller tile.")


def _pairs(job: PrepareJob, images: Iterator[tuple[str, Pixels]]) -> Iterator[tuple[str, Pixels, Pixels]]:
    from zlib import crc32

    from napari_microsr.superres.degradation import parse_degradation

    degradation = parse_degradation(job.degradation)
    for name, high in images:
        rng = np.random.default_rng(crc32(name.encode()))
        yield name, degradation.degrade(high, job.factor, rng).low, high


def _write_pictures(folder: Path, images: Iterator[tuple[str, Pixels]]) -> None:
    from PIL import Image

    folder.mkdir()
    for name, image in images:
        Image.fromarray(image).save(folder / f"{name}.png")
