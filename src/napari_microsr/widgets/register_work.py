"""What the widget Register computes in the worker thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.placement import PIXEL
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.inputs import find_files
from napari_microsr.registration.job import RegisterOptions
from napari_microsr.registration.placement import FieldPlacement

if TYPE_CHECKING:
    from napari_microsr.registration.place import Overview

How = Literal["refine", "score"]


def layer_arguments(image: ImageSource) -> dict[str, Any]:
    """Return the arguments of `add_image` that show the first plane of a file, read into memory."""
    pixels = image.read(0, slice(0, image.height), slice(0, image.width))
    y, x = image.placement.yx
    place = image.placement
    lengths = place.pixel_size_um is not None
    return {
        "data": np.ascontiguousarray(pixels.transpose(1, 2, 0)) if image.rgb else pixels[0],
        "rgb": image.rgb,
        "scale": (place.scale[y], place.scale[x]) if lengths else (1.0, 1.0),
        "units": (place.units[y], place.units[x]) if lengths else (PIXEL, PIXEL),
        "axis_labels": ("y", "x"),
        "metadata": {"microsr": {"file": str(image.path)}},
    }


def shown_file(path: str | None) -> dict[str, Any] | None:
    """Return `layer_arguments` of a file, None where there is no file."""
    return None if path is None else layer_arguments(open_image(Path(path)))


def unseen_files(folder: Path | None, shown: Sequence[str | None]) -> list[Path]:
    """Return the files of a folder or pattern without those that layers show."""
    if folder is None:
        return []
    there = {Path(path).absolute() for path in shown if path}
    return [path for path in find_files([str(folder)]) if path not in there]


@dataclass(frozen=True)
class Correction:
    """What is to be done with a field that a person has moved.

    Attributes
    ----------
    field, overview : ImageSource
        The images, under the names that the placements give them.
    matrix_yx : array of shape (3, 3)
        Where the field lies now.
    how : {"refine", "score"}
        Let the method improve it, or leave it and say how good it is.
    """

    field: ImageSource
    overview: ImageSource
    matrix_yx: Matrix
    how: How


class Corrector:
    """Scores and refines placements; overviews that are prepared stay so for the next correction."""

    def __init__(self) -> None:
        # By name, with what they were made of.
        self._prepared: dict[str, tuple[tuple[Any, ...], Overview]] = {}

    def __call__(
        self, task: Correction, former: FieldPlacement, job: RegisterOptions, check: Callable[[], None]
    ) -> FieldPlacement:
        """Return the corrected placement.

        Parameters
        ----------
        task : Correction
            What to do.
        former : FieldPlacement
            What the field is called, and where it comes from.
        job : RegisterOptions
            Settings of the form.
        check : callable
            Raises if the user asked to stop.
        """
        from napari_microsr.registration.place import Field, Search, refine_from, score_at

        overview = self._overview(task.overview, job, check)
        check()
        field = Field.prepare(task.field, pixel_um(task.field, job.field_um), job.contrast)
        settings = Search(job.transform, job.max_rotation_deg, job.max_scale_error)
        found = None
        if task.how == "refine":
            found = refine_from(field, overview, task.matrix_yx, settings)
        if found is None or found.matrix_yx is None:
            # Nothing better is near: the person's place stays, with its score.
            found = score_at(field, overview, task.matrix_yx, settings)
        return replace(found, name=former.name, path=former.path, overview=task.overview.name, manual=True)

    def _overview(self, source: ImageSource, job: RegisterOptions, check: Callable[[], None]) -> "Overview":
        from napari_microsr.registration.place import Overview

        um = pixel_um(source, job.overview_um)
        made_of = (id(source.array), um, job.contrast)
        former = self._prepared.get(source.name)
        if former is None or former[0] != made_of:
            self._prepared[source.name] = (made_of, Overview.prepare(source, um, job.contrast, check))
        return self._prepared[source.name][1]


def pixel_um(image: ImageSource, given: float | None) -> float | None:
    """Return the size of an image's pixels: as given, or as the image says."""
    sizes = image.placement.pixel_size_um
    return given or (None if sizes is None else float(np.sqrt(sizes[0] * sizes[1])))
