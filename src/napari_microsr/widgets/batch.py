"""The dock widget Batch."""

from collections.abc import Callable, Collection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QTabWidget, QVBoxLayout, QWidget

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.patterns import PRESETS
from napari_microsr.batch.report import REPORT
from napari_microsr.batch.run import run_batch
from napari_microsr.core.job import read_job_file
from napari_microsr.errors import InputError, JobError, MicroSRError
from napari_microsr.widgets.batch_inputs import InputsPicker, RunFolder
from napari_microsr.widgets.batch_open import show_result
from napari_microsr.widgets.batch_progress import ProgressTab
from napari_microsr.widgets.batch_table import count_text
from napari_microsr.widgets.batch_task import PANELS, SettingsTab
from napari_microsr.widgets.batch_work import Estimate, ImagesProgress, estimate, preview
from napari_microsr.widgets.command import quoted
from napari_microsr.widgets.form import ChoiceBox, form_layout, tooltip
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.localise_render import small_button
from napari_microsr.widgets.scrolled import scrolled
from napari_microsr.widgets.task import Task
from napari_microsr.widgets.train_forms import settings_of

if TYPE_CHECKING:
    import napari

_YAML = "Job file (*.yaml *.yml)"


class BatchWidget(JobWidget):
    """Do one task with many images, watch how far each is, and open what came of it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer in which results are opened.
    """

    job_class = BatchJob
    title = "Batch"
    purpose = "Do one task with many images: files, folders, plates. A second start does what is missing."
    shown = ("pattern",)
    hidden = ("plate", "ending")
    choices = {"pattern": ("", *PRESETS)}  # noqa: RUF012 - see the base

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self._batch: BatchJob | None = None
        self._news: SimpleQueue[ItemState] = SimpleQueue()
        self._finish: Callable[[Any], str] = lambda _result: ""
        super().__init__()
        self.copy_button.hide()

    def build(self, layout: QVBoxLayout) -> None:
        """Add the pickers of task and images, and make the forms of the tasks."""
        self.do = ChoiceBox(tuple(panel.title for panel in PANELS.values()))
        self.do.setObjectName("do")
        self.do.setToolTip(tooltip(BatchJob.model_fields["do"].description or ""))
        self.inputs = InputsPicker("images", BatchJob.model_fields["inputs"].description or "")
        self.overviews = InputsPicker("overviews", BatchJob.model_fields["overviews"].description or "")
        self.output = RunFolder(self.labels)
        self.tasks = SettingsTab()
        self.progress = ProgressTab(self.labels)
        rows = QWidget()
        form = form_layout(rows)
        self.labels.add_row(form, "Task", self.do)
        self.labels.add_row(form, "Images", self.inputs)
        self.labels.add_row(form, "Overviews", self.overviews)
        self._images_label = form.labelForField(self.inputs)
        self._overview_label = form.labelForField(self.overviews)
        layout.addWidget(rows)
        self.do.currentIndexChanged.connect(self._task_chosen)
        self.inputs.changed.connect(self._suggest)
        self.tasks.load_button.clicked.connect(self._load)
        self.progress.opened.connect(self.open_result)
        self.progress.retried.connect(self.retry)
        self.progress.reported.connect(self.open_report)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form into the first of the tabs."""
        self.form.editors["pattern"].lineEdit().setPlaceholderText("none: every image of a folder")
        mark = self.labels.mark
        self.preview_button = small_button(mark("Preview"), "List the images that are found.")
        self.estimate_button = small_button(
            mark("Estimate time and size"), "Try a tile or a few frames, and say what the batch takes."
        )
        self.preview_button.clicked.connect(lambda _: self.look_ahead(preview, self._previewed))
        self.estimate_button.clicked.connect(lambda _: self.look_ahead(estimate, self._estimated))
        place = self.body.indexOf(self.form) + 1
        self.body.insertWidget(place, self.output)
        self.body.insertWidget(place + 1, self.preview_button)
        self.body.insertWidget(place + 2, self.estimate_button)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.tabs.addTab(form, "Images")
        self.tabs.addTab(scrolled(self.tasks), "Settings")
        self.tabs.addTab(self.progress, "Progress")
        return self.tabs

    @property
    def task_name(self) -> str:
        """The chosen task, as jobs call it."""
        return str(list(PANELS)[self.do.currentIndex()])

    def job(self) -> BatchJob:
        """Return the batch that the form describes."""
        inputs, task = self.inputs.get(), self.task_name
        if not inputs:
            raise InputError("There are no images.", "Choose files, a folder or a plate.")
        given = {"overviews": self.overviews.get()} if task == "register" else {}
        options = settings_of(self.form, BatchJob) | settings_of(self.advanced, BatchJob)
        return BatchJob.parse(
            {
                "do": task,
                "inputs": inputs,
                **given,
                "output": self.output.get(),
                **{name: value for name, value in options.items() if value},
                "settings": self.tasks.forms[task].checked(),
            }
        )

    # Running.

    def work(self, job: Any, only: Collection[str] | None = None) -> Callable[[Task], Any]:
        """Return the run, of all images or only some; its states come through a queue, many at once."""
        news: SimpleQueue[ItemState] = SimpleQueue()
        self._news, self._finish = news, self._run_done
        self._begin(job)
        return lambda task: run_batch(job, ImagesProgress(task), news.put, only)

    def look_ahead(self, look: Callable[[BatchJob], Any], finish: Callable[[Any], str]) -> None:
        """Find out something of the form's batch in the background; nothing is done or written.

        Parameters
        ----------
        look : callable
            Called in the worker thread with the batch.
        finish : callable
            Takes the result in the main thread and returns what to tell.
        """
        self.say("")
        try:
            job = self.job()
        except MicroSRError as error:
            self.say(str(error))
            return
        self._begin(job)
        self._finish = finish
        self.start(f"Looking at the images: {job.output}", lambda _: look(job))

    def retry(self) -> None:
        """Do what failed in the table's batch again, and nothing else."""
        failed = {state.key for state in self.progress.states if state.state == "failed"}
        if self.task is None and self._batch is not None:
            self.say("")
            self.start(f"{self.title}: {self._batch.output}", self.work(self._batch, failed))

    def progressed(self) -> None:
        """Show the states that came since the last time."""
        states = []
        while True:
            try:
                states.append(self._news.get_nowait())
            except Empty:
                break
        self.progress.table.take(states)

    def ended(self, task: Task) -> str:
        """Show how every image ended, and say it in short."""
        self.progressed()
        self.output.check()
        self._look(busy=False)
        if task.cancelled:
            return f"Cancelled. {count_text(self.progress.states)}. Run does the rest."
        return "" if task.error is not None else self._finish(task.result)

    def _run_done(self, _ends: Any) -> str:
        return f"Done. {count_text(self.progress.states)}."

    def _previewed(self, states: list[ItemState]) -> str:
        self.progress.table.take(states)
        self._look(busy=False)
        return f"{count_text(states)}. Run does what is not done."

    def _estimated(self, found: Estimate) -> str:
        return f"{self._previewed(found.states)}\n{found.cost}."

    def _begin(self, job: BatchJob) -> None:
        self._batch = job
        self.progress.table.states.begin()
        self.tabs.setCurrentWidget(self.progress)
        self._look(busy=True)

    def _look(self, *, busy: bool) -> None:
        self.progress.look(busy=busy, report=self._batch is not None and self._report.is_file())
        for button in (self.preview_button, self.estimate_button):
            button.setEnabled(not busy)

    # Results.

    @property
    def _report(self) -> Path:
        return (self._batch.output if self._batch is not None else Path()) / REPORT

    def open_result(self) -> None:
        """Show the result of the chosen image."""
        state = self.progress.table.current()
        if state is None or self._batch is None:
            return
        try:
            text = show_result(self._viewer, state, self._batch.settings.get("pixel_nm"))
        except MicroSRError as error:
            text = str(error)
        self.say(text)

    def open_report(self) -> None:
        """Show the report in the browser."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report))):
            self.say(f"The report is {self._report}.")

    # Job files.

    def command(self) -> str:
        """Return the command that runs a saved batch; no line of options says all of one."""
        return quoted(["microsr", "run", f"{self.job().output.name}.yaml"])

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Job file", "", _YAML)
        if path:
            try:
                self.load(Path(path))
                self.say(f"Loaded: {path}")
            except MicroSRError as error:
                self.say(str(error))

    def load(self, file: Path) -> None:
        """Show what a job file says: the settings of a task, or a whole batch.

        Raises
        ------
        JobError
            If it cannot be read, is of another task, or has a wrong setting.
        """
        task, settings = read_job_file(file)
        if task == BatchJob.task:
            batch = BatchJob.parse(settings)
            self.tasks.forms[batch.do].load(batch.settings)
            self.restore({**settings, "output": str(batch.output), "tasks": {batch.do: batch.settings}})
        elif task in self.tasks.forms:
            self.tasks.forms[task].load(settings)
            self.do.setCurrentIndex(list(PANELS).index(task))
        else:
            raise JobError(
                f"{file} is a job of the task {task!r}.", f"A batch can do: {', '.join(self.tasks.forms)}."
            )

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time."""
        return {
            **super().settings(),
            "do": self.task_name,
            "inputs": self.inputs.edit.get(),
            "overviews": self.overviews.edit.get(),
            "output": self.output.folder.text(),
            "tasks": self.tasks.get(),
        }

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore(settings)
        self.tasks.put(settings.get("tasks", {}))
        task = str(settings.get("do"))
        self.do.setCurrentIndex(list(PANELS).index(task) if task in PANELS else 0)
        self.inputs.edit.put(settings.get("inputs", ()))
        self.overviews.edit.put(settings.get("overviews", ()))
        self.output.put(str(settings.get("output", "")))
        self._task_chosen()

    def _task_chosen(self, _: int = 0) -> None:
        self.tasks.choose(self.task_name)
        registers = self.task_name == "register"
        self._images_label.setText("F&ields" if registers else "&Images")
        for widget in (self.overviews, self._overview_label):
            widget.setVisible(registers)
        self._suggest()

    def _suggest(self) -> None:
        self.output.suggest(self.inputs.get(), self.task_name)
