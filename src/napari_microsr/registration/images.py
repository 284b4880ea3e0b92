"""The images that placements speak of: opened by path, or handed in."""

from collections.abc import Mapping

from napari_microsr.core.image import ImageSource, open_image
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
