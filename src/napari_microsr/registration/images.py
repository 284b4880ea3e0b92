"""The images that placements speak of: opened by path, or handed in."""

from collections.abc import Mapping
from dataclasses import replace

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.errors import InputError
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo

Images = Mapping[str, ImageSource]
"""Images by the name of their overview or field, for those that are not opened by their path."""


def image_of(entry: FieldPlacement | OverviewInfo, images: Images | None = None) -> ImageSource:
    """Return the image of an overview or field.

    Parameters
    ----------
    entry : FieldPlacement or OverviewInfo
        Which one.
    images : mapping, optional
        Images that are at hand already.

    Raises
    ------
    InputError
        If it is not at hand and no file, the file cannot be opened, or it has another size than when it was
        registered.
    """
    if images and entry.name in images:
        source = images[entry.name]
    elif entry.path is None:
        raise InputError(
            f"The image {entry.name} was registered from memory and is not here.",
            "Save it to a file and register that.",
        )
    else:
        source = open_image(entry.path)
    size = (source.height, source.width)
    if size != tuple(entry.shape_yx):
        height, width = entry.shape_yx
        raise InputError(
            f"{entry.path or entry.name} is {source.height} × {source.width} pixels now, but was"
            f" {height} × {width} when it was registered.",
            "Register it again.",
        )
    return source


def placed(source: ImageSource, yx_um: tuple[float, float], overview_um: float | None) -> ImageSource:
    """Return the image at the origin with a pixel size; without one a pixel is the unit."""
    unit = "um" if overview_um else "pixel"
    old = source.placement
    y, x = old.yx
    scale, units = list(old.scale), list(old.units)
    for axis, um in zip((y, x), yx_um, strict=True):
        scale[axis], units[axis] = um, unit
    shift = [0.0 if axis in (y, x) else t for axis, t in enumerate(old.translate)]
    return replace(source, placement=Placement(old.axis_labels, tuple(units), tuple(scale), tuple(shift)))
