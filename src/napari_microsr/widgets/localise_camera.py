"""Choose a camera: its numbers from a preset, from the layer's metadata, or estimated."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from napari_microsr.smlm.camera import PRESETS, Camera
from napari_microsr.smlm.camera_metadata import read_camera
from napari_microsr.widgets.form import JobForm, tooltip
from napari_microsr.widgets.layers import file_of

if TYPE_CHECKING:
    from napari.layers import Layer

TITLES = {
    "photons": "Counts are photons",
    "challenge": "SMLM challenge",
    "scmos": "sCMOS, typical numbers",
    "emccd": "EMCCD, typical numbers",
}
OWN, METADATA, ESTIMATE = "My own numbers", "From the metadata", "Estimate from stack"
#: What a camera is described by in a job.
FIELDS = ("offset", "gain", "em_gain", "qe", "read_noise_e")


def camera_settings(camera: Camera) -> dict[str, Any]:
    """Return the fields of a job that describe a camera."""
    values = (camera.offset, camera.e_per_adu, camera.em_gain, camera.qe, camera.read_noise_e)
    return dict(zip(FIELDS, map(float, values), strict=True))


def _known(layer: "Layer") -> dict[str, Any]:
    said = layer.metadata.get("microsr", {}).get("camera", {})
    if isinstance(said, Mapping) and said:
        return {**said}
    path = file_of(layer)
    return {**read_camera(None if path is None else Path(path))}


class CameraPicker(QComboBox):
    """Fills the camera's fields of some forms; it says "my own numbers" when these are edited.

    Attributes
    ----------
    estimate : Signal
        The camera is to be estimated; `take` wants the outcome.

    Parameters
    ----------
    forms : tuple of JobForm
        Which together have the fields.
    """

    estimate = Signal()

    def __init__(self, forms: tuple[JobForm, ...]) -> None:
        super().__init__()
        self._forms = forms
        self._filling = False
        self._metadata: dict[str, Any] = {}
        self.setObjectName("camera")
        self.setToolTip(tooltip("Where the camera's numbers come from; they are on its data sheet."))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        for text, settings in self._choices().items():
            self.addItem(text, settings)
        self.currentIndexChanged.connect(self._chosen)
        for form in forms:
            form.changed.connect(self._edited)

    def look_at(self, layer: "Layer | None") -> None:
        """Offer what a layer's metadata, or its file, say of its camera, and take it."""
        known = {} if layer is None else _known(layer)
        if known == self._metadata:
            return
        self._metadata = known
        place = self.findText(METADATA)
        if place >= 0:
            self.removeItem(place)
        if known:
            self.insertItem(1, METADATA, known)
            self.setCurrentIndex(1)

    def take(self, camera: Camera) -> None:
        """Fill in what was estimated."""
        known = camera_settings(camera)
        self.setItemData(self.findText(ESTIMATE), {name: known[name] for name in ("offset", "gain")})
        self._fill()

    def _choices(self) -> dict[str, dict[str, Any]]:
        presets = {TITLES[name]: camera_settings(camera) for name, camera in PRESETS.items()}
        return {OWN: {}, ESTIMATE: {}, **presets}

    def _chosen(self) -> None:
        if self.currentText() != ESTIMATE:
            self._fill()
            return
        self.setItemData(self.currentIndex(), {})
        self.estimate.emit()

    def _fill(self) -> None:
        settings = self.currentData()
        if not settings:
            return
        self._filling = True
        for form in self._forms:
            form.put(settings)
        self._filling = False

    def _edited(self) -> None:
        settings = self.currentData()
        if self._filling or not settings:
            return
        shown = {name: value for form in self._forms for name, value in form.get().items()}
        if any(shown.get(name) != value for name, value in settings.items()):
            self.setCurrentIndex(0)
