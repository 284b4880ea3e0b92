"""The settings of a training, spread over the tabs of its panel."""

from typing import Any, get_origin

from pydantic import BaseModel

from napari_microsr.core.weights import CardText
from napari_microsr.superres.loss_options import LossOptions
from napari_microsr.superres.presets import PRESETS, Preset
from napari_microsr.superres.registry import ARCHITECTURES
from napari_microsr.superres.training import TrainJob
from napari_microsr.widgets.evaluate_figures import narrow
from napari_microsr.widgets.form import ChoiceBox, JobForm, NumberBox

SHOWN = ("hold_out", "degradation", "factor", "steps")
HIDDEN = (
    "architecture", "start", "learning_rate", "batch", "patch_px", "check_every", "ema_decay", "precision",
    "device", "workers", "seed", "show", "tensorboard",
)  # fmt: skip
IMAGES = (
    "exclude", "hold_out_share", "group_pattern", "condition", "smallest_scale", "turn", "stain_jitter",
    "gamma_jitter", "gain_jitter", "report", "report_slides", "report_sample",
)  # fmt: skip
LOSS = tuple(LossOptions.model_fields)
CARD = ("summary", "domain", "licence", "pixel_size_um", "limits")
#: What text fields offer beside what may be typed.
CHOICES = {
    "architecture": tuple(it.name for it in ARCHITECTURES if it.name != "bicubic"),
    "degradation": (
        "bicubic",
        "area",
        "blur(0.3..1.2) > bicubic|area > noise(0..4)",
        "bicubic-down-up",
        "bilinear-down-up(2.5)",
    ),
    "loss": ("charbonnier", "l1", "mse"),
    "content_network": ("minivgg-fluorescence", "mobilenet-v2"),
    "discriminator": ("srgan", "unet", "swift"),
}
#: Fields that a preset sets, or sets back.
PRESET_FIELDS = {
    name for preset in PRESETS for name in preset.settings if name != "arguments"
} | {"start", "learning_rate"}  # fmt: skip
_FINE_DECIMALS = 9


def refine(*forms: JobForm) -> None:
    """Let weights and rates be as small as they are in the literature, and long choices be narrow."""
    for form in forms:
        for name, editor in form.editors.items():
            if isinstance(editor, ChoiceBox):
                narrow(editor)
            if isinstance(editor, NumberBox) and name.endswith(("_weight", "_rate")):
                editor.setDecimals(_FINE_DECIMALS)
        form.reset()


def show_preset(preset: Preset, *forms: JobForm) -> None:
    """Show a preset's settings; what other presets set goes back to its default."""
    values = {name: preset.settings.get(name, TrainJob.model_fields[name].default) for name in PRESET_FIELDS}
    for form in forms:
        form.put(values)


def settings_of(form: JobForm, kind: type[BaseModel] = TrainJob) -> dict[str, Any]:
    """Return what a form shows, without what is left at its default: so a job file stays short."""
    settings = {}
    for name, value in form.get().items():
        field = kind.model_fields[name]
        if get_origin(field.annotation) is tuple:
            value = tuple(filter(None, (part.strip() for part in (value or "").split(","))))
        elif value is None and field.annotation is str:
            value = ""
        if field.is_required() or value != field.default:
            settings[name] = value
    return settings


def card_settings(form: JobForm, data: str, pixel_um: float | None) -> dict[str, Any]:
    """Return what the model card says; what the user left empty is filled in.

    Parameters
    ----------
    form : JobForm
        The editors of `CARD`.
    data : str
        What is trained on.
    pixel_um : float or None
        Size of the network's input pixels, as the images say it.
    """
    settings = settings_of(form, CardText)
    settings["summary"] = settings["summary"] or f"Trained on {data}."
    settings["licence"] = settings["licence"] or "not stated"
    if pixel_um is not None:
        settings.setdefault("pixel_size_um", round(pixel_um, 4))
    return settings
