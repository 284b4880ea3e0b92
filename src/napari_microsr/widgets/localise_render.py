"""The tab Render: how the image is drawn and shown, its resolution, and points of a part of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_microsr.smlm.render import RENDERERS
from napari_microsr.widgets.form import CheckBox, ChoiceBox, NumberBox, form_layout, tooltip
from napari_microsr.widgets.localise_plots import Plot

if TYPE_CHECKING:
    import napari

    from napari_microsr.smlm.frc import RingCorrelation

#: What the file dialog offers.
KINDS = "OME-Zarr, of any size (*.ome.zarr);;TIFF (*.tif)"
#: At which correlation the resolution is read (Nieuwenhuizen et al. 2013).
THRESHOLD = 1 / 7


class RenderTab(QWidget):
    """What the user wants of the image.

    Attributes
    ----------
    redraw, resize : Signal
        Another renderer, or another pixel size, is wanted.
    percentile, scale_bar : Signal
        Emitted with the new percentile, and with whether there is a scale bar.
    points, measure : Signal
        Points, or the resolution, are wanted.
    save : Signal
        A file is wanted; emitted with its path.
    """

    redraw, resize = Signal(), Signal()
    percentile, scale_bar = Signal(float), Signal(bool)
    points, measure, save = Signal(), Signal(), Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.renderer = ChoiceBox(tuple(RENDERERS))
        self.renderer.setToolTip(
            tooltip(
                "histogram counts localisations; gaussian draws each as wide as its uncertainty; "
                "ash averages shifted histograms."
            )
        )
        self.pixel = NumberBox(0.5, 1000.0, optional=False)
        self.pixel.put(10.0)
        self.pixel.setToolTip(tooltip("Size of a pixel of the image; about a third of the resolution."))
        self.bright = NumberBox(50.0, 100.0, optional=False)
        self.bright.put(99.5)
        self.bright.setToolTip(
            tooltip("Percentile of the pixels that show anything from which on all is brightest.")
        )
        self.bar = CheckBox("Scale bar")
        layout = QVBoxLayout(self)
        rows = QWidget()
        form = form_layout(rows)
        form.addRow("Renderer", self.renderer)
        form.addRow("Pixel (nm)", self.pixel)
        form.addRow("Brightest (%)", self.bright)
        form.addRow(self.bar)
        layout.addWidget(rows)
        self.save_button = small_button(
            "Save the image…", "Write an OME-Zarr pyramid or a TIFF of what is kept."
        )
        self.points_button = small_button(
            "Show as points", "Make a Points layer of what is kept and in view."
        )
        self.measure_button = small_button(
            "Measure the resolution", "Fourier ring correlation of two halves."
        )
        self.resolution = QLabel()
        self.resolution.setWordWrap(True)
        self.resolution.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.resolution.hide()
        self.curve = Plot("1/µm", height=120)
        self.curve.hide()
        for widget in (
            self.save_button,
            self.points_button,
            self.measure_button,
            self.resolution,
            self.curve,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.renderer.currentTextChanged.connect(lambda _: self.redraw.emit())
        self.pixel.setKeyboardTracking(False)
        self.pixel.valueChanged.connect(lambda _: self.resize.emit())
        self.bright.valueChanged.connect(self.percentile)
        self.bar.toggled.connect(self.scale_bar)
        self.save_button.clicked.connect(self._save)
        self.points_button.clicked.connect(lambda: self.points.emit())
        self.measure_button.clicked.connect(lambda: self.measure.emit())

    def _save(self) -> None:
        path, kind = QFileDialog.getSaveFileName(self, "Image of the kept localisations", "", KINDS)
        if path:
            ending = ".tif" if "tif" in kind else ".ome.zarr"
            self.save.emit(Path(path) if path.endswith((".zarr", ".tif", ".tiff")) else Path(path + ending))

    def show_resolution(self, correlation: "RingCorrelation", said: str) -> None:
        """Show a ring correlation with its threshold, and what it tells."""
        per_um = correlation.frequency_nm * 1000
        level = np.full(len(per_um), THRESHOLD)
        self.curve.draw(per_um, correlation.smoothed, level)
        # Three times the frequency of the resolution tells enough.
        last = np.fmin(3000 / correlation.resolution_nm, per_um[-1])
        self.curve.setXRange(0, float(last))
        self.curve.show()
        self.resolution.setText(said)
        self.resolution.show()

    def forget_resolution(self) -> None:
        """Hide what was measured of another table."""
        self.curve.hide()
        self.resolution.hide()


def show_scale_bar(viewer: "napari.viewer.Viewer", on: bool) -> None:
    """Show napari's scale bar or hide it."""
    # A part of the canvas since napari 0.9.
    canvas: Any = getattr(viewer, "canvas", None)
    (viewer if canvas is None else canvas.overlays).scale_bar.visible = on


def small_button(text: str, says: str) -> QPushButton:
    """Return a button with its tooltip; Enter presses it."""
    button = QPushButton(text)
    button.setToolTip(tooltip(says))
    button.setAutoDefault(True)
    return button
