"""The settings that say where training images come from and how low-resolution ones are made of them."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from napari_microsr.core.job import Job


class DataOptions(Job):
    """Settings of the images of a training. Lengths in pixels are those of the network's input."""

    execution_fields: ClassVar[frozenset[str]] = frozenset({"data", "report"})

    data: Path | None = None
    """Folder of sharp images (8-bit RGB, or one channel of any type), an image or OME-Zarr store, exported
    pairs (`pairs.json`), a folder with the folders `low` and `high`, or an HDF5 file of pairs."""
    exclude: tuple[str, ...] = ()
    """Beginnings of the names of images (slides) to leave out."""
    hold_out: tuple[str, ...] = ()
    """Beginnings of the names of images (slides) that are not trained on but watched; empty holds out a share
    of the groups."""
    hold_out_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the groups that is held out where `hold_out` is empty; the seed chooses."""
    group_pattern: str = ""
    """What in a name tells the slide, well or field: a regular expression, its first group if it has one;
    empty takes the name up to the first underscore."""
    degradation: str = "bicubic"
    """How low-resolution images are made from sharp ones: steps such as `blur(0.3..1.2) > bicubic >
    noise(0..4)`; of no effect on pairs."""
    factor: int = Field(default=2, ge=2)
    """Of the degradation."""
    condition: bool = False
    """Append planes with the blur and noise of the degradation to the input, for a conditioned network."""
    smallest_scale: float = Field(default=1.0, gt=0, le=1)
    """Patches are also taken from images shrunk by a random factor down to this one; not of pairs."""
    patch_px: int = Field(default=48, ge=16)
    """Side of a patch."""
    turn: bool = True
    """Turn patches by quarters and mirror them."""
    stain_jitter: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of the amounts of haematoxylin, eosin and DAB in RGB patches."""
    gamma_jitter: float = Field(default=0.0, ge=0, le=2)
    """Largest change of the logarithm of a gamma applied to patches."""
    gain_jitter: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of the range of intensities of patches, and of its place."""
    report: Path | None = None
    """Images of slides that were not trained on, for the card's figures, of any kind that `data` may be; else
    the held-out ones."""
    report_slides: tuple[str, ...] = ()
    """Beginnings of names (slides) to report one by one."""
    report_sample: bool = False
    """Also report on the shipped slide (histology only; leave it out of the training images)."""
