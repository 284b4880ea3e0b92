"""The demo in napari: the shipped slide, its super-resolved layer, and the widget that makes such layers."""

from pathlib import Path
from typing import Any

import napari

from napari_microsr.widgets.samples import slide
from napari_microsr.widgets.stored import open_result


def show_demo(result: dict[str, Any]) -> None:
    """Open napari with what `run_demo` made, and return when the user closes it."""
    viewer = napari.Viewer()
    fill_viewer(viewer, Path(result["outputs"][0]))
    napari.run()


def fill_viewer(viewer: "napari.viewer.Viewer", store: Path) -> None:
    """Show the slide below its super-resolved layer, and open the widget."""
    for data, arguments, _ in slide():
        viewer.add_image(data, **arguments)
    viewer.add_image(name=store.name.removesuffix(".ome.zarr"), **open_result(store))
    viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
