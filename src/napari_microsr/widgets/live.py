"""Layers that show a result while a run fills it."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.widgets.stored import StoredLevel, as_dask, layer_arguments

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.superres.run import UpscaleRun

REFRESH_MS = 500
#: Share of the image's intensity range that a map beside a result spans at full colour, and its colours: two
#: where it has signs.
MAPS = {"residual": (0.1, "PiYG"), "consistency": (0.05, "PiYG"), "disagreement": (0.05, "magma")}


@dataclass(frozen=True)
class Content:
    """What one layer shows: made in the worker thread, where first imports and reads stall nobody.

    Attributes
    ----------
    levels : list of StoredLevel
        What its pixels are read from.
    arguments : dict
        Of `add_image`.
    path : pathlib.Path
        Where the store will be in the end.
    """

    levels: list[StoredLevel]
    arguments: dict[str, Any]
    path: Path

    @classmethod
    def of(cls, run: "UpscaleRun", sink: "ZarrSink", style: dict[str, Any]) -> "Content":
        """Describe the layer of one open store.

        Parameters
        ----------
        run : UpscaleRun
            The run that fills it.
        sink : ZarrSink
            The store.
        style : dict
            Axis labels, contrast limits and the like of the input layer, which the result shares.
        """
        layout, source = sink.layout, sink.layout.source
        content = layout.provenance["content"]
        # A map has signs, or no colours of its own, and is no picture: the mean of its colours is shown.
        picture = source.rgb and content not in MAPS
        shown = source.axes.replace("c", "") if source.rgb and content in MAPS else source.axes
        clear = picture and layout.dtype == np.uint8
        levels = [StoredLevel(level, layout.axes, shown, clear=clear) for level in sink.store.levels]
        metadata = {**layout.provenance, "store": str(sink.path)}
        arguments = layer_arguments(levels, layout.placement, rgb=picture, metadata=metadata)
        look = {**style, "name": f"{run.source.name} {run.card.id}"}
        if content in MAPS:
            look = {"axis_labels": style["axis_labels"], **_map_look(run, content, style)}
        np.asarray(as_dask(levels[-1:])[(0,) * (levels[-1].ndim - 2 - picture)])
        return cls(levels, {**arguments, **look}, sink.path)

    def finished(self) -> Any:
        """Return the layer's data from the finished store. Called in the worker thread, too."""
        import zarr

        levels = enumerate(self.levels)
        return as_dask([lv.finished(zarr.open_array(self.path / str(i), mode="r")) for i, lv in levels])


class LiveResult(QObject):
    """The layers of one run, backed by the stores that it fills.

    New tiles are read in a thread of their own; the main thread only draws what has changed in view.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where they are added, above the other layers. Layers of former runs into the same stores go.
    contents : list of Content
        What they show, from bottom to top.
    parent : QObject
        Ends the refreshing when it is destroyed.
    """

    _reread = Signal(object)

    def __init__(self, viewer: "napari.viewer.Viewer", contents: list[Content], parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._contents = contents
        self._dirty = self._reading = False
        for content in contents:
            self._remove_former(content.path)
        self.layers: list[Image] = [viewer.add_image(**content.arguments) for content in contents]
        self._reader: Thread | None = None
        self._reread.connect(self._draw)
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def changed(self) -> None:
        """Take notice that there are new tiles; they are shown at the next refresh."""
        self._dirty = True

    def finish(self, finished: list[Any] | None, evidence: dict[str, Any] | None = None) -> None:
        """Show the last tiles, without moving the camera.

        Parameters
        ----------
        finished : list or None
            The layers' data from the finished stores; None where the run stopped before.
        evidence : dict, optional
            What is kept with the layers, as `note_evidence` returned it.
        """
        self._timer.stop()
        if self._reader is not None:
            self._reader.join()
        for number, (layer, content) in enumerate(zip(self.layers, self._contents, strict=True)):
            if finished is None:
                for level in content.levels:
                    level.reread()
            layer.data = layer.data if finished is None else finished[number]
            layer.metadata["microsr"]["evidence"] = evidence or {}
        self.deleteLater()

    def _look(self) -> None:
        """Have what the layers show read again, if there are new tiles."""
        if self._dirty and not self._reading:
            self._dirty, self._reading = False, True
            self._reader = Thread(target=self._read, name="microsr-live")
            self._reader.start()

    def _read(self) -> None:
        """Read, in the reader's thread."""
        changed = [sum(level.reread() for level in content.levels) > 0 for content in self._contents]
        # The panel may have been closed meanwhile.
        with contextlib.suppress(RuntimeError):
            self._reread.emit(changed)

    def _draw(self, changed: list[bool]) -> None:
        self._reading = False
        for layer, new in zip(self.layers, changed, strict=True):
            if not new or layer not in self._viewer.layers:
                continue
            # napari keeps the coarsest level of a 2D pyramid in memory until it is given data; giving it
            # data also makes it show that level for a moment, so that is done only where it shows it.
            if layer.multiscale and layer.data_level == len(layer.data) - 1:
                layer.data = layer.data
            else:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _remove_former(self, path: Path) -> None:
        for layer in list(self._viewer.layers):
            if layer.metadata.get("microsr", {}).get("store") == str(path):
                self._viewer.layers.remove(layer)


def _map_look(run: "UpscaleRun", content: str, style: dict[str, Any]) -> dict[str, Any]:
    """Show a map in colours of its own; hidden, as it covers the result."""
    share, colormap = MAPS[content]
    low, high = style.get("contrast_limits", (run.normalisation.low[0], run.normalisation.high[0]))
    if run.source.rgb and run.source.dtype == np.uint8:
        low, high = 0, 255
    span = share * float(high - low)
    return {
        "name": f"{run.source.name} {run.card.id} {content}",
        "contrast_limits": (0.0 if content == "disagreement" else -span, span),
        "colormap": colormap,
        "visible": False,
    }
