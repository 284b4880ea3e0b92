"""The tasks that a batch can do, each with the settings of its own panel."""

from typing import Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_microsr.errors import JobError
from napari_microsr.smlm.localizations import check_pixel_nm
from napari_microsr.widgets.form import JobForm, Labels, form_layout, tooltip
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.localise import METHODS, LocaliseWidget, tell_none
from napari_microsr.widgets.localise_render import small_button
from napari_microsr.widgets.model_picker import ModelPicker
from napari_microsr.widgets.register import RegisterWidget
from napari_microsr.widgets.train_forms import settings_of
from napari_microsr.widgets.upscale import NETWORKS, UpscaleWidget

_MARGIN_PX = 9
#: The panel of each task, by the task's name.
PANELS: dict[str, type[JobWidget]] = {
    panel.job_class.task: panel for panel in (UpscaleWidget, RegisterWidget, LocaliseWidget)
}
#: Fields that the batch fills in. What is there already is the batch's business, too, so no `restart`.
_GIVEN: dict[str, Any] = {
    "source": "image", "output": "result", "overviews": ["image"], "fields": ["image"], "restart": False,
}  # fmt: skip


class TaskForm(QWidget):
    """All settings of a task but for its images and its output.

    Attributes
    ----------
    models : ModelPicker or None
        For tasks that have a model.

    Parameters
    ----------
    task : str
        Name of the task.
    """

    def __init__(self, task: str) -> None:
        super().__init__()
        panel = PANELS[task]
        self.job_class = panel.job_class
        labels = Labels("rcoe")  # Run, Cancel, Save as job file, Reset
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.models = _models(task)
        if self.models is not None:
            top = QWidget()
            self.models.setToolTip(tooltip(self.job_class.model_fields["model"].description or ""))
            labels.add_row(form_layout(top), "Model", self.models)
            rows.addWidget(top)
        rest = [name for name in self.job_class.model_fields if name not in {*panel.shown, *_GIVEN, "model"}]
        self.form = JobForm(self.job_class, panel.shown, panel.choices, labels)
        self.advanced = JobForm(self.job_class, tuple(rest), panel.choices, labels)
        if panel is LocaliseWidget:
            tell_none(self.form)
        collapsible = QCollapsible("Advanced", expandedIcon="▼", collapsedIcon="▶")
        collapsible.toggleButton().setToolTip(tooltip("Settings that are seldom needed."))
        collapsible.layout().setContentsMargins(0, 0, 0, 0)
        collapsible.addWidget(self.advanced)
        rows.addWidget(self.form)
        rows.addWidget(collapsible)
        rows.addStretch(1)
        self.put({})

    def get(self) -> dict[str, Any]:
        """Return the model and what differs from the defaults."""
        model = {} if self.models is None else {"model": self.models.get()}
        return model | settings_of(self.form, self.job_class) | settings_of(self.advanced, self.job_class)

    def checked(self) -> dict[str, Any]:
        """Return the settings of `get`.

        Raises
        ------
        JobError
            If one is wrong.
        """
        settings = self.get()
        self._check(settings)
        if "pixel_nm" in settings:
            check_pixel_nm(settings["pixel_nm"])
        return settings

    def put(self, settings: dict[str, Any]) -> None:
        """Show settings; what is not among them goes back to its default."""
        needed = [name for name, field in self.job_class.model_fields.items() if field.is_required()]
        for form in (self.form, self.advanced):
            form.reset()
            form.put(dict.fromkeys(needed, 0) | settings)  # what is needed has no default
        if self.models is not None:
            self.models.put(str(settings.get("model", self.job_class.model_fields["model"].default)))

    def load(self, settings: dict[str, Any]) -> None:
        """Show the settings of a job file.

        Raises
        ------
        JobError
            If one is wrong, or the model is not here.
        """
        self._check(settings)
        self.put(settings)
        model = settings.get("model")
        if self.models is not None and model is not None and self.models.get() != str(model):
            raise JobError(f"There is no model {model} here.", "Install it, or choose another one.")

    def _check(self, settings: dict[str, Any]) -> None:
        fields = self.job_class.model_fields
        self.job_class.parse({n: given for n, given in _GIVEN.items() if n in fields} | settings)


class SettingsTab(QWidget):
    """The settings of the chosen task.

    Attributes
    ----------
    forms : dict of str to TaskForm
        Of every task, by its name.
    load_button : QPushButton
        Loads them from a job file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forms = {task: TaskForm(task) for task in PANELS}
        self._heading = QLabel()
        self.load_button = small_button(
            "Load a job file…", "Take the settings of a YAML file: of a task, or of a whole batch."
        )
        rows = QVBoxLayout(self)
        rows.setContentsMargins(*(4 * [_MARGIN_PX]))
        for widget in (self._heading, self.load_button, *self.forms.values()):
            rows.addWidget(widget)
        rows.addStretch(1)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look again for networks: one may have been trained since."""
        for form in self.forms.values():
            if form.models is not None:
                form.models.refresh()
        super().showEvent(event)

    def choose(self, task: str) -> None:
        """Show the settings of a task."""
        self._heading.setText(f"<b>Settings of {PANELS[task].title}</b>")
        for name, form in self.forms.items():
            form.setVisible(name == task)

    def get(self) -> dict[str, dict[str, Any]]:
        """Return the settings of every task."""
        return {task: form.get() for task, form in self.forms.items()}

    def put(self, settings: dict[str, dict[str, Any]]) -> None:
        """Show settings of tasks; the others go back to their defaults."""
        for task, form in self.forms.items():
            form.put(settings.get(task, {}))


def _models(task: str) -> ModelPicker | None:
    if task == UpscaleWidget.job_class.task:
        return ModelPicker(NETWORKS)
    return ModelPicker(("localization",), METHODS) if task == LocaliseWidget.job_class.task else None
