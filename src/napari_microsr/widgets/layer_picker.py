"""Choose a layer of the viewer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox

from napari_microsr.widgets.form import tooltip

if TYPE_CHECKING:
    from napari.layers import Image


class LayerPicker(QComboBox):
    """Offers image layers; its own choice stays as long as it is there.

    Parameters
    ----------
    text : str
        Its tooltip.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setObjectName("layer")
        self.setToolTip(tooltip(text))
        # Names can be long; the panel stays as narrow as the user makes it.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)

    @property
    def layer(self) -> "Image | None":
        """The chosen layer."""
        layer: Image | None = self.currentData()
        return layer

    def offer(self, images: "Sequence[Image]", active: object) -> bool:
        """Offer these layers, and return whether the choice is another one.

        Without a former choice it is the active layer, and else the last one.
        """
        chosen = self.layer
        self.blockSignals(True)
        self.clear()
        for layer in images:
            self.addItem(layer.name, layer)
        wanted = chosen if chosen in images else active
        if images:
            self.setCurrentIndex(images.index(wanted) if wanted in images else len(images) - 1)
        self.blockSignals(False)
        return self.layer is not chosen
