"""The tab Export: tables to files, and from files."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_microsr.widgets.form import NumberBox, form_layout, tooltip
from napari_microsr.widgets.localise_render import small_button

#: What the file dialogs offer.
KINDS = "ThunderSTORM (*.csv);;Picasso (*.hdf5 *.h5);;Parquet (*.parquet)"
READABLE = "Tables of localisations (*.csv *.hdf5 *.h5 *.parquet)"


class ExportTab(QWidget):
    """Buttons that read and write tables.

    Attributes
    ----------
    opened : Signal
        A file is to be read; emitted with its path and the pixel size of its camera, or None.
    saved : Signal
        What is kept is to be written; emitted with the path.
    """

    opened, saved = Signal(object, object), Signal(object)

    def __init__(self) -> None:
        super().__init__()
        text = QLabel(
            "Run writes all that it finds. Here goes what the filters keep, free of drift and merged "
            "where that was done."
        )
        text.setWordWrap(True)
        self.save_button = small_button("Save the kept table…", "ThunderSTORM, Picasso or Parquet.")
        self.open_button = small_button("Open a table…", "Filter, correct and draw a table of any program.")
        self.pixel = NumberBox(0.0, 10_000.0, optional=True)
        self.pixel.setToolTip(
            tooltip("Camera pixel of an opened table; auto takes what the file says, and 100 nm for CSV.")
        )
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addWidget(self.save_button)
        layout.addSpacing(12)
        rows = QWidget()
        form_layout(rows).addRow("Pixel of file (nm)", self.pixel)
        layout.addWidget(rows)
        layout.addWidget(self.open_button)
        layout.addStretch(1)
        self.save_button.clicked.connect(self._save)
        self.open_button.clicked.connect(self._open)

    def _save(self) -> None:
        path, kind = QFileDialog.getSaveFileName(self, "Table of the kept localisations", "", KINDS)
        if path:
            ending = kind.partition("*")[2].split(")")[0].split(" ")[0]
            self.saved.emit(Path(path) if Path(path).suffix else Path(path + ending))

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Table of localisations", "", READABLE)
        if path:
            self.opened.emit(Path(path), self.pixel.get())
