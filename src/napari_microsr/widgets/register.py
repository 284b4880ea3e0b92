"""The dock widget Register."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari.layers import Image
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QSplitter, QTabWidget, QVBoxLayout, QWidget

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, MicroSRError, OutputError
from napari_microsr.registration.job import RegisterJob, RegisterOptions
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.widgets.command import option_words, quoted
from napari_microsr.widgets.compare_views import CompareViews, View
from napari_microsr.widgets.correction import HandCorrection
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.layers import as_file, file_of, source_from_layer
from napari_microsr.widgets.locate import Locator
from napari_microsr.widgets.output_picker import OutputPicker
from napari_microsr.widgets.placed_layers import PlacedLayers
from napari_microsr.widgets.placement_book import PlacementBook
from napari_microsr.widgets.placement_files import FilesPanel
from napari_microsr.widgets.placement_table import PlacementTable, remark, verdict
from napari_microsr.widgets.register_correct import CorrectDesk
from napari_microsr.widgets.register_panels import ComparePanel, CorrectPanel, LocatePanel
from napari_microsr.widgets.register_sources import SourcePicker
from napari_microsr.widgets.register_work import pixel_um, shown_file, unseen_files
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    import napari


class RegisterWidget(JobWidget):
    """Find fields on an overview, lay them over it as layers, correct and export their placements.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are offered, and in which the fields are placed.
    """

    job_class = RegisterJob
    title = "Register"
    purpose = "Find fields of high magnification on the overview of a slide, and lay them over it."
    shown = ("overview_um", "field_um", "transform")
    hidden = ("contrast", "max_rotation_deg", "max_scale_error", "joint")

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self._built = False
        self._finish: Callable[[Task], str] = lambda _task: ""
        super().__init__()
        self.book = PlacementBook()
        self.placed = PlacedLayers(viewer, self.book, self)
        self.views = CompareViews(viewer, self.placed, self.book, self)
        self.locator = Locator(viewer, self.placed, self)
        self.table = PlacementTable(self.book)
        self.correct, self.compare = CorrectPanel(), ComparePanel(self.labels.mark)
        self.locate, self.files = LocatePanel(), FilesPanel(self)
        self.desk = CorrectDesk(self, HandCorrection(viewer, self.placed, self.book, self))
        self.tabs = QTabWidget()
        self.tabs.addTab(self.correct, "Correct")
        self.tabs.addTab(self.compare, "Compare")
        self.tabs.addTab(self.locate, "Locate")
        self.tabs.addTab(self.files, "Files")
        results = QSplitter(Qt.Orientation.Vertical)
        results.setChildrenCollapsible(False)
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        upper = QWidget()
        rows = QVBoxLayout(upper)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.table)
        rows.addWidget(self.verdict)
        results.addWidget(upper)
        results.addWidget(self.tabs)
        results.setStretchFactor(0, 1)
        self.pages.addTab(results, "Placements")
        self._connect()
        self._suggest()
        self._built = True

    def build(self, layout: QVBoxLayout) -> None:
        """Add the picker of layers and folder."""
        self.sources = SourcePicker(self._viewer, self.labels)
        layout.addWidget(self.sources)
        self.output = OutputPicker(self.labels, endings=(".json",), what="a file of placements")
        layout.addWidget(self.output)
        self.sources.changed.connect(self._suggest)

    def frame(self, form: QWidget) -> QWidget:
        """Put the form on one page, and what comes of it on another."""
        self.pages = QTabWidget()
        self.pages.addTab(form, "Search")
        return self.pages

    def _connect(self) -> None:
        self.table.chosen.connect(self._chosen)
        self.book.changed.connect(self._say_verdict)
        self.locator.located.connect(self.locate.show_hits)
        self.locate.listen.toggled.connect(self.locator.listen)
        self.locate.chosen.connect(self.table.choose)
        self.compare.viewed.connect(self._view)
        self.views.failed.connect(self._view_ended)
        self.compare.by_verdict.toggled.connect(self.views.by_verdict)

    def event(self, event: QEvent) -> bool:
        """End what goes on in the canvas when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self._built:
            self.views.show("none", None)
            self.locator.listen(False)
            self.desk.rest()
        return super().event(event)

    # The run.

    def job(self) -> RegisterJob:
        """Return the job of the form.

        Raises
        ------
        MicroSRError
            If there is no overview or no field, or a setting is wrong.
        """
        overviews, fields = self.sources.overviews(), self.sources.fields()
        folder, output = self.sources.field_folder, self.output.get()
        if output.exists() and not self.output.replace.isChecked():
            raise OutputError(f"{output} exists.", "Give another name, or choose to replace it.")
        return RegisterJob.parse(
            {
                **self.form.get(),
                **self.advanced.get(),
                "overviews": [file_of(layer) or layer.name for layer in overviews],
                "fields": [
                    *(file_of(layer) or layer.name for layer in fields),
                    *([str(folder)] if folder else []),
                ],
                "output": output,
            }
        )

    def options(self) -> RegisterOptions:
        """Return the settings of the form without its images.

        Raises
        ------
        MicroSRError
            If one is wrong.
        """
        return RegisterOptions.parse({**self.form.get(), **self.advanced.get()})

    def work(self, job: RegisterJob) -> Callable[[Task], Placements]:
        """Return the run: everything of the viewer is gathered here, in the main thread."""
        overviews = self._taken(self.sources.overviews(), self.placed.take_overview)
        fields = self._taken(self.sources.fields(), self.placed.take_field)
        folder = self.sources.field_folder
        self._note_overviews([source for source, _ in overviews], job)
        self.book.begin()
        previous = self.book.placements() if len(self.book) else None
        self._finish = self._run_ended

        def run(task: Task) -> Placements:
            from napari_microsr.registration.job import register

            here = {source.name for source, _ in fields}
            files = unseen_files(folder, [path for _, path in (*overviews, *fields)])

            def placed(placement: FieldPlacement) -> None:
                new = placement.name not in here and placement.matrix_yx is not None
                task.announced.emit((placement, shown_file(placement.path) if new else None))

            return register(
                job,
                overviews=[as_file(*given) for given in overviews],
                fields=[*(as_file(*given) for given in fields), *files],
                progress=task,
                placed=placed,
                previous=previous,
            )

        return run

    def announced(self, what: Any) -> None:
        """Show a field that was placed."""
        self.pages.setCurrentIndex(1)
        placement, arguments = what
        if arguments is not None and self.placed.field(placement.name) is None:
            self.placed.add(placement.name, arguments)
        self.book.put(placement)

    def do(self, title: str, work: Callable[[Task], Any], finish: Callable[[Task], str]) -> None:
        """Do other work than the run, one at a time.

        Parameters
        ----------
        title : str
            What napari calls it when it asks whether to close the window.
        work : callable
            Called in the worker thread with its `Task`.
        finish : callable
            Called in the main thread at the end; returns what to tell the user.
        """
        if self.task is not None:
            self.say("Wait for the end of the present run, or cancel it.")
            return
        self.say("")
        self._finish = finish
        self.start(title, work)

    def ended(self, task: Task) -> str:
        """Take the end of whatever was done."""
        return self._finish(task)

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore(settings)
        if not settings:
            self.output.reset()
            self._suggest()

    def _suggest(self) -> None:
        """Offer a file beside the first overview."""
        overviews = self.sources.of_role("overview")
        if overviews:
            self.output.suggest(self.files_folder(), f"{overviews[0].name}-placements")

    def _run_ended(self, task: Task) -> str:
        if task.result is not None:
            self.book.finish(task.result)
        self.placed.hide_lost()
        self.placed.draw()
        self._suggest()
        return ("Cancelled. " if task.cancelled else "") + self.book.summary()

    def _taken(
        self, layers: list[Image], take: Callable[[str, Image], None]
    ) -> list[tuple[ImageSource, str | None]]:
        for layer in layers:
            take(layer.name, layer)
        return [(source_from_layer(layer), file_of(layer)) for layer in layers]

    def _note_overviews(self, sources: list[ImageSource], job: RegisterJob) -> None:
        for source in sources:
            size = (source.height, source.width)
            um = pixel_um(source, job.overview_um)
            self.book.overviews[source.name] = OverviewInfo(source.name, None, size, um)

    def command(self) -> str:
        """Return the command that does the same, where all layers are files that it can open."""
        job = self.job()
        layers = [*self.sources.overviews(), *self.sources.fields()]
        for layer in layers:
            if as_file(source_from_layer(layer), file_of(layer)).path is None:
                raise InputError(
                    f"{layer.name} is not the unchanged content of a file.",
                    "Save the layer and open the file; then a command can repeat the run.",
                )
        first, *more = job.overviews
        words = ["microsr", job.task, first, *job.fields, "--out", str(job.output)]
        return quoted([*words, *(word for path in more for word in ("--overview", path)), *option_words(job)])

    # What the panel Files needs.

    def files_folder(self) -> Path:
        """Return where files are offered to be written: beside the first overview."""
        path = next((file_of(layer) for layer in self.sources.of_role("overview")), None)
        return Path(path).parent if path else Path.home()

    # What the table, the canvas and the views say to each other.

    def _chosen(self, name: str) -> None:
        """Show the field that was chosen in the table."""
        self.desk.choose(name)
        self._say_verdict(name)
        self.placed.show_overview_of(name)
        self.placed.zoom_to(name)
        self._view(self.compare.view)

    def _say_verdict(self, name: str) -> None:
        """Say below the table what the chosen field's verdict means."""
        placement = self.book.get(name)
        if name == self.table.current():
            what = "" if placement is None else f"{name}: {verdict(placement)}. {remark(placement)}"
            self.verdict.setText(what.strip())

    def _view(self, view: str) -> None:
        try:
            self.views.show(cast("View", view), self.table.current())
        except InputError as error:
            self._view_ended(error)

    def _view_ended(self, error: MicroSRError) -> None:
        self.compare.reset()
        self.say(str(error))
