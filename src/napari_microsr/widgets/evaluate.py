"""The dock widget Evaluate."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_microsr.superres.evaluate_job import EvaluateJob, Evaluation, evaluate
from napari_microsr.widgets.evaluate_figures import CurvesTab, FiguresTab
from napari_microsr.widgets.evaluate_layers import LayerChoice
from napari_microsr.widgets.evaluate_profile import ProfileTab
from napari_microsr.widgets.evaluate_zoom import ZoomTab
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.layers import as_file, file_of, source_from_layer, unchanged_file
from napari_microsr.widgets.scrolled import scrolled
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    import napari


class EvaluateWidget(JobWidget):
    """Compare result layers with the layer that shows the truth.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are compared.
    """

    job_class = EvaluateJob
    title = "Evaluate"
    purpose = "Measure results against the truth, with what is simply made of their input beside them."
    shown = ("align", "degrade", "factor")
    hidden = ("rim_px", "peak")

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        super().__init__()
        self.list_layers()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self.list_layers)

    def event(self, event: QEvent) -> bool:
        """Cease to listen to clicks, too, when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and hasattr(self, "zoom"):
            self.zoom.pick_button.setChecked(False)
        return super().event(event)

    def build(self, layout: QVBoxLayout) -> None:
        """Add the choice of layers."""
        self.choice = LayerChoice(self.labels)
        layout.addWidget(self.choice)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form into the first of the tabs."""
        self.figures, self.curves = FiguresTab(), CurvesTab()
        self.profile = ProfileTab(self._viewer, lambda: self.choice.layers)
        self.zoom = ZoomTab(self._viewer, lambda: self.choice.layers)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(form, "Compare")
        for tab, name in (
            (self.figures, "Figures"),
            (self.curves, "Curves"),
            (self.profile, "Profile"),
            (self.zoom, "Zoom"),
        ):
            self.tabs.addTab(scrolled(tab), name)
        for tab in (self.figures, self.curves, self.profile):
            tab.failed.connect(self.say)
        for tab in (self.profile, self.zoom):
            self.choice.changed.connect(tab.changed)
        self.choice.changed.connect(self._chosen)
        return self.tabs

    def list_layers(self, _event: object = None) -> None:
        """Offer the viewer's layers."""
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self.choice.offer(images, self._viewer.layers.selection.active)
        self.profile.list_lines()

    def job(self) -> EvaluateJob:
        """Return the job that the form describes."""
        return self._job(lambda layer: file_of(layer) or layer.name)

    def command(self) -> str:
        """Return the command line of the form's job, where all layers are files as they are."""
        from napari_microsr.widgets.command import command_line

        return command_line(self._job(lambda layer: str(unchanged_file(layer).path)))

    def work(self, job: Any) -> Callable[[Task], Any]:
        """Return the comparison; what it needs of the layers is taken now, in the main thread."""
        results, reference, low = self.choice.needed()
        layers = [*results, reference, *([] if low is None else [low])]
        taken = [(source_from_layer(layer), file_of(layer)) for layer in layers]

        def run(task: Task) -> Evaluation:
            images = [as_file(source, path) for source, path in taken]
            judged, truth, others = images[: len(results)], images[len(results)], images[len(results) + 1 :]
            made_from = others[0] if others else None
            return evaluate(job, results=judged, reference=truth, low=made_from, progress=task)

        return run

    def ended(self, task: Task) -> str:
        """Show the figures."""
        evaluation: Evaluation | None = task.result
        if evaluation is None:
            return "Cancelled." if task.cancelled else ""
        self.figures.show_evaluation(evaluation)
        self.curves.show_evaluation(evaluation)
        self.tabs.setCurrentIndex(1)
        return "Done."

    def _job(self, named: Callable[[Image], str]) -> EvaluateJob:
        results, reference, low = self.choice.needed()
        first, *others = map(named, results)
        return EvaluateJob.parse(
            {
                "result": first,
                "reference": named(reference),
                "also": tuple(others),
                "input": None if low is None else named(low),
                **self.form.get(),
                **self.advanced.get(),
            }
        )

    def _chosen(self) -> None:
        """Offer to make an input only where none is given."""
        given = self.choice.input_box.layer is not None
        for name in ("degrade", "factor"):
            self.form.editors[name].setEnabled(not given)
