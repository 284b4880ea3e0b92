"""Layers that show a result while a run fills it."""

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
        Contrast limits, colormap and the like of the input layer, which the result shares.
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
        self._shown: list[tuple[Image, list[StoredLevel], Path]] = []
        for sink in reversed(sinks):  # the residual first, so that the result lies above it
            self._remove_former(sink.path)
            levels, arguments = _layer_of(sink)
            residual = sink.layout.provenance["content"] == "residual"
            look = _residual_look(run) if residual else {"name": f"{run.source.name} {run.card.id}", **style}
            self._shown.append((viewer.add_image(**arguments, **look), levels, sink.path))
        self._dirty = False
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        self._timer.start()

    @property
    def layers(self) -> "list[Image]":
        """The layers, the residual first where there is one."""
        return [layer for layer, _, _ in self._shown]

    def changed(self) -> None:
        """Take notice that there are new tiles; they are shown at the next refresh."""
        self._dirty = True

    def finish(self) -> None:
        """Show the finished stores under their final names, without moving the user's view."""
        import zarr

        self._timer.stop()
        for layer, levels, path in self._shown:
            if path.exists():
                for number, level in enumerate(levels):
                    level.array = zarr.open_array(path / str(number), mode="r")
            if layer in self._viewer.layers:
                layer.refresh()
        self.deleteLater()

    def _refresh(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        for layer in self.layers:
            if layer in self._viewer.layers and layer.visible:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

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
    span = RESIDUAL_SPAN * (run.normalisation.high[0] - run.normalisation.low[0])
    if not np.isfinite(span) or span <= 0 or run.card.normalisation == "identity":
        span = RESIDUAL_SPAN * (
            np.iinfo(run.source.dtype).max if np.issubdtype(run.source.dtype, np.integer) else 1.0
        )
    return {
        "name": f"{run.source.name} {run.card.id} residual",
        "contrast_limits": (-span, span),
        "colormap": "PiYG",
        "visible": False,
    }
