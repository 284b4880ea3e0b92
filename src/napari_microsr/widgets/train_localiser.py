"""The dock widget Train localiser."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_microsr.core.epoch import Epoch, read_metrics
from napari_microsr.core.install import install
from napari_microsr.errors import MicroSRError
from napari_microsr.smlm.training import TrainLocalizerJob, train_localizer
from napari_microsr.widgets.form import NumberBox, form_layout, label_text
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.range_box import RangeBox
from napari_microsr.widgets.scrolled import scrolled
from napari_microsr.widgets.task import Task
from napari_microsr.widgets.train_localiser_watch import LocaliserWatchTab
from napari_microsr.widgets.train_output import TrainingOutput

if TYPE_CHECKING:
    import napari

#: What varies from frame to frame.
RANGES = ("sigma_px", "photons", "background", "density_um2", "read_noise")
#: Settings for a microscope of one's own, instead of those for all.
OWN = {"steps": 8000, "batch": 8, "typical": 0.0, "em": 0.0}
_FINE_DECIMALS = 9


class TrainLocaliserWidget(JobWidget):
    """Train an emitter network for one's own light, density and PSF, watch it learn, and use it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        In whose panel Localise the network is chosen.
    """

    job_class = TrainLocalizerJob
    title = "Train localiser"
    purpose = "Teach a network your PSF, light and density, on frames that are simulated while it learns."
    shown = ("em", "stack", "stack_offset", "stack_gain", "steps")
    hidden = (
        "start", "typical", "structured", "batch", "patch_px", "check_every", "learning_rate", "ema_decay",
        "precision", "device", "workers", "seed",
    )  # fmt: skip

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        super().__init__()
        # A training has too many settings for a command line: it is saved as a job.
        self.copy_button.hide()

    def build(self, layout: QVBoxLayout) -> None:
        """Add where the training goes, and the ranges."""
        self.output = TrainingOutput(self.labels)
        layout.addWidget(self.output)
        panel = QWidget()
        rows = form_layout(panel)
        self.ranges: dict[str, RangeBox] = {}
        for name in RANGES:
            text = label_text(name)
            self.ranges[name] = RangeBox(text, str(TrainLocalizerJob.model_fields[name].description))
            self.labels.add_row(rows, text, self.ranges[name])
        layout.addWidget(panel)
        self.watch = LocaliserWatchTab()
        self.watch.used.connect(self.use_model)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form into the first of two tabs."""
        rate = self.advanced.editors["learning_rate"]
        assert isinstance(rate, NumberBox)
        rate.setDecimals(_FINE_DECIMALS)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(form, "Train")
        self.tabs.addTab(scrolled(self.watch), "Watch")
        return self.tabs

    def job(self) -> TrainLocalizerJob:
        """Return the job that the form describes."""
        name, out = self.output.get()
        card = {"summary": f"Localises single molecules: {name}.", "domain": "smlm", "licence": "not stated"}
        ranges = {name: box.get() for name, box in self.ranges.items()}
        return TrainLocalizerJob.parse(
            {"name": name, "out": out, **ranges, **self.form.get(), **self.advanced.get(), "card": card}
        )

    def work(self, job: Any) -> Callable[[Task], Path]:
        """Return the training."""
        resume = self.output.resumes
        self.watch.begin(read_metrics(job.folder) if resume else [], job.steps)
        self.tabs.setCurrentIndex(1)
        return lambda task: train_localizer(job, task, resume, task.announced.emit)

    def announced(self, what: Epoch) -> None:
        """Show an epoch."""
        self.watch.add(what)
        self.output.check()

    def ended(self, task: Task) -> str:
        """Say where the weights are, or how to go on."""
        self.output.check()
        if task.result is not None:
            return f"Done: {task.result}"
        kept = "Run continues from the last epoch." if self.output.resumes else "No epoch was finished."
        return f"Cancelled. {kept}" if task.cancelled else ""

    def use_model(self) -> None:
        """Install the network and choose it in Localise."""
        if self.task is not None or self.output.weights is None:
            self.say("There are no weights yet: let the training come to its end.")
            return
        try:
            card = install(self.output.weights)
        except MicroSRError as error:
            self.say(str(error))
            return
        window = getattr(self._viewer, "window", None)
        if window is None:
            self.say(f"{card.id} is installed: choose it in Localise.")
            return
        _, panel = window.add_plugin_dock_widget("napari-microsr", "Localise")
        panel.models.refresh()
        panel.models.put(card.id)
        self.say(f"{card.id} is installed, and chosen in Localise.")

    def command(self) -> str:
        """Return nothing, once the form is complete: the job file says it all."""
        self.job()
        return ""

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time: all but the name."""
        ranges = {name: box.get() for name, box in self.ranges.items()}
        return {**super().settings(), **ranges, "out": self.output.folder.text()}

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore({**OWN, **settings})
        self.output.reset()
        self.output.suggest("my-localiser")
        self.output.folder.setText(str(settings.get("out") or self.output.folder.text()))
        for name, box in self.ranges.items():
            box.put(settings.get(name) or TrainLocalizerJob.model_fields[name].default)
