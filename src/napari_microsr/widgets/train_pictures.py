"""Layers that show a held-out image as the network sees and makes it, epoch after epoch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.core.epoch import Picture

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

#: Gap between the panels, and to the layers beside them, as a share of a panel's width.
_GAP = 0.04
#: Key in a layer's metadata that says it is one of these.
KEY = "training"


class PictureLayers:
    """Low, result and truth side by side, to the right of what the viewer shows.

    There are never more than three: a new epoch, another picture and another run take the place of the
    former. What the user removes stays away until the next run.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where they are added.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self._layers: dict[str, Image] = {}
        self._stale = True
        self._place: dict[str, Any] = {}

    @property
    def layers(self) -> "list[Image]":
        """Those that are in the viewer."""
        return [layer for layer in self._layers.values() if layer in self._viewer.layers]

    def begin(self) -> None:
        """Put the next picture in the place of what a former run showed."""
        self._stale = True

    def clear(self) -> None:
        """Remove them, also those of a former panel."""
        for layer in list(self._viewer.layers):
            if KEY in layer.metadata.get("microsr", {}):
                self._viewer.layers.remove(layer)
        self._layers, self._stale = {}, False

    def show(self, name: str, picture: Picture) -> None:
        """Show a picture of the training `name`."""
        if self._stale:
            self.clear()
        first = not self._layers
        if first:
            alone = not len(self._viewer.layers)
            self._place = self._beside()
        scale, corner = np.asarray(self._place["scale"]), np.asarray(self._place["translate"])
        for number, (panel, pixels) in enumerate(picture.panels.items()):
            step = number * pixels.shape[1] * (1 + _GAP)
            place = corner + (0, step) * scale
            if first:
                self._layers[panel] = self._add(f"{name} {panel}", pixels, place, picture.name)
                continue
            layer = self._layers[panel]
            if layer in self._viewer.layers:
                layer.data = pixels
                layer.translate = place
                layer.metadata["microsr"][KEY] = picture.name
        if first and alone:
            self._viewer.reset_view()

    def look(self) -> None:
        """Bring them into view."""
        if self.layers:
            self._viewer.fit_to_view(layers=self.layers, margin=0.05)

    def _add(self, name: str, pixels: Any, place: Any, sample: str) -> "Image":
        grey = {} if pixels.ndim == 3 else {"contrast_limits": (0, 255)}
        return self._viewer.add_image(
            pixels,
            name=name,
            rgb=pixels.ndim == 3,
            metadata={"microsr": {KEY: sample}},
            **{**self._place, "translate": place},
            **grey,
        )

    def _beside(self) -> dict[str, Any]:
        """Return scale, place and units right of all layers, in the pixels and units of the first."""
        if not len(self._viewer.layers):
            return {"scale": (1.0, 1.0), "translate": (0.0, 0.0)}
        model = self._viewer.layers[0]
        (top, _), (_, right) = (corner[-2:] for corner in self._viewer.layers.extent.world)
        scale = np.abs(np.asarray(model.scale, float)[-2:])
        gap = _GAP * (right - self._viewer.layers.extent.world[0][-1])
        return {"scale": scale, "translate": (top, right + gap), "units": model.units[-2:]}
