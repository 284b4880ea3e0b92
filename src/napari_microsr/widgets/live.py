"""Layers that show a result while a run fills it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_microsr.widgets.stored import StoredLevel, layer_arguments

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.superres.run import UpscaleRun

REFRESH_MS = 500
#: Share of the image's intensity range that a residual spans at full colour.
RESIDUAL_SPAN = 0.1


@dataclass(frozen=True)
class Shown:
    """One layer, what its pixels are read from, and where its store will be in the end."""

    layer: "Image"
    data: Any
    levels: list[StoredLevel]
    path: Path

    def reload(self) -> None:
        """Read again what the layer shows.

        napari keeps the coarsest level of a 2D pyramid in memory until it is given data; giving it
        data also makes it show the coarsest level for a moment, so that is done only where it does.
        """
        if self.layer.multiscale and self.layer.data_level == len(self.levels) - 1:
            self.layer.data = self.data
        else:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def repoint(self) -> None:
        """Read the finished store under its final name; the camera stays."""
        import zarr

        if self.path.exists():
            for number, level in enumerate(self.levels):
                level.array = zarr.open_array(self.path / str(number), mode="r")
        self.layer.data = self.data


class LiveResult(QObject):
    """The layers of one run, backed by the stores that it fills.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where they are added, above the other layers. Layers of former runs into the same stores go.
    run : UpscaleRun
        The run.
    sinks : tuple of ZarrSink
        Its open stores.
    style : dict
        Axis labels, contrast limits and the like of the input layer, which the result shares.
    parent : QObject
        Ends the refreshing when it is destroyed.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        run: "UpscaleRun",
        sinks: "tuple[ZarrSink, ...]",
        style: dict[str, Any],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._shown: list[Shown] = []
        for sink in reversed(sinks):  # the residual first, so that the result lies above it
            self._remove_former(sink.path)
            levels, arguments = _layer_of(sink)
            look = {**style, "name": f"{run.source.name} {run.card.id}"}
            if sink.layout.provenance["content"] == "residual":
                look = {"axis_labels": style["axis_labels"], **_residual_look(run)}
            layer = viewer.add_image(**{**arguments, **look})
            self._shown.append(Shown(layer, arguments["data"], levels, sink.path))
        self._dirty = False
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        self._timer.start()

    @property
    def layers(self) -> "list[Image]":
        """The layers, the residual first where there is one."""
        return [shown.layer for shown in self._shown]

    def changed(self) -> None:
        """Take notice that there are new tiles; they are shown at the next refresh."""
        self._dirty = True

    def finish(self) -> None:
        """Show the finished stores under their final names, without moving the user's view."""
        self._timer.stop()
        for shown in self._shown:
            shown.repoint()
        self.deleteLater()

    def _refresh(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        for shown in self._shown:
            if shown.layer in self._viewer.layers and shown.layer.visible:
                shown.reload()

    def _remove_former(self, path: Path) -> None:
        for layer in list(self._viewer.layers):
            if layer.metadata.get("microsr", {}).get("store") == str(path):
                self._viewer.layers.remove(layer)


def _layer_of(sink: "ZarrSink") -> tuple[list[StoredLevel], dict[str, Any]]:
    layout, source = sink.layout, sink.layout.source
    # A residual has signs, so that its colours are no picture: their mean is shown.
    picture = source.rgb and layout.provenance["content"] == "result"
    shown = source.axes if picture or not source.rgb else source.axes.replace("c", "")
    levels = [StoredLevel(level, layout.axes, shown) for level in sink.store.levels]
    metadata = {**layout.provenance, "store": str(sink.path)}
    return levels, layer_arguments(levels, layout.placement, rgb=picture, metadata=metadata)


def _residual_look(run: "UpscaleRun") -> dict[str, Any]:
    """Show what was added and what was taken away in opposite colours; hidden, as it covers the result."""
    dtype, span = run.source.dtype, run.normalisation.high[0] - run.normalisation.low[0]
    if run.card.normalisation == "identity" and np.issubdtype(dtype, np.integer):
        span = float(np.iinfo(dtype).max)
    span *= RESIDUAL_SPAN
    return {
        "name": f"{run.source.name} {run.card.id} residual",
        "contrast_limits": (-span, span),
        "colormap": "PiYG",
        "visible": False,
    }
