"""What follows a localisation: filters, drift, image, points and files, all on one table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFrame, QScrollArea, QTabWidget, QWidget

from napari_microsr.smlm.localizations import Localizations
from napari_microsr.widgets.localise_drift import DriftTab
from napari_microsr.widgets.localise_export import ExportTab
from napari_microsr.widgets.localise_filter import FilterTab
from napari_microsr.widgets.localise_findings import Findings
from napari_microsr.widgets.localise_image import SuperImage
from napari_microsr.widgets.localise_layers import rendered_arguments
from napari_microsr.widgets.localise_overlay import MOST_POINTS
from napari_microsr.widgets.localise_points import add_points
from napari_microsr.widgets.localise_render import RenderTab, show_scale_bar
from napari_microsr.widgets.localise_work import measure, save_image
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_microsr.smlm.drift import Drift

#: Does work in the background; the second function takes its result and returns what to tell.
Compute = Callable[[str, Callable[[Task], Any], Callable[[Any], str]], None]
Say = Callable[[str], None]


class Results(QObject):
    """The tabs beside the form, and what they act on.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the image and points are shown.
    compute : callable
        Does work in the background.
    say : callable
        Tells the user something.
    parent : QObject
        Ends with it.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", compute: Compute, say: Say, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._compute, self._say = viewer, compute, say
        self._stack: Image | None = None
        self._drift: Drift | None = None
        self._name = "localisations"
        self.findings = Findings(self)
        self.image = SuperImage(viewer, self)
        self.filter, self.drift = FilterTab(self.findings), DriftTab(self.findings)
        self.render, self.export = RenderTab(), ExportTab()
        self.findings.changed.connect(self.draw)
        self.image.drawn.connect(self.findings.take)
        self.image.failed.connect(lambda error: say(str(error)))
        self.filter.merge.connect(self.merge)
        self.drift.estimate.connect(self.correct)
        self.drift.undo.connect(lambda: self.findings.correct(None))
        self.render.redraw.connect(self.draw)
        self.render.resize.connect(self.open_image)
        self.render.percentile.connect(self.image.set_percentile)
        self.render.scale_bar.connect(lambda on: show_scale_bar(viewer, on))
        self.render.points.connect(self.show_points)
        self.render.measure.connect(self.measure)
        self.render.save.connect(self.save_image)
        self.findings.replaced.connect(self.render.forget_resolution)
        self.findings.changed.connect(self.render.forget_resolution)
        self.export.opened.connect(self.open)
        self.export.saved.connect(self.save)

    def add_to(self, tabs: QTabWidget) -> None:
        """Add the tabs."""
        shown = (self.filter, self.drift, self.render, self.export)
        for tab, title in zip(shown, ("Filter", "Drift", "Render", "Export"), strict=True):
            tabs.addTab(scrolled(tab), title)

    def begin(self, stack: "Image | None", name: str) -> None:
        """Forget the table; the next one is of this stack."""
        self._stack, self._name = stack, name
        self.findings.begin(None)

    def grow(self, rows: Localizations) -> None:
        """Take what one more block of frames gave."""
        first = not self.findings.known
        self.findings.grow(rows)
        if first:
            self.open_image()
        else:
            self.image.add(self.findings.keep(rows))

    def finish(self, table: Localizations | None) -> None:
        """Take the whole table of a finished run; None keeps what was found until it stopped."""
        if table is not None:
            self.findings.begin(table)
            if not self.image.shown:
                self.open_image()
        self.draw()

    def open_image(self) -> None:
        """Lay an image of the chosen pixel size over the stack, and draw it."""
        table = self.findings.table
        if table is None:
            return
        name = f"{self._name} super-resolved"
        self.image.open(table, self.render.pixel.get() or 10.0, self._present(), name)
        pyramid = self.image.pyramid
        if pyramid is not None and pyramid.pixel_nm != self.render.pixel.get():
            self._say(
                f"The field is too large for {self.render.pixel.get():g} nm in memory: the image has "
                f"{pyramid.pixel_nm:g} nm. Save the image to get it as fine as you want."
            )
        self.draw()

    def draw(self) -> None:
        """Draw what is kept."""
        choice = self.findings.choice
        if choice is not None and self.image.shown:
            self.image.show(choice, self.render.renderer.get())

    def show_points(self) -> None:
        """Make a Points layer of what is kept and in view, if these are not too many."""
        kept = self.findings.kept
        if kept is None or not len(kept):
            self._say("There are no localisations to show.")
            return
        self._say(add_points(self._viewer, self._present(), kept, f"{self._name} points", MOST_POINTS))

    def merge(self, radius_nm: float, dark_frames: int) -> None:
        """Merge repeated events of what is kept."""
        kept = self._kept_or_say()
        if kept is None:
            return

        def work(task: Task) -> Any:
            from napari_microsr.smlm.events import merge

            return merge(kept, radius_nm, dark_frames)

        def take(events: Any) -> str:
            self.findings.begin(events.table)
            self.draw()
            return f"{len(kept):,} localisations became {len(events.table):,} events."

        self._compute("Merge repeated events", work, take)

    def correct(self, method: str, segment_frames: int | None) -> None:
        """Estimate the drift from what is kept, and take it out of all."""
        table = self.findings.table
        if self._kept_or_say() is None or table is None:
            return
        kept = self.findings.keep(table)

        def work(task: Task) -> Any:
            from napari_microsr.smlm.drift import estimate_drift

            drift = estimate_drift(kept, method, segment_frames, task)
            return drift, drift.correct(table)

        def take(result: Any) -> str:
            drift, moved = result
            self.findings.correct(moved)
            self._drift = drift
            self.drift.show_drift(drift, table.pixel_nm)
            return "The drift is taken out."

        self._compute("Correct the drift", work, take)

    def measure(self) -> None:
        """Measure the resolution of what is kept."""
        kept = self._kept_or_say()
        if kept is None:
            return

        def take(result: Any) -> str:
            self.render.show_resolution(*result)
            return "The resolution is measured."

        self._compute("Measure the resolution", lambda task: measure(kept, task), take)

    def save(self, path: Path) -> None:
        """Write what is kept, and beside it the drift that was taken out."""
        kept = self._kept_or_say()
        if kept is None:
            return
        drift = self._drift if self.findings.corrected else None

        def work(task: Task) -> Path:
            from napari_microsr.smlm.drift_job import write_curve
            from napari_microsr.smlm.formats import write_table

            if drift is not None:
                write_curve(path.with_suffix(".drift.csv"), drift, kept.pixel_nm)
            return write_table(path, kept)

        self._compute(f"Save {path}", work, lambda written: f"Saved {len(kept):,} localisations: {written}")

    def save_image(self, path: Path) -> None:
        """Render what is kept into a file; a store is shown."""
        kept, stack = self._kept_or_say(), self._present()
        if kept is None:
            return
        pixel_nm, renderer = self.render.pixel.get() or 10.0, self.render.renderer.get()

        def work(task: Task) -> Any:
            return save_image(kept, path, pixel_nm, renderer, self._name, task)

        def take(result: Any) -> str:
            written, arguments = result
            if arguments is not None:
                place = {} if stack is None else rendered_arguments(stack, kept.pixel_nm / pixel_nm)
                look = {"colormap": "inferno", "contrast_limits": self.image.limits}
                self._viewer.add_image(
                    name=written.name.removesuffix(".ome.zarr"), **arguments | place | look
                )
            return f"Saved the image: {written}"

        self._compute(f"Save {path}", work, take)

    def open(self, path: Path, pixel_nm: float | None) -> None:
        """Read a table."""

        def work(task: Task) -> Localizations:
            from napari_microsr.smlm.formats import Field, read_table

            return read_table(path, Field(pixel_nm=pixel_nm))

        def take(table: Localizations) -> str:
            self.begin(None, path.stem)
            self.findings.begin(table)
            self.open_image()
            height, width = table.shape_yx
            return (
                f"{len(table):,} localisations in {table.n_frames:,} frames of {height} × {width} pixels "
                f"of {table.pixel_nm:g} nm."
            )

        self._compute(f"Open {path}", work, take)

    def _present(self) -> "Image | None":
        return self._stack if self._stack is not None and self._stack in self._viewer.layers else None

    def _kept_or_say(self) -> Localizations | None:
        kept = self.findings.kept
        if kept is None or not len(kept):
            self._say("There are no localisations: run first, or open a table.")
            return None
        return kept


def scrolled(tab: QWidget) -> QScrollArea:
    """Return a tab that is scrolled where the window is low."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setWidget(tab)
    return scroll
