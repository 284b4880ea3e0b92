"""A form made from a Job class: one row per field, with its description as the tooltip."""

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

_UNITS = {"px": "px", "um": "µm", "nm": "nm", "deg": "°", "e": "e⁻"}
_ACRONYMS = {"psf": "PSF", "em": "EM", "qe": "QE", "ssim": "SSIM", "tv": "TV", "ema": "EMA"}
AUTO = "auto"
DECIMALS = 4


class OptionalSpinBox(QSpinBox):
    """A whole number or, below the smallest one, "auto". The arrows go in steps of 64."""

    step = 64

    def __init__(self, smallest: int, largest: int) -> None:
        super().__init__()
        self.setRange(smallest - 1, largest)
        self.setSpecialValueText(AUTO)

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Go to the next multiples of the step."""
        self.setValue((self.value() // self.step + steps) * self.step)

    def get(self) -> int | None:
        """Return the number, None for auto."""
        return None if self.value() == self.minimum() else self.value()

    def put(self, value: int | None) -> None:
        """Show a number, or auto."""
        self.setValue(self.minimum() if value is None else int(value))


class CountBox(QSpinBox):
    """A whole number."""

    def __init__(self, smallest: int, largest: int) -> None:
        super().__init__()
        self.setRange(smallest, largest)
        self.setStepType(QSpinBox.StepType.AdaptiveDecimalStepType)

    def get(self) -> int:
        """Return the number."""
        return int(self.value())

    def put(self, value: int) -> None:
        """Show a number."""
        self.setValue(int(value))


class NumberBox(QDoubleSpinBox):
    """A number or, where it may be missing, "auto" at 0. The arrows go in steps of its size."""

    def __init__(self, smallest: float, largest: float, *, optional: bool) -> None:
        super().__init__()
        self._optional = optional
        self.setDecimals(DECIMALS)
        self.setRange(smallest, largest)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        if optional:
            self.setSpecialValueText(AUTO)

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Go in steps of the number's size; from 0, of a size that can be seen."""
        if self.value() == 0:
            self.setValue(steps * 10.0**-DECIMALS)
        else:
            super().stepBy(steps)

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Leave out the zeros at the end."""
        text = str(super().textFromValue(value))
        point = str(self.locale().decimalPoint())
        return text.rstrip("0").removesuffix(point) if point in text else text

    def get(self) -> float | None:
        """Return the number, None for auto."""
        return None if self._optional and self.value() == self.minimum() else float(self.value())

    def put(self, value: float | None) -> None:
        """Show a number, or auto."""
        self.setValue(self.minimum() if value is None else float(value))


class TextEdit(QLineEdit):
    """A text, several with commas, or nothing."""

    def get(self) -> str | None:
        """Return the text, None if there is none."""
        return self.text().strip() or None

    def put(self, value: str | Sequence[str] | None) -> None:
        """Show a text, or several."""
        self.setText(value if isinstance(value, str) else ", ".join(value or ()))


class CheckBox(QCheckBox):
    """Yes or no."""

    def get(self) -> bool:
        """Return whether it is checked."""
        return bool(self.isChecked())

    def put(self, value: bool) -> None:
        """Check it or not."""
        self.setChecked(bool(value))


class ChoiceBox(QComboBox):
    """One of some texts, or (if `free`) another one typed in."""

    def __init__(self, choices: tuple[str, ...], *, free: bool = False) -> None:
        super().__init__()
        self.addItems(choices)
        self.setEditable(free)

    def get(self) -> str:
        """Return the chosen or typed text."""
        return str(self.currentText()).strip()

    def put(self, value: str | None) -> None:
        """Choose a text, None for none."""
        if self.isEditable():
            self.setEditText(str(value or ""))
        else:
            self.setCurrentText(str(value))


Editor = OptionalSpinBox | CountBox | NumberBox | TextEdit | CheckBox | ChoiceBox


def editor_for(field: FieldInfo, choices: tuple[str, ...] = ()) -> Editor:
    """Return an editor for a field's type; `choices` are offered for a text that may be another one."""
    kind = field.annotation
    if kind is bool:
        return CheckBox()
    if get_origin(kind) is Literal:
        return ChoiceBox(tuple(map(str, get_args(kind))))
    limits = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le") if hasattr(m, name)}
    if kind is float or float in get_args(kind):
        return NumberBox(limits.get("ge", 0.0), limits.get("le", 1e6), optional=kind is not float)
    if kind is int:
        return CountBox(limits.get("ge", 0), limits.get("le", 2**31 - 1))
    if int in get_args(kind):
        return OptionalSpinBox(limits.get("ge", 1), limits.get("le", 2**31 - 1))
    return ChoiceBox(choices, free=True) if choices else TextEdit()


class JobForm(QWidget):
    """Editors for some fields of a Job class.

    Parameters
    ----------
    job : type of BaseModel
        The class, most often a Job.
    fields : tuple of str
        Which of its fields, in this order.
    choices : dict
        Suggestions for text fields.
    labels : Labels
        Where the keyboard shortcuts are given out.
    """

    changed = Signal()

    def __init__(
        self,
        job: type[BaseModel],
        fields: tuple[str, ...],
        choices: dict[str, tuple[str, ...]],
        labels: "Labels",
    ) -> None:
        super().__init__()
        self._job = job
        self.editors: dict[str, Editor] = {}
        layout = form_layout(self)
        for name in fields:
            field = job.model_fields[name]
            editor = editor_for(field, choices.get(name, ()))
            editor.setObjectName(name)
            editor.setToolTip(tooltip(field.description or ""))
            self.editors[name] = editor
            labels.add_row(layout, label_text(name), editor)
            for signal in ("textChanged", "valueChanged", "toggled", "currentTextChanged"):
                if hasattr(editor, signal):
                    getattr(editor, signal).connect(self._changed)
        self.reset()

    def reset(self) -> None:
        """Show the defaults."""
        self.put({name: self._job.model_fields[name].default for name in self.editors})

    def get(self) -> dict[str, Any]:
        """Return what the editors show."""
        return {name: editor.get() for name, editor in self.editors.items()}

    def put(self, values: dict[str, Any]) -> None:
        """Show values; those of other fields, or of a type that an editor cannot hold, are left out."""
        for name, editor in self.editors.items():
            if name in values:
                try:
                    editor.put(values[name])
                except (TypeError, ValueError, OverflowError):
                    continue  # settings written by another version

    def _changed(self, *_: object) -> None:
        self.changed.emit()


class Labels:
    """Gives each label of a panel its own letter, so that Alt and the letter lead to its editor.

    Parameters
    ----------
    taken : str
        Letters of the panel's buttons.
    """

    def __init__(self, taken: str) -> None:
        self._taken = set(taken.lower())

    def mark(self, text: str) -> str:
        """Put the mark of a shortcut before a letter that is free."""
        for place, letter in enumerate(text):
            if letter.isalpha() and letter.lower() not in self._taken:
                self._taken.add(letter.lower())
                return f"{text[:place]}&{text[place:]}"
        return text

    def add_row(self, layout: QFormLayout, text: str, editor: QWidget) -> None:
        """Add an editor with its label; a check box carries the label itself."""
        if isinstance(editor, QCheckBox):
            editor.setText(self.mark(text))
            layout.addRow(editor)
            return
        label = QLabel(self.mark(text))
        label.setToolTip(editor.toolTip())
        label.setBuddy(editor)
        layout.addRow(label, editor)


def form_layout(parent: QWidget) -> QFormLayout:
    """Return a layout whose rows break where the panel is narrow."""
    layout = QFormLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def label_text(name: str) -> str:
    """Turn a field's name into words: tile_px -> Tile (px)."""
    first, *others = name.split("_")
    unit = _UNITS.get(others.pop()) if others and others[-1] in _UNITS else None
    text = " ".join([_ACRONYMS.get(first, first.capitalize()), *(_ACRONYMS.get(w, w) for w in others)])
    return f"{text} ({unit})" if unit else text


def tooltip(text: str) -> str:
    """Return rich text, which Qt breaks into lines."""
    return f"<p>{text}</p>"
