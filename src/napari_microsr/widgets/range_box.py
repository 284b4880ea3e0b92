"""An editor for a smallest and a largest value."""

from collections.abc import Sequence

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_microsr.widgets.form import NumberBox, tooltip


class RangeBox(QWidget):
    """Two numbers, "from" and "to".

    Parameters
    ----------
    name : str
        Of what, for those who hear it instead of seeing it.
    text : str
        The tooltip.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__()
        self.low, self.high = (NumberBox(0.0, 1e6, optional=False) for _ in range(2))
        for box, which in ((self.low, "smallest"), (self.high, "largest")):
            box.setAccessibleName(f"{name}, {which}")
        self.setToolTip(tooltip(text))
        self.setFocusProxy(self.low)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.low, 1)
        layout.addWidget(QLabel("to"))
        layout.addWidget(self.high, 1)

    def get(self) -> tuple[float, float]:
        """Return both numbers."""
        return self.low.get() or 0.0, self.high.get() or 0.0

    def put(self, values: Sequence[float]) -> None:
        """Show both numbers."""
        for box, value in zip((self.low, self.high), values, strict=True):
            box.put(value)
