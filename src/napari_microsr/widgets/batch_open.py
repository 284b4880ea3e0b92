"""Show what a batch made of an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_microsr.batch.manifest import ItemState
from napari_microsr.errors import InputError
from napari_microsr.widgets.register import RegisterWidget
from napari_microsr.widgets.stored import open_result

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


def show_result(viewer: "napari.viewer.Viewer", state: ItemState, pixel_nm: float | None) -> str:
    """Show a result: an image as layer, placements in Register, a table of localisations in Localise.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    state : ItemState
        Of an image that is done.
    pixel_nm : float or None
        Camera pixel of a table, in nm.

    Returns
    -------
    str
        What to tell the user.

    Raises
    ------
    MicroSRError
        If the result is not there any more.
    """
    outputs = [Path(output) for output in state.outputs]
    if not outputs or not outputs[0].exists():
        raise InputError(f"The result of {state.key} is not there any more.", "Run makes it again.")
    first, *beside = outputs
    if first.is_dir():
        # The maps beside a result lie below it, hidden.
        for path in reversed(beside):
            content = path.name.removesuffix(".ome.zarr").rpartition(".")[2]
            _show_store(viewer, path, f"{state.key} {content}", visible=False)
        viewer.layers.selection.active = _show_store(viewer, first, state.key, visible=True)
        return f"Opened: {first}"
    title = "Register" if state.task == RegisterWidget.job_class.task else "Localise"
    window = getattr(viewer, "window", None)
    if window is None:
        return f"The result is {first}: open it in {title}."
    _, panel = window.add_plugin_dock_widget("napari-microsr", title)
    if isinstance(panel, RegisterWidget):
        panel.files.open(first)
    else:
        panel.results.open(first, pixel_nm)
    return f"Opened in {title}: {first}"


def _show_store(viewer: "napari.viewer.Viewer", path: Path, name: str, *, visible: bool) -> "Image":
    """Return the layer of a store, a new one where the viewer has none."""
    for layer in viewer.layers:
        known: Any = layer.metadata.get("microsr", {})
        if known.get("store") == str(path):
            return layer
    return viewer.add_image(name=name, visible=visible, **open_result(path))
