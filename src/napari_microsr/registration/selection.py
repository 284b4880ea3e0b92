"""Which fields of which overview a result is made from."""

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, JobError
from napari_microsr.registration.geometry import parts
from napari_microsr.registration.images import placed
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


def chosen(placements: Placements, overview: OverviewInfo, uncertain: bool) -> list[FieldPlacement]:
    """Return the fields that lie on an overview, the coarsest first.

    Raises
    ------
    InputError
        If none does.
    """
    statuses = {"placed", "uncertain"} if uncertain else {"placed"}
    here = [f for f in placements.fields if f.overview == overview.name and f.matrix_yx is not None]
    fields = [field for field in here if field.status in statuses]
    if not fields:
        doubtful = f", {len(here)} of them uncertain" if here else ""
        raise InputError(
            f"None of the {len(placements.fields)} fields is placed on {overview.name}{doubtful}.",
            "Place fields first, or allow uncertain ones.",
        )
    return sorted(fields, key=lambda field: -scale_of(field))


def overview_of(placements: Placements, name: str | None) -> OverviewInfo:
    """Return the overview of a name, or the only one.

    Raises
    ------
    JobError
        If there is no such overview, or no name and several.
    """
    names = [overview.name for overview in placements.overviews]
    if name is None and len(names) > 1:
        raise JobError(f"There are {len(names)} overviews.", f"Choose one: {', '.join(names[:8])}.")
    for overview in placements.overviews:
        if name in (None, overview.name):
            return overview
    raise JobError(f"There is no overview {name!r}.", f"Choose one of: {', '.join(names[:8])}.")


def sized(overview: ImageSource, um: float | None) -> ImageSource:
    """Return the overview with the pixel size that the registration took, where its own is another."""
    own = overview.placement.pixel_size_um
    if um is None or (own is not None and np.allclose(own, um, rtol=1e-6)):
        return overview
    return placed(overview, (um, um), um)


def scale_of(field: FieldPlacement) -> float:
    """Return the side of a field pixel in pixels of the overview."""
    assert field.matrix_yx is not None
    return parts(field.matrix_yx).scale
