"""The dock widget Train."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.layers import Image
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QTabWidget, QVBoxLayout, QWidget

from napari_microsr.core.epoch import Epoch, read_metrics
from napari_microsr.core.weights import CardText
from napari_microsr.errors import MicroSRError
from napari_microsr.superres.presets import magnifies, network_arguments
from napari_microsr.superres.stopped import export_stopped
from napari_microsr.superres.training import TrainJob, train
from napari_microsr.widgets.form import JobForm, form_layout
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.scrolled import scrolled
from napari_microsr.widgets.task import Task
from napari_microsr.widgets.train_file import save_job
from napari_microsr.widgets.train_forms import (
    CARD,
    CHOICES,
    HIDDEN,
    IMAGES,
    LOSS,
    SHOWN,
    card_settings,
    refine,
    settings_of,
    show_preset,
)
from napari_microsr.widgets.train_images import FILES, LAYERS, ImagesPicker
from napari_microsr.widgets.train_network import ArgumentsEdit, PresetPicker
from napari_microsr.widgets.train_output import TrainingOutput
from napari_microsr.widgets.train_pictures import KEY, PictureLayers
from napari_microsr.widgets.train_use import use_in_super_resolve
from napari_microsr.widgets.train_watch import WatchTab

if TYPE_CHECKING:
    import napari


_MARGIN_PX = 9


class Trained(NamedTuple):
    """Weights that a run has written, and whether they are to be used at once."""

    weights: Path
    use: bool


class TrainWidget(JobWidget):
    """Train a super-resolution network on layers or folders, watch it learn, and use it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are offered, and to which the pictures are added.
    """

    job_class = TrainJob
    saves_job = False
    title = "Train"
    purpose = "Teach a network your images, from sharp ones or from pairs, and use it in Super-resolve."
    shown = SHOWN
    hidden = HIDDEN
    choices = CHOICES

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self.pictures = PictureLayers(viewer)
        super().__init__()
        self.copy_button.setText("Save as j&ob file…")
        self.copy_button.setToolTip(
            "<p>Write the settings as YAML, for <i>microsr train</i> without napari.</p>"
        )
        self.list_layers()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self.list_layers)

    def build(self, layout: QVBoxLayout) -> None:
        """Add the pickers, and make the forms of the other tabs."""
        self.images = ImagesPicker(self.labels)
        self.presets = PresetPicker()
        self.output = TrainingOutput(self.labels)
        network = QWidget()
        self.labels.add_row(form_layout(network), "Network", self.presets)
        for widget in (self.images, network, self.output):
            layout.addWidget(widget)
        self.arguments = ArgumentsEdit()
        self.images_form = JobForm(TrainJob, IMAGES, CHOICES, self.labels)
        self.loss_form = JobForm(TrainJob, LOSS, CHOICES, self.labels)
        self.card_form = JobForm(CardText, CARD, {}, self.labels)
        self.watch = WatchTab(self.labels)
        self.images.changed.connect(self._images_changed)
        self.presets.chosen.connect(self._preset_chosen)
        self.watch.pictured.connect(self._show_picture)
        self.watch.looked.connect(self.pictures.look)
        self.watch.used.connect(self.use_model)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form into the first of the tabs."""
        self.labels.add_row(self.advanced.layout(), "Arguments", self.arguments)
        refine(*self._forms)
        self.form.editors["hold_out"].setPlaceholderText("some, chosen by chance")
        self.form.editors["factor"].valueChanged.connect(self._suggest_name)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(form, "Train")
        for tab, name in (
            (self.images_form, "Images"),
            (self.loss_form, "Loss"),
            (self.card_form, "Card"),
            (self.watch, "Watch"),
        ):
            tab.layout().setContentsMargins(*(4 * [_MARGIN_PX]))
            self.tabs.addTab(scrolled(tab), name)
        return self.tabs

    @property
    def _forms(self) -> tuple[JobForm, ...]:
        return self.form, self.advanced, self.images_form, self.loss_form

    def list_layers(self, _event: object = None) -> None:
        """Offer the viewer's images, but not our pictures."""
        self.images.offer(
            [
                layer
                for layer in self._viewer.layers
                if isinstance(layer, Image) and KEY not in layer.metadata.get("microsr", {})
            ]
        )

    def job(self) -> TrainJob:
        """Return the job that the form describes."""
        kind, data = self.images.needed_kind(), self.images.data()
        name, out = self.output.get()
        settings = {key: value for form in self._forms for key, value in settings_of(form).items()}
        architecture, factor = settings["architecture"], self.form.get()["factor"]
        taken = kind.factor is not None or not magnifies(architecture)
        pixel_um = None if kind.pixel_um is None else kind.pixel_um * (1 if taken else factor)
        what = "layers of napari" if data is None else data.name
        return TrainJob.parse(
            {
                "name": name,
                "data": data,
                "out": out,
                **settings,
                "arguments": network_arguments(
                    architecture, self.arguments.arguments(), kind.channels, factor
                ),
                "card": card_settings(self.card_form, what, pixel_um),
            }
        )

    def work(self, job: Any) -> Callable[[Task], Any]:
        """Return the training; what it needs of the layers is taken now, in the main thread."""
        given, resume = self.images.given(), self.output.resumes
        self.watch.begin(read_metrics(job.folder) if resume else [], job.steps)
        self.pictures.begin()
        self.tabs.setCurrentIndex(self.tabs.count() - 1)

        def run(task: Task) -> Trained:
            return Trained(train(job, task, resume, task.announced.emit, given), use=False)

        return run

    def announced(self, what: Epoch) -> None:
        """Show an epoch."""
        self.watch.add(what)
        self.output.check()

    def ended(self, task: Task) -> str:
        """Say where the weights are, or how to go on."""
        self.output.check()
        trained: Trained | None = task.result
        if trained is None:
            kept = "Run continues from the last epoch." if self.output.resumes else "No epoch was finished."
            return f"Cancelled. {kept}" if task.cancelled else ""
        if trained.use:
            return self._use(trained.weights)
        return f"Done: {trained.weights}"

    def use_model(self) -> None:
        """Install the network and choose it in Super-resolve; export the last checkpoint first if need be."""
        if self.task is not None:
            self.say("Cancel the training first, or wait for its end.")
            return
        self.say("")
        if self.output.weights is not None:
            self.say(self._use(self.output.weights))
            return
        try:
            job, given = self.job(), self.images.given()
        except MicroSRError as error:
            self.say(str(error))
            return
        self.start(f"Export of {job.name}", lambda task: Trained(export_stopped(job, task, given), use=True))

    def copy_command(self) -> None:
        """Write the job as a file, with the images of layers beside it, and copy its command."""
        try:
            job, given = self.job(), self.images.given()
        except MicroSRError as error:
            self.say(str(error))
            return
        path, _ = QFileDialog.getSaveFileName(self, "Job file", f"{job.name}.yaml", "Job file (*.yaml)")
        if not path:
            return
        file = Path(path) if Path(path).suffix else Path(f"{path}.yaml")
        try:
            line = save_job(job, given, file)
        except MicroSRError as error:
            self.say(str(error))
            return
        QGuiApplication.clipboard().setText(line)
        self.say(f"Saved. On the clipboard: {line}")

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time: all but layers and name."""
        return {
            **{key: value for form in (*self._forms, self.card_form) for key, value in form.get().items()},
            "arguments": self.arguments.get(),
            "preset": self.presets.preset.name,
            "where": self.images.where.get(),
            "data": self.images.path.text(),
            "out": self.output.folder.text(),
        }

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore({})
        for form in (self.images_form, self.loss_form, self.card_form):
            form.reset()
        self.presets.put(str(settings.get("preset", "")))
        self._preset_chosen()
        self.output.reset()
        self.output.folder.setText(str(settings.get("out") or self.output.folder.text()))
        self.images.where.put(LAYERS if settings.get("where") == LAYERS else FILES)
        self.images.put(str(settings.get("data", "")))
        for form in (*self._forms, self.card_form):
            form.put(settings)
        if "arguments" in settings:
            self.arguments.put(settings["arguments"])

    def _preset_chosen(self) -> None:
        preset = self.presets.preset
        show_preset(preset, *self._forms)
        self.arguments.show_arguments(dict(preset.settings.get("arguments", {})))
        self._images_changed()

    def _images_changed(self) -> None:
        """Take from the images what they decide: the factor of pairs, and which domain is likely."""
        kind = self.images.kind
        paired = kind is not None and kind.factor is not None
        if kind is not None:
            self.card_form.put({"domain": "histology" if kind.channels == 3 else "fluorescence"})
            if kind.factor is not None and kind.factor > 1:
                self.form.put({"factor": kind.factor})
        for name in ("degradation", "factor"):
            self.form.editors[name].setEnabled(not paired)
        self._suggest_name()

    def _suggest_name(self, _: object = None) -> None:
        architecture = str(self.advanced.get()["architecture"])
        ending = f"x{self.form.get()['factor']}" if magnifies(architecture) else "sharpened"
        stem = "layers" if self.images.from_layers else Path(self.images.path.text() or "my").stem
        self.output.suggest(f"{stem}-{ending}")

    def _show_picture(self) -> None:
        if self.watch.shown is None:
            self.pictures.clear()
        else:
            self.pictures.show(self.output.get()[0], self.watch.shown)

    def _use(self, weights: Path) -> str:
        try:
            return use_in_super_resolve(self._viewer, weights)
        except MicroSRError as error:
            return str(error)
