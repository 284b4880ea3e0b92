"""The dock widget Localise."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_microsr.errors import MicroSRError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.camera_estimate import CameraEstimate
from napari_microsr.smlm.camera_known import estimate_text
from napari_microsr.smlm.draw_job import draws_image
from napari_microsr.smlm.job import LocalizeJob, localize
from napari_microsr.smlm.localizations import Localizations, check_pixel_nm
from napari_microsr.smlm.registry import DSIR, GAUSSIAN_MLE
from napari_microsr.widgets.form import JobForm
from napari_microsr.widgets.layer_job_widget import LayerJobWidget
from napari_microsr.widgets.layer_picker import LayerPicker
from napari_microsr.widgets.layers import as_file, file_of, unchanged_file
from napari_microsr.widgets.localise_camera import CameraPicker
from napari_microsr.widgets.localise_layers import (
    give_pixel_size,
    is_rendered,
    pixel_nm_of,
    pixel_size_doubt,
    rendered_arguments,
    stack_from_layer,
)
from napari_microsr.widgets.localise_overlay import FrameOverlay
from napari_microsr.widgets.localise_results import Results
from napari_microsr.widgets.localise_try import TryPanel
from napari_microsr.widgets.localise_work import Drawn, draw, estimate
from napari_microsr.widgets.model_picker import ModelPicker
from napari_microsr.widgets.output_picker import OutputPicker
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    import napari

TABLES = ((".csv", ".hdf5", ".h5", ".parquet"), "a table")
IMAGES = ((".ome.zarr", ".zarr"), "an image")
METHODS = {
    GAUSSIAN_MLE: "Fits each spot that stands out of the noise; for frames whose spots seldom overlap."
}


class LocaliseWidget(LayerJobWidget):
    """Localise the single molecules of a stack, with an image that grows while you watch.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are offered, and to which the results are added.
    """

    job_class = LocalizeJob
    title = "Localise"
    purpose = "Find single molecules in a stack of frames and draw them far sharper than the frames."
    shown = (
        "pixel_nm", "offset", "gain", "em_gain", "read_noise_e", "psf_sigma_px", "threshold", "first_frame",
        "last_frame",
    )  # fmt: skip
    hidden = ("qe", "keep_mixed", "refine", "image_nm", "block_frames", "device")
    nothing = "There is no stack of frames."

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._then: Callable[[Any], str] | None = None
        self._fresh = False
        super().__init__(viewer)

    def event(self, event: QEvent) -> bool:
        """End trying, too, when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and hasattr(self, "overlay"):
            self.overlay.switch(False)
        return super().event(event)

    def build(self, layout: QVBoxLayout) -> None:
        """Add the pickers of stack and model; the camera's follows when there is a form to fill."""
        layers = LayerPicker("Stack of camera frames, one after another along its first axis.")
        self.add_pickers(layout, "Stack", layers, ModelPicker(("localization",), METHODS))
        self.results = Results(self._viewer, self.compute, self.say, self)
        self.overlay = FrameOverlay(self._viewer, self._stack_and_job, self)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form into the first of the tabs."""
        self.camera = CameraPicker((self.form, self.advanced))
        self.labels.add_row(self.rows, "Camera", self.camera)
        tell_none(self.form)
        self.output = OutputPicker(self.labels, *TABLES)
        self.attempt = TryPanel(self.overlay)
        place = self.body.indexOf(self.form) + 1
        self.body.insertWidget(place, self.attempt)
        self.body.insertWidget(place + 1, self.output)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(form, "Find")
        self.results.add_to(self.tabs)
        self._connect()
        return self.tabs

    def _connect(self) -> None:
        self.layer_box.currentIndexChanged.connect(self.chosen)
        self.models.changed.connect(self._model_chosen)
        self.models.changed.connect(self.overlay.changed)
        self.camera.estimate.connect(self._estimate_camera)
        for form in (self.form, self.advanced):
            form.changed.connect(self.overlay.changed)

    def offers(self, layer: Image) -> bool:
        """Leave out what was drawn of localisations."""
        return not is_rendered(layer)

    def look_at(self, layer: Image | None) -> Sequence[str]:
        """Take what the layer knows of itself, and say what speaks against it."""
        self.camera.look_at(layer)
        self.overlay.changed()
        if layer is None:
            return ()
        try:
            stack_from_layer(layer)
            known = pixel_nm_of(layer)
            if known is None:
                doubt = pixel_size_doubt(layer, self.form.get()["pixel_nm"] or 1.0)
                return (doubt,) if doubt else ()
        except MicroSRError as error:
            return (str(error),)
        self.form.put({"pixel_nm": known})
        return ()

    def job(self) -> LocalizeJob:
        """Return the job that the form describes."""
        if self.layer is not None:
            check_pixel_nm(self.form.get()["pixel_nm"])
        job: LocalizeJob = super().job()
        return job

    def work(self, job: Any) -> Callable[[Task], Any]:
        """Return the run; what it needs of the layer is taken now, in the main thread."""
        layer = self.needed_layer
        give_pixel_size(self._viewer, layer, job.pixel_nm)
        source, path = stack_from_layer(layer), file_of(layer)
        self.attempt.button.setChecked(False)
        if draws_image(job.model):
            self._then = partial(self._show_image, layer)
            return partial(draw, source, path, job)
        self._fresh = True

        def run(task: Task) -> Localizations:
            image = as_file(source, path)
            described = job.model_copy(update={"source": str(image.path or image.name)})

            def found(_start: int, _stop: int, rows: Localizations) -> None:
                task.announced.emit(rows)

            return localize(described, source=image, progress=task, found=found)

        self._run_on = layer, job.output
        return run

    def announced(self, what: Any) -> None:
        """Show what one more block of frames gave."""
        if self._fresh:
            self._fresh = False
            layer, _ = self._run_on
            self.results.begin(layer, layer.name)
        self.results.grow(what)

    def ended(self, task: Task) -> str:
        """Show the whole table, and say where it is or what is kept."""
        then, self._then = self._then, None
        if then is not None:
            done = task.error is None and not task.cancelled
            return then(task.result) if done else "Cancelled." if task.cancelled else ""
        table = task.result
        if table is None and self._fresh:
            return "Cancelled." if task.cancelled else ""
        self.results.finish(table)
        self.suggest()
        if table is not None:
            return f"Done: {len(table):,} localisations in {self._run_on[1]}"
        stopped = "Cancelled. " if task.cancelled else ""
        return stopped + "What was found is kept: Run continues."

    def _model_chosen(self) -> None:
        """Ask for the output that the model has: a table, or an image."""
        card = self.models.card
        self.output.expect(*(IMAGES if card is not None and card.architecture == DSIR else TABLES))
        self.suggest()

    def _show_image(self, layer: Image, drawn: Drawn) -> str:
        """Lay an image that a network drew over its stack."""
        place = rendered_arguments(layer, drawn.magnification) if layer in self._viewer.layers else {}
        look = {"colormap": "inferno", "contrast_limits": drawn.limits, "name": f"{layer.name} drawn"}
        self._viewer.add_image(**drawn.arguments | place | look)
        self.suggest()
        return f"Done: the image is in {drawn.path}"

    def compute(self, title: str, work: Callable[[Task], Any], then: Callable[[Any], str]) -> None:
        """Do other work in the background with this panel's bar and button.

        Parameters
        ----------
        title : str
            Of the work.
        work : callable
            Called in the worker thread.
        then : callable
            Takes the result in the main thread and returns what to tell.
        """
        if self.task is not None:
            self.say("Something is being computed: wait for it, or cancel it.")
            return
        self.say("")
        self._then = then
        self.start(title, work)

    def command(self) -> str:
        """Return the command line of the form's job, where the stack is a file that the command can open."""
        unchanged_file(self.needed_layer)
        return super().command()

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time: all but input, output and frames."""
        return {name: value for name, value in super().settings().items() if not name.endswith("_frame")}

    def _stack_and_job(self) -> tuple[Image, LocalizeJob]:
        layer, job = self.needed_layer, self.job()
        give_pixel_size(self._viewer, layer, job.pixel_nm)
        # The frame in view may lie outside the range.
        return layer, job.model_copy(update={"first_frame": 0, "last_frame": None})

    def _estimate_camera(self) -> None:
        try:
            source = stack_from_layer(self.needed_layer)
        except MicroSRError as error:
            self.say(str(error))
            return
        said = {**self.form.get(), **self.advanced.get()}
        known = Camera(em_gain=said["em_gain"] or 1.0, qe=said["qe"], read_noise_e=said["read_noise_e"])

        def take(found: CameraEstimate) -> str:
            self.camera.take(found.camera)
            return estimate_text(found)

        self.compute("Estimate the camera", lambda task: estimate(source, known), take)


def tell_none(form: JobForm) -> None:
    """Let a form of a localisation tell an offset of 0 and an EM gain of 1 from none: that lies below."""
    form.editors["offset"].setMinimum(-1.0)
    form.editors["em_gain"].setMinimum(0.0)
    form.editors["last_frame"].setSpecialValueText("last")
