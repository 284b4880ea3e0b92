"""Register fields onto an overview: what a user can ask for, and the function that does it."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from napari_microsr.core.job import Job


class RegisterJob(Job):
    """Settings of a registration."""

    task: ClassVar[str] = "register"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output"})

    overviews: list[str]
    """Images of the whole slide at low magnification. Each field is tried on every one."""
    fields: list[str]
    """Images taken at higher magnification: files, or folders of them."""
    output: Path
    """File for the placements, NAME.json."""
    overview_um: float | None = Field(default=None, gt=0)
    """Pixel size of the overviews in µm; empty takes the file's own, or works without."""
    field_um: float | None = Field(default=None, gt=0)
    """Pixel size of the fields in µm; empty takes each file's own, or guesses the magnification."""
    transform: Literal["similarity", "affine", "quadratic"] = "similarity"
    """similarity: shift, turn, scale. affine adds shear, quadratic the smooth distortion of two devices."""
    contrast: Literal["auto", "absorption", "fluorescence"] = "auto"
    """What carries the information: absorption (stained tissue, bright field) or emitted light."""
    max_rotation_deg: float = Field(default=180.0, ge=0, le=180)
    """Largest angle between field and overview; 180 searches all."""
    max_scale_error: float = Field(default=0.15, ge=0, le=0.4)
    """How far the true ratio of pixel sizes may lie from the nominal one, as a share of it."""
    joint: bool = True
    """Solve all fields together: chains over middle magnifications, overlaps, and one angle per objective."""
