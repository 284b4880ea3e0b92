"""The panel that every task's widget is built on: form, Run and Cancel, progress, messages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import notification_manager, show_error, show_info
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_microsr.core.job import Job
from napari_microsr.core.output import whole, writing
from napari_microsr.errors import MicroSRError
from napari_microsr.widgets.command import command_line, quoted
from napari_microsr.widgets.form import JobForm, Labels, tooltip
from napari_microsr.widgets.run_bar import RunBar
from napari_microsr.widgets.scrolled import scrolled
from napari_microsr.widgets.settings import load_settings, save_settings
from napari_microsr.widgets.task import Task


class JobWidget(QWidget):
    """Base of the widgets; a subclass says what its job is and what to do with it.

    A subclass sets the class attributes, builds its own rows in `build`, and overrides `job`, `work` and
    what it wants of `announced`, `advanced`, `ended`, `settings` and `restore`.

    Attributes
    ----------
    form, advanced : JobForm
        Editors of the fields `shown`, and of those `hidden` under Advanced.
    task : Task or None
        The run in progress.
    """

    job_class: type[Job]
    title: str
    purpose: str
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - replaced as a whole, by a subclass
    #: Whether a button saves the job as a file; False where copying the command does.
    saves_job = True

    def __init__(self) -> None:
        super().__init__()
        self.task: Task | None = None
        self.labels = Labels("rcoe")  # Run, Cancel, Copy, Reset
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.addWidget(self._header())
        self.build(self.body)
        self.form = JobForm(self.job_class, self.shown, self.choices, self.labels)
        self.body.addWidget(self.form)
        self.advanced = JobForm(self.job_class, self.hidden, self.choices, self.labels)
        self.collapsible = QCollapsible("Advanced", expandedIcon="▼", collapsedIcon="▶")
        self.collapsible.toggleButton().setToolTip(tooltip("Settings that are seldom needed."))
        self.collapsible.layout().setContentsMargins(0, 0, 0, 0)
        self.collapsible.addWidget(self.advanced)
        self.body.addWidget(self.collapsible)
        self.body.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 6, 6, 6)
        outer.addWidget(self.frame(scrolled(content)), 1)
        self._add_controls(outer)
        self.restore(load_settings(self.job_class.task))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for a width at which the dock's title is whole; less will do."""
        return super().sizeHint().expandedTo(QSize(320, 0))

    def event(self, event: QEvent) -> bool:
        """Stop the run when napari takes the widget out of its dock, which neither closes nor deletes it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self.task is not None:
            self.task.cancel()
        return bool(super().event(event))

    # What a subclass fills in.

    def build(self, layout: QVBoxLayout) -> None:
        """Add the rows that no editor of a single field can be."""

    def frame(self, form: QWidget) -> QWidget:
        """Return what lies above Run and Cancel: the form, or what a subclass puts around it."""
        return form

    def job(self) -> Job:
        """Return the job that the form describes.

        Raises
        ------
        MicroSRError
            If the form is not complete.
        """
        raise NotImplementedError

    def work(self, job: Any) -> Callable[[Task], Any]:
        """Return what the worker thread does; it must not touch the widget, the viewer or a layer."""
        raise NotImplementedError

    def announced(self, what: Any) -> None:
        """Take what the work announced (in the main thread)."""

    def progressed(self) -> None:
        """Take notice that the work has got on."""

    def ended(self, task: Task) -> str:
        """Take the end of the work, and return what to tell the user about a run that was not in error."""
        return "Cancelled." if task.cancelled else "Done."

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time."""
        return {**self.form.get(), **self.advanced.get()}

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        for form in (self.form, self.advanced):
            form.reset()
            form.put(settings)

    # Running.

    def run_or_cancel(self) -> None:
        """Do what the button says."""
        if self.task is None:
            self.run()
        elif not self.task.cancelling:
            self.task.cancel()
            self.button.setText("Cancelling…")
            self.button.setEnabled(False)

    def run(self) -> None:
        """Start the job of the form."""
        self.say("")
        try:
            job = self.job()
            work = self.work(job)
        except MicroSRError as error:
            self.say(str(error))
            return
        save_settings(self.job_class.task, self.settings())
        self.start(f"{self.title}: {getattr(job, 'output', '') or getattr(job, 'name', '')}", work)

    def start(self, title: str, work: Callable[[Task], Any]) -> None:
        """Do work in the background, with the bar and the button of this panel.

        Parameters
        ----------
        title : str
            What napari calls it when it asks whether to close the window.
        work : callable
            As `work` returns it.
        """
        self.task = Task(title, work)
        self.task.advanced.connect(self._advanced)
        self.task.warned.connect(self._warned)
        self.task.announced.connect(self.announced)
        self.task.ended.connect(self._ended)
        # Without its widget the run stops at the next tile; it can be resumed.
        self.destroyed.connect(self.task.cancel)
        self.button.setText("&Cancel")
        self.bar.begin()
        self.task.start()

    def _advanced(self, label: str, done: int, total: int) -> None:
        self.bar.advance(label, done, total)
        self.progressed()

    def _warned(self, message: str) -> None:
        self.add(f"Note: {message}")

    def _ended(self) -> None:
        task, self.task = self.task, None
        if task is None:
            return
        self.destroyed.disconnect(task.cancel)
        self.bar.hide()
        self.button.setText("&Run")
        self.button.setEnabled(True)
        text = self.ended(task)
        if task.error is None:
            self.add(text)
        elif isinstance(task.error, MicroSRError):
            self.say(f"{task.error} {text}")
            show_error(str(task.error))
        else:
            self.say(f"The run failed: {type(task.error).__name__}: {task.error} {text}")
            # napari shows it with its traceback, and offers to copy that into a bug report.
            notification_manager.receive_error(type(task.error), task.error, task.error.__traceback__)

    def say(self, text: str) -> None:
        """Show a message in the panel."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def add(self, text: str) -> None:
        """Show one more message below the others."""
        self.say("\n".join(filter(None, (self.message.text(), text))))

    def reset(self) -> None:
        """Show the defaults, and forget what was kept."""
        self.restore({})
        save_settings(self.job_class.task, {})
        self.say("")

    def command(self) -> str:
        """Return the command line of the form's job.

        Raises
        ------
        MicroSRError
            If the form is not complete, or no command can do the same.
        """
        return command_line(self.job())

    def copy_command(self) -> None:
        """Put the command line of the form's job on the clipboard."""
        try:
            line = self.command()
        except MicroSRError as error:
            self.say(str(error))
            return
        QGuiApplication.clipboard().setText(line)
        self.say(f"Copied: {line}")
        show_info("The command is on the clipboard.")

    def save_job(self) -> None:
        """Save the form's job as a file for `microsr run`, where the layers are files that it can open."""
        try:
            self.command()
            job = self.job()
            path, _ = QFileDialog.getSaveFileName(self, "Job file", f"{job.task}.yaml", "Job file (*.yaml)")
            if not path:
                return
            file = Path(path) if Path(path).suffix else Path(f"{path}.yaml")
            with writing(file), whole(file) as partial:
                partial.write_text(job.to_yaml(), encoding="utf-8")
        except MicroSRError as error:
            self.say(str(error))
            return
        self.say(f"Saved. The same without napari: {quoted(['microsr', 'run', str(file)])}")

    def _header(self) -> QWidget:
        header = QLabel(f"<b>{self.title}</b><br>{self.purpose}")
        header.setWordWrap(True)
        return header

    def _add_controls(self, outer: QVBoxLayout) -> None:
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.message.hide()
        self.bar = RunBar()
        self.button = QPushButton("&Run")
        self.button.setToolTip(
            tooltip(f"Start, or cancel after the step in hand: {self.job_class.after_cancel}.")
        )
        self.button.clicked.connect(self.run_or_cancel)
        self.copy_button = QPushButton("C&opy command")
        self.copy_button.setToolTip(tooltip("Copy the command line that does the same without napari."))
        self.copy_button.clicked.connect(self.copy_command)
        self.reset_button = QPushButton("R&eset")
        self.reset_button.setToolTip(tooltip("Go back to the defaults."))
        self.reset_button.clicked.connect(self.reset)
        for button in (self.button, self.copy_button, self.reset_button):
            button.setAutoDefault(True)  # Enter presses it
        small = QHBoxLayout()
        small.addWidget(self.copy_button, 1)
        if self.saves_job:
            self.save_button = QPushButton("Save job…")
            self.save_button.setToolTip(tooltip("Save a file with which microsr run does the same."))
            self.save_button.clicked.connect(self.save_job)
            self.save_button.setAutoDefault(True)
            small.addWidget(self.save_button)
        small.addWidget(self.reset_button)
        for widget in (self.message, self.bar, self.button):
            outer.addWidget(widget)
        outer.addLayout(small)
