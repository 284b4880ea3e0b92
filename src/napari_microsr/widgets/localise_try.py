"""The button that tries the settings on the frame in view, and what came of it."""

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_microsr.errors import MicroSRError
from napari_microsr.widgets.form import tooltip
from napari_microsr.widgets.localise_overlay import Detections, FrameOverlay


class TryPanel(QWidget):
    """Switches an overlay, and tells what it found.

    Parameters
    ----------
    overlay : FrameOverlay
        What circles the molecules of a frame.
    """

    def __init__(self, overlay: FrameOverlay) -> None:
        super().__init__()
        self._overlay = overlay
        self.button = QPushButton("&Try on this frame")
        self.button.setCheckable(True)
        self.button.setToolTip(
            tooltip("Circle what is found in the frame in view, while you change frames and settings.")
        )
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.text)
        self.button.toggled.connect(self._switch)
        overlay.found.connect(self._found)
        overlay.failed.connect(self._failed)

    def _switch(self, on: bool) -> None:
        self._tell("")
        self._overlay.switch(on)

    def _found(self, found: Detections) -> None:
        notes = "".join(f"\n{message}" for message in found.said)
        self._tell(f"Frame {found.frame}: {len(found.points):,} molecules.{notes}")

    def _failed(self, error: MicroSRError) -> None:
        self._tell(str(error))

    def _tell(self, text: str) -> None:
        self.text.setText(text)
        self.text.setVisible(bool(text))
