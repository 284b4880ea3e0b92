"""Export and import placements, merge the fields into one image, and make training pairs of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QWidget

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.registration.formats import FORMATS, read_placements, write_placements
from napari_microsr.registration.placement import Placements
from napari_microsr.widgets.form import CheckBox, NumberBox, tooltip
from napari_microsr.widgets.layers import as_file, file_of, source_from_layer
from napari_microsr.widgets.register_panels import button
from napari_microsr.widgets.register_work import shown_file
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    from napari_microsr.widgets.register import RegisterWidget

#: How the formats are called where people choose one.
TITLES = {
    "placements": "MicroSR placements (.json)",
    "positions": "Table of positions (.csv)",
    "itk": "ITK transforms (.itk)",
    "qupath": "QuPath (.qupath.json)",
    "ome-zarr-0.5": "OME-Zarr 0.5, approximate (.ome.zarr)",
    "ome-zarr-0.6": "OME-Zarr 0.6 scene (.scene.zarr)",
}
MERGED = ".ome.zarr"
#: Formats that are folders, which another dialog asks for.
_FOLDERS = ("itk", "ome-zarr-0.5", "ome-zarr-0.6")


class FilesPanel(QWidget):
    """Buttons for what goes out and comes in.

    Parameters
    ----------
    widget : RegisterWidget
        With the placements and their layers.
    """

    def __init__(self, widget: "RegisterWidget") -> None:
        super().__init__()
        self._widget = widget
        self.kinds = QComboBox()
        self.kinds.setAccessibleName("Format of the export")
        for name, kind in FORMATS.items():
            self.kinds.addItem(TITLES.get(name, f"{name} ({kind.suffix})"), name)
        self.export = button("Export…", "Write the placements in the chosen format.")
        self.import_ = button("Import…", "Read placements in the chosen format, and show them.")
        self.merge = button("Merge to OME-Zarr…", "Blend the fields over their overview into one image.")
        self.um = NumberBox(0.0, 1e6, optional=True)
        self.um.setToolTip(tooltip("Pixel size of the merged image in µm; auto takes the finest field's."))
        self.um.setAccessibleName("Pixel size of the merged image in µm")
        self.pairs = button(
            "Export training pairs…",
            "Write each placed field and the overview below it on matching grids, to train a network on.",
        )
        self.whole = CheckBox("Fields whole")
        self.whole.setToolTip(
            tooltip(
                "Extend the merged image to fields that reach beyond the overview, instead of cutting them."
            )
        )
        size = QLabel("Its pixel size (µm)")
        size.setBuddy(self.um)
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 6, 4, 4)
        grid.addWidget(self.kinds, 0, 0, 1, 2)
        grid.addWidget(self.export, 1, 0)
        grid.addWidget(self.import_, 1, 1)
        grid.addWidget(self.merge, 2, 0)
        grid.addWidget(self.whole, 2, 1)
        grid.addWidget(size, 3, 0)
        grid.addWidget(self.um, 3, 1)
        grid.addWidget(self.pairs, 4, 0, 1, 2)
        grid.setRowStretch(5, 1)
        self.export.clicked.connect(self._export)
        self.import_.clicked.connect(self._import)
        self.merge.clicked.connect(self._merge)
        self.pairs.clicked.connect(self._export_pairs)

    def _export(self) -> None:
        suffix = FORMATS[self.kinds.currentData()].suffix
        path = self._ask("Export placements", suffix)
        if path is None:
            return
        placements, images = self._widget.book.placements(), self._images()

        def work(task: Progress) -> list[str]:
            opened = {name: as_file(*given) for name, given in images.items()}
            return write_placements(placements, path, images=opened, progress=task)

        self._widget.do(f"Export: {path}", work, self._done(path))

    def _import(self) -> None:
        name = self.kinds.currentData()
        suffix, start = FORMATS[name].suffix, str(self._widget.files_folder())
        if name in _FOLDERS:
            chosen = QFileDialog.getExistingDirectory(self, f"Import a folder {suffix}", start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, "Import placements", start, f"*{suffix}")
        if chosen:
            self.open(Path(chosen))

    def open(self, path: Path) -> None:
        """Read placements, and show them on their images."""
        known = self._widget.book.placements() if len(self._widget.book) else None
        here = set(self._images())

        def work(task: Progress) -> tuple[Placements, dict[str, Any]]:
            placements = read_placements(path, known)
            paths = {it.name: it.path for it in placements.overviews}
            paths |= {it.name: it.path for it in placements.fields if it.matrix_yx is not None}
            layers: dict[str, Any] = {}
            for number, name in enumerate(absent := sorted(set(paths) - here)):
                task.advance("images", number, len(absent))
                layers[name] = shown_file(paths[name])
            return placements, layers

        self._widget.do(f"Import: {path}", work, self._imported)

    def _imported(self, task: Task) -> str:
        if task.result is None:
            return "Cancelled." if task.cancelled else ""
        placements, layers = task.result
        self._widget.placed.adopt(placements, layers)
        self._widget.book.begin()
        self._widget.book.finish(placements)
        self._widget.placed.draw()
        return self._widget.book.summary()

    def _merge(self) -> None:
        path = self._ask("Merge to OME-Zarr", MERGED)
        if path is None:
            return
        placements, images, um = self._widget.book.placements(), self._images(), self.um.get()
        overview, whole = self._chosen_overview(placements), self.whole.get()

        def work(task: Progress) -> dict[str, Any]:
            from napari_microsr.registration.merge import MergeJob, merge
            from napari_microsr.widgets.stored import open_result

            opened = {name: as_file(*given) for name, given in images.items()}
            settings = {"placements": path, "output": path, "overview": overview, "um": um, "whole": whole}
            job = MergeJob.parse(settings)
            store = merge(job, placements=placements, images=opened, progress=task)
            return open_result(store)

        def finish(task: Task) -> str:
            if task.result is None:
                return "Cancelled; the same merge continues it." if task.cancelled else ""
            self._widget.placed.add_image(path.name.removesuffix(MERGED), task.result)
            return f"Done: {path}"

        self._widget.do(f"Merge: {path}", work, finish)

    def _export_pairs(self) -> None:
        path = self._ask("Export training pairs into a new folder", "", "training pairs")
        if path is None:
            return
        placements, images = self._widget.book.placements(), self._images()
        overview = self._chosen_overview(placements)

        def work(task: Progress) -> list[str]:
            from napari_microsr.registration.pairs import PairsJob, export_pairs

            opened = {name: as_file(*given) for name, given in images.items()}
            job = PairsJob.parse({"placements": path, "output": path, "overview": overview})
            manifest = export_pairs(job, placements=placements, images=opened, progress=task)
            fields = json.loads(manifest.read_text(encoding="utf-8"))["fields"]
            kept = sum(len(field["patches"]) for field in fields)
            dropped = sum(sum(field["dropped"].values()) for field in fields)
            return [f"{kept} patches of {len(fields)} fields fit, {dropped} do not and are left out."]

        self._widget.do(f"Training pairs: {path}", work, self._done(path))

    def _chosen_overview(self, placements: Placements) -> str | None:
        """Return the overview of the field chosen in the table, else the first."""
        chosen = self._widget.table.current()
        placement = self._widget.book.get(chosen) if chosen else None
        if placement is not None and placement.overview is not None:
            return placement.overview
        return placements.overviews[0].name if placements.overviews else None

    def _done(self, path: Path) -> Callable[[Task], str]:
        def finish(task: Task) -> str:
            if task.result is None:
                return "Cancelled." if task.cancelled else ""
            return "\n".join([f"Done: {path}", *task.result])

        return finish

    def _images(self) -> dict[str, tuple[ImageSource, str | None]]:
        """Describe the layers of all overviews and fields that are there."""
        placed, book = self._widget.placed, self._widget.book
        layers = {name: placed.overview(name) for name in placed.overview_names}
        layers |= {placement.name: placed.field(placement.name) for placement in book}
        return {
            name: (replace(source_from_layer(layer), name=name), file_of(layer))
            for name, layer in layers.items()
            if layer is not None
        }

    def _ask(self, title: str, suffix: str, name: str = "placements") -> Path | None:
        start = str(self._widget.files_folder() / f"{name}{suffix}")
        name, _ = QFileDialog.getSaveFileName(self, title, start, f"*{suffix}")
        if not name:
            return None
        return Path(name if name.endswith(suffix) else name + suffix)
