"""Try the settings on the frame in view: its detections as points, while frames and settings change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import MicroSRError
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.layers import visible_plane
from napari_microsr.widgets.localise_layers import stack_arguments, stack_from_layer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points

    from napari_microsr.core.image import ImageSource
    from napari_microsr.smlm.camera import Camera
    from napari_microsr.smlm.prepare import LocalizeRun

#: Milliseconds that sliders rest before a frame is computed.
SETTLE_MS = 60
#: More points make napari slow; such data are shown as an image.
MOST_POINTS = 100_000
POINTS_NAME = "detections"
#: Diameter of the circles in PSF sigmas.
_CIRCLE_SIGMAS = 5.0

Settings = Callable[[], "tuple[Image, LocalizeJob]"]


@dataclass(frozen=True)
class Detections:
    """What was found in one frame.

    Attributes
    ----------
    layer : napari.layers.Image
        The stack.
    points : numpy.ndarray, shape (n, ndim)
        Array indices in the stack.
    sigma_px : float
        Of the PSF.
    frame : int
        Which frame.
    said : tuple of str
        What the preparation had to say.
    """

    layer: "Image"
    points: NDArray[np.float64]
    sigma_px: float
    frame: int
    said: tuple[str, ...]


class FrameOverlay(QObject):
    """Shows the detections of the visible frame as long as it is on.

    Attributes
    ----------
    found : Signal
        Emitted with `Detections` when they are shown.
    failed : Signal
        Emitted with the MicroSRError that kept it from that.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    settings : callable
        Returns the stack's layer and the job; raises MicroSRError if the form is not complete.
    parent : QObject
        Ends with it.
    """

    found = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: "napari.viewer.Viewer", settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._settings = viewer, settings
        self.on = False
        self.points: Points | None = None
        self._prepared = Prepared()
        self._latest = Latest("microsr-try", self)
        self._latest.done.connect(self._show)
        self._latest.failed.connect(self._fail)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.timeout.connect(self._compute)
        viewer.dims.events.current_step.connect(self.changed)

    def switch(self, on: bool) -> None:
        """Begin or end; the points go with the end."""
        self.on = on
        if on:
            self._compute()
            return
        self._timer.stop()
        self._latest.forget()
        if self.points is not None and self.points in self._viewer.layers:
            self._viewer.layers.remove(self.points)
        self.points = None

    def changed(self, _event: object = None) -> None:
        """Take notice that the frame or the settings are others; computed soon."""
        if self.on:
            self._timer.start()

    def _compute(self) -> None:
        try:
            layer, job = self._settings()
            source = stack_from_layer(layer)
        except MicroSRError as error:
            self._fail(error)
            return
        plane = visible_plane(self._viewer, layer, source)
        prepared = self._prepared
        self._latest.submit(lambda: detect(layer, source, job, plane, prepared))

    def _fail(self, error: MicroSRError) -> None:
        if self.points is not None and self.points in self._viewer.layers:
            self.points.data = np.zeros((0, self.points.ndim))
        self.failed.emit(error)

    def _show(self, found: Detections) -> None:
        if not self.on:
            return
        size = _CIRCLE_SIGMAS * found.sigma_px
        if self.points is None or self.points not in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self.points = self._viewer.add_points(
                np.zeros((0, found.layer.ndim)),
                name=POINTS_NAME,
                face_color="transparent",
                border_color="yellow",
                border_width=0.08,
                **stack_arguments(found.layer),
            )
            # The stack stays the layer that the user works on.
            self._viewer.layers.selection.active = active
        for name, value in stack_arguments(found.layer).items():
            if name not in ("axis_labels", "units"):
                setattr(self.points, name, value)
        self.points.data = found.points[:MOST_POINTS]
        self.points.size = size
        self.points.current_size = size
        self.found.emit(found)


class Prepared:
    """The last preparation, so that sliding does not measure camera and PSF again."""

    def __init__(self) -> None:
        self._measured: tuple[Any, Camera, float, tuple[str, ...]] | None = None
        self._run: tuple[Any, LocalizeRun] | None = None

    def get(self, source: "ImageSource", job: LocalizeJob) -> "tuple[LocalizeRun, tuple[str, ...]]":
        """Return a prepared run, and what its preparation had to say."""
        from napari_microsr.smlm.prepare import prepare

        basis = (id(source.array), job.model_dump_json(exclude={"threshold", "refine", "output", "restart"}))
        whole = (basis, job.threshold, job.refine)
        if self._measured is None or self._measured[0] != basis:
            notes = SilentProgress()
            run = prepare(job, source, None, notes)
            self._measured = (basis, run.camera, run.sigma_px, tuple(notes.warnings))
            self._run = (whole, run)
        _, camera, sigma, said = self._measured
        if self._run is None or self._run[0] != whole:
            known = job.model_copy(update={"psf_sigma_px": sigma})
            self._run = (whole, prepare(known, source, camera, SilentProgress()))
        return self._run[1], said


def detect(
    layer: "Image", source: "ImageSource", job: LocalizeJob, plane: int, prepared: Prepared
) -> Detections:
    """Find the emitters of one frame."""
    from napari_microsr.smlm.stream import read_frames

    run, said = prepared.get(source, job)
    rows = run.finder(run.camera.to_photons(read_frames(source, range(plane, plane + 1)))[0])
    places = np.unravel_index(plane, source.plane_shape) if source.plane_axes else ()
    leading = np.broadcast_to(np.array(places, float), (len(rows["x"]), len(places)))
    points = np.column_stack([leading, rows["y"], rows["x"]])
    return Detections(layer, points, run.sigma_px, plane, said)
