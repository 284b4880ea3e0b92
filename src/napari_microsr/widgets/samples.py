"""The sample data that the plugin offers in napari's File menu."""

from typing import Any

from napari_microsr.core.image import open_image
from napari_microsr.core.samples import SLIDE


def slide() -> list[tuple[Any, dict[str, Any], str]]:
    """Return the shipped H&E slide region as layer data: RGB, with its pixel size in µm."""
    image = open_image(SLIDE)
    place = image.placement
    arguments = {
        "name": "H&E skin 20x",
        "rgb": True,
        "scale": place.scale,
        "units": place.units,
        "axis_labels": place.axis_labels,
        # So that a run on the layer can be repeated by command.
        "metadata": {"microsr": {"file": str(SLIDE)}},
    }
    return [(image.array[:], arguments, "image")]


def slide_with_fields() -> list[tuple[Any, dict[str, Any], str]]:
    """Return an overview at 4x and ten fields at 10x and 40x, simulated from the shipped slide.

    As a microscope leaves them, all begin at the same corner, and two of the fields are not on the overview.
    """
    from napari_microsr.registration.sample import sample

    overview, fields = sample()
    images = [("overview 4x", overview.image, overview.um), *((f.name, f.image, f.um) for f in fields)]
    place = {"units": ("um", "um"), "axis_labels": ("y", "x"), "rgb": True}
    return [(image, {"name": name, "scale": (um, um), **place}, "image") for name, image, um in images]
