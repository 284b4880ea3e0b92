"""Choose a network, and see what it is for."""

from collections.abc import Collection, Mapping
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_microsr.core.weights import ModelCard, find, list_cards
from napari_microsr.errors import MicroSRError
from napari_microsr.widgets.form import tooltip

OTHER = "Other weights…"


class ModelPicker(QWidget):
    """The installed networks for some tasks, and a file of the user's own.

    Parameters
    ----------
    tasks : collection of str
        Tasks of the cards to show.
    methods : mapping of str to str
        Methods without a network that stand beside them, and what each is for.
    """

    changed = Signal()

    def __init__(self, tasks: Collection[str], methods: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._tasks, self._methods = tasks, dict(methods or {})
        self._cards: dict[str, ModelCard] = {}
        self.fault = ""
        self.box = QComboBox()
        self.box.setObjectName("model")
        # The texts are long; the panel stays as narrow as the user makes it.
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.PlainText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.details)
        self.setFocusProxy(self.box)
        self._fill()
        self.box.view().setMinimumWidth(self.box.view().sizeHintForColumn(0) + 24)
        self.box.currentIndexChanged.connect(self._show)
        self.box.activated.connect(self._browse)

    def get(self) -> str:
        """Return the id, or the path, of the chosen model."""
        return str(self.box.currentData() or "")

    def put(self, model: str) -> None:
        """Choose a model by id or path; one that is not there (any more) is left out."""
        if self.box.findData(model) < 0 and Path(model).suffix:
            try:
                self._add(model, find(model)[0])
            except MicroSRError:
                return
        self.box.setCurrentIndex(max(self.box.findData(model), 0))

    def refresh(self) -> None:
        """Look again for what is installed; the choice stays where it is still there."""
        chosen = self.get()
        self.box.blockSignals(True)
        self.box.clear()
        self._cards.clear()
        self.fault = ""
        self._fill()
        self.box.blockSignals(False)
        self.put(chosen)
        self._show()

    @property
    def card(self) -> ModelCard | None:
        """The card of the chosen model."""
        return self._cards.get(self.get())

    def _fill(self) -> None:
        try:
            cards = list_cards()
        except MicroSRError as error:
            self.fault, cards = str(error), []
        self.box.addItem(OTHER, "")
        for card in cards:
            if card.task in self._tasks:
                self._add(card.id, card)
        for name in self._methods:
            self.box.insertItem(self.box.count() - 1, name, name)
        self.box.setCurrentIndex(0)
        self._show()

    def _add(self, key: str, card: ModelCard) -> None:
        self._cards[key] = card
        place = self.box.count() - 1
        self.box.insertItem(place, model_text(card), key)
        self.box.setItemData(place, tooltip(f"{card.summary} {card.limits}"), Qt.ItemDataRole.ToolTipRole)

    def _show(self) -> None:
        card = self.card
        without = self._methods.get(self.get(), self.fault)
        self.details.setText(without if card is None else f"{card.summary} Licence: {card.licence}.")
        self.details.setToolTip(tooltip(card.limits) if card else "")
        self.changed.emit()

    def _browse(self, index: int) -> None:
        """Ask for a file where the entry for it was chosen."""
        if self.box.itemText(index) != OTHER:
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Weights with their card beside them", "", "*.safetensors"
        )
        self.box.setCurrentIndex(0)
        if not path:
            return
        try:
            card, _ = find(path)
        except MicroSRError as error:
            self.details.setText(str(error))
            return
        if self.box.findData(path) < 0:
            self._add(path, card)
        self.box.setCurrentIndex(self.box.findData(path))


def model_text(card: ModelCard) -> str:
    """Return what a list says of a model: id, factor, pixel size, and which images it is for."""
    if card.task == "localization":
        return card.id
    size = "any pixel size"
    if card.pixel_size_range_um is not None:
        low, high = card.pixel_size_range_um
        size = f"{low:g}–{high:g} µm"
    elif card.pixel_size_um is not None:
        size = f"{card.pixel_size_um:g} µm"
    factor = "same size" if card.factor == 1 else f"{card.factor}×"
    domain = "any image" if card.domain == "any" else card.domain
    return f"{card.id}  ({factor}, {size}, {domain})"
