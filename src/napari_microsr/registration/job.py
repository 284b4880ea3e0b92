"""Register fields onto an overview: what a user can ask for, and the function that does it."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_microsr.core.cluster import connect
from napari_microsr.core.image import ImageSource
from napari_microsr.core.job import Job
from napari_microsr.core.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from napari_microsr.registration.placement import FieldPlacement, Placements


class RegisterOptions(Job):
    """How to register: all settings but those that name the images."""

    task: ClassVar[str] = "register"

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
    cluster: str | None = None
    """Spread the fields over a dask cluster: tcp://HOST:PORT, a scheduler file, or local:N here."""


class RegisterJob(RegisterOptions):
    """Settings of a registration."""

    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "cluster"})
    after_cancel: ClassVar[str] = "the fields found so far are kept"

    overviews: list[str] = Field(min_length=1)
    """Images of the slide at low magnification: files, folders or patterns. Each field is tried on all."""
    fields: list[str] = Field(min_length=1)
    """Images taken at higher magnification: files, folders of them, or patterns such as fields/*.tif."""
    output: Path
    """File for the placements, NAME.json."""


def register(
    job: RegisterJob,
    *,
    overviews: Sequence[ImageSource] | None = None,
    fields: "Sequence[ImageSource | Path] | None" = None,
    progress: Progress | None = None,
    placed: "Callable[[FieldPlacement], None] | None" = None,
    previous: "Placements | None" = None,
    client: Any = None,
) -> "Placements":
    """Find where fields lie on the overviews of a slide, and write the placements to `job.output`.

    Parameters
    ----------
    job : RegisterJob
        What to do.
    overviews, fields : sequence of ImageSource, optional
        The images, if they are not the files of the job. Fields may be paths, too.
    progress : Progress, optional
        Told of each field; may cancel.
    placed : callable, optional
        Called in this thread with each field when it is searched, and again when other fields improve it.
    previous : Placements, optional
        An earlier result, such as the one that the output holds: its locked fields are kept as they are.
    client : distributed.Client, optional
        A dask cluster to use instead of `job.cluster`.

    Returns
    -------
    Placements
        One per field, in the order given. A field that cannot be opened or found has the status "not_found"
        and a reason.

    Raises
    ------
    MicroSRError
        If no overview or no field can be opened, or the output cannot be written.
    Cancelled
        If the progress asked to stop; what was found by then is written, the other fields as "not_found".
    """
    from napari_microsr.registration.session import Session

    progress = progress or SilentProgress()
    with contextlib.ExitStack() as stack:
        if client is None and job.cluster is not None:
            client = stack.enter_context(connect(job.cluster))
        return Session(job, overviews, fields, progress, placed, previous, client).run()
