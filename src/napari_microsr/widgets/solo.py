"""Hide layers for a while, and show them again as they were."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari.layers import Layer

if TYPE_CHECKING:
    import napari


class Solo:
    """Remembers which layers it hid.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers they are.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self._hidden: list[Layer] = []

    def hide(self, layers: Iterable[Layer]) -> None:
        """Hide layers that are shown."""
        for layer in layers:
            if layer.visible:
                layer.visible = False
                self._hidden.append(layer)

    def restore(self) -> None:
        """Show all of them again."""
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden.clear()
