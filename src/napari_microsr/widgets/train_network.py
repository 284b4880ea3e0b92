"""Choose the network to train, with settings that suit it."""

from typing import Any

import yaml
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_microsr.core.weights import list_cards
from napari_microsr.errors import JobError, MicroSRError
from napari_microsr.superres.presets import PRESETS, Preset, fine_tuning
from napari_microsr.widgets.evaluate_figures import narrow
from napari_microsr.widgets.form import TextEdit, tooltip


class PresetPicker(QWidget):
    """The networks with their settings, and the trained ones to go on from.

    Attributes
    ----------
    chosen : Signal
        The user chose one.
    """

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.setObjectName("preset")
        narrow(self.box)
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.PlainText)
        self.setToolTip(tooltip("A network, with settings that suit it; choosing one sets them anew."))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.details)
        self.setFocusProxy(self.box)
        self.presets: dict[str, Preset] = {}
        self.refresh()
        self.box.currentIndexChanged.connect(self._show)
        self.box.activated.connect(lambda _: self.chosen.emit())

    @property
    def preset(self) -> Preset:
        """The chosen one."""
        return self.presets[self.box.currentText()]

    def put(self, name: str) -> None:
        """Choose one by name; a name that is not there (any more) chooses the first."""
        self.box.setCurrentIndex(max(self.box.findText(name), 0))
        self._show()

    def refresh(self) -> None:
        """Offer what can be trained, and gone on from, now."""
        former = self.box.currentText()
        try:
            tuned = [preset for card in list_cards() if (preset := fine_tuning(card)) is not None]
        except MicroSRError:
            tuned = []  # a card is wrong; Super-resolve says which
        self.presets = {preset.name: preset for preset in (*PRESETS, *tuned)}
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems(list(self.presets))
        self.box.blockSignals(False)
        self.put(former)

    def _show(self, _: int = 0) -> None:
        self.details.setText(self.preset.summary)


class ArgumentsEdit(TextEdit):
    """Arguments of a network as `name: value, name: value`."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("arguments")
        self.setToolTip(
            tooltip(
                "Arguments of the network, such as <i>features: 32, blocks: 6</i>; the model page says which."
            )
        )

    def show_arguments(self, arguments: dict[str, Any]) -> None:
        """Show arguments."""
        text = yaml.safe_dump(arguments, default_flow_style=True, sort_keys=False, width=10_000)
        self.put(text.strip().strip("{}"))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments.

        Raises
        ------
        JobError
            If the text is none.
        """
        try:
            found = yaml.safe_load("{" + (self.get() or "") + "}")
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict) or None in found.values():
            raise JobError(
                f"The arguments of the network, {self.get()!r}, cannot be read.",
                "Write them as 'features: 32, blocks: 6'.",
            )
        return found
