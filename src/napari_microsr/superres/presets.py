"""Settings to begin a training with: a network, and what goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_microsr.core.weights import ModelCard
from napari_microsr.superres.registry import ARCHITECTURES

#: Learning rate and steps for going on from a trained network.
_TUNING = {"learning_rate": 2e-4, "steps": 2000}
#: What the images say, not the network.
_FROM_IMAGES = ("channels", "factor")


@dataclass(frozen=True)
class Preset:
    """A network with settings that suit it.

    Attributes
    ----------
    name : str
        What a list shows.
    summary : str
        What it is for.
    settings : mapping
        Fields of a `TrainJob` that are others than their defaults. `arguments` lack channels and factor,
        which follow from the images.
    """

    name: str
    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def magnifies(self) -> bool:
        """Whether the network's result is larger than its input."""
        return magnifies(str(self.settings["architecture"]))


PRESETS = (
    Preset(
        "Fast",
        "Magnifies. Small and quick, true to the image; the network of histology-x2.",
        {
            "architecture": "fast-residual",
            "arguments": {"features": 32, "blocks": 6},
            "steps": 4000,
            "check_every": 200,
        },
    ),
    Preset(
        "Fast, for blurred and noisy images",
        "Magnifies. Is told blur and noise of the image, which Super-resolve estimates.",
        {
            "architecture": "conditioned-residual",
            "arguments": {"features": 32, "blocks": 6},
            "condition": True,
            "degradation": "blur(0..1.5) > bicubic|area > noise(0..8)",
            "steps": 6000,
            "check_every": 200,
        },
    ),
    Preset(
        "Sharpen (PlacentaSR)",
        "Keeps the size. A U-Net for images that were enlarged from coarser ones.",
        {
            "architecture": "residual-unet",
            "arguments": {"head": "linear"},
            "degradation": "bicubic-down-up",
            "factor": 4,
            "patch_px": 128,
            "batch": 8,
            "steps": 4000,
            "check_every": 200,
            "learning_rate": 1e-3,
        },
    ),
    Preset(
        "Sharpen, crisp (MedImageRefine)",
        "Keeps the size. With an adversary: looks sharper and is less true.",
        {
            "architecture": "unet-generator",
            "degradation": "bilinear-down-up(2.5)",
            "patch_px": 240,
            "steps": 5000,
            "learning_rate": 1e-3,
            "loss": "mse",
            "pixel_weight": 0.99,
            "adversarial_weight": 0.01,
            "adversarial": "bce",
            "discriminator": "unet",
            "discriminator_rate": 1e-3,
        },
    ),
    Preset(
        "Crisp (Swift-SRGAN)",
        "Magnifies. With an adversary: looks sharper, and what it adds may be invented.",
        {
            "architecture": "swift-srgan",
            "factor": 4,
            "patch_px": 24,
            "steps": 10000,
            "learning_rate": 1e-3,
            "loss": "mse",
            "content_weight": 0.006,
            "adversarial_weight": 0.001,
            "adversarial": "bce",
            "tv_weight": 2e-8,
            "discriminator": "swift",
            "discriminator_rate": 1e-3,
        },
    ),
    Preset(
        "Crisp, fluorescence (mSRGAN)",
        "Magnifies. With features of cells and an adversary; large and slow, a graphics card helps.",
        {
            "architecture": "srresnet-x4",
            "factor": 4,
            "patch_px": 24,
            "steps": 20000,
            "learning_rate": 1e-4,
            "loss": "mse",
            "pixel_weight": 0.4,
            "content_weight": 0.8,
            "content_scale": "sum",
            "adversarial_weight": 1e-5,
            "discriminator_rate": 1e-3,
        },
    ),
)


def fine_tuning(card: ModelCard) -> Preset | None:
    """Return the preset that goes on from a trained network, None where it cannot be trained on."""
    bases = {str(preset.settings["architecture"]): preset for preset in PRESETS}
    base = bases.get(card.architecture)
    if base is None or card.sha256 is None:
        return None
    arguments = {name: value for name, value in card.arguments.items() if name not in _FROM_IMAGES}
    settings = {**base.settings, "start": card.id, "arguments": arguments, **_TUNING}
    if base.magnifies:
        settings["factor"] = card.factor
    return Preset(f"Go on from {card.id}", f"Tunes it to your images. {card.summary}", settings)


def magnifies(architecture: str) -> bool:
    """Say whether a network's result is larger than its input; of a name that is not known, True."""
    return all(it.task == "super-resolution" for it in ARCHITECTURES if it.name == architecture)


def network_arguments(
    architecture: str, own: Mapping[str, Any], channels: int, factor: int
) -> dict[str, Any]:
    """Return all arguments of a network: its own, and those that follow from the images."""
    return {"channels": channels, **own, **({"factor": factor} if magnifies(architecture) else {})}
