"""The settings that say where training images come from and how low-resolution ones are made of them."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from napari_microsr.core.job import Job


class DataOptions(Job):
    """Settings of the images of a training. Lengths in pixels are those of the network's input."""

    execution_fields: ClassVar[frozenset[str]] = frozenset({"data", "report"})

    data: Path
    """Folder of sharp images: 8-bit RGB, or one channel of any type."""
    exclude: tuple[str, ...] = ()
    """File-name prefixes (slides) to leave out."""
    hold_out: tuple[str, ...] = Field(min_length=1)
    """File-name prefixes (slides) that are not trained on but watched."""
    degradation: str = "bicubic"
    """How low-resolution images are made from sharp ones."""
    factor: int = Field(default=2, ge=2)
    """Of the degradation."""
    smallest_scale: float = Field(default=1.0, gt=0, le=1)
    """Patches are also taken from images shrunk by a random factor down to this one."""
    patch_px: int = Field(default=48, ge=16)
    """Side of a patch."""
    report: Path | None = None
    """Folder of images of slides that were not trained on, for the card's figures; else the held-out ones."""
    report_slides: tuple[str, ...] = ()
    """File-name prefixes (slides) to report one by one."""
    report_sample: bool = False
    """Also report on the shipped slide (histology only; leave it out of the training images)."""
