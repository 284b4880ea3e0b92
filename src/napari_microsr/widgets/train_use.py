"""From a trained network to Super-resolve."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_microsr.core.install import install

if TYPE_CHECKING:
    import napari


def use_in_super_resolve(viewer: "napari.viewer.Viewer", weights: Path) -> str:
    """Install a network, choose it in Super-resolve, and say so.

    Raises
    ------
    ModelError
        If it cannot be installed.
    """
    card = install(weights)
    window = getattr(viewer, "window", None)
    if window is None:
        return f"{card.id} is installed: choose it in Super-resolve."
    _, panel = window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
    panel.models.refresh()
    panel.models.put(card.id)
    return f"{card.id} is installed, and chosen in Super-resolve."
