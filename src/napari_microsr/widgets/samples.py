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
