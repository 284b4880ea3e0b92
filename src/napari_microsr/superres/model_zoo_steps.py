"""What a package of the BioImage Model Zoo asks to be done to an image before and after its network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from napari_microsr.core.weights import ModelCard
from napari_microsr.errors import ModelError
from napari_microsr.superres.normalise import HIGH_PERCENT, LOW_PERCENT

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Steps:
    """How a package's image reaches its network and comes back.

    Attributes
    ----------
    normalisation : {"identity", "percentile"}
        What is done to the whole image first.
    before, after : callable
        What is done then, pixel by pixel, before and after the network.
    note : str
        What is not exactly as the package asks.
    """

    normalisation: Literal["identity", "percentile"]
    before: Step
    after: Step
    note: str


@dataclass(frozen=True)
class Affine:
    """gain * x + offset; each a number or one per channel."""

    gain: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x` (N, C, H, W)."""
        return x * self.gain.to(x) + self.offset.to(x)

    def undo(self, x: Tensor) -> Tensor:
        """Map back."""
        return (x - self.offset.to(x)) / self.gain.to(x)


def steps_of(path: Path, given: Any, made: Any) -> Steps:
    """Return the steps around a package's network.

    A result for which the package asks for nothing comes back to the image's intensities by the inverse of
    what was done to the image.

    Raises
    ------
    ModelError
        If a step needs more of the image than its percentiles, or is not known.
    """
    first, note, normalisation = list(given.preprocessing), "", "identity"
    first = [step for step in first if step.id != "ensure_dtype"]
    last = [step for step in made.postprocessing if step.id != "ensure_dtype"]
    if first and first[0].id == "scale_range":
        normalisation, note = "percentile", _percentile_note(first.pop(0).kwargs)
        # It would bring the result to the image's intensities, which we do.
        last = [step for step in last if step.id != "scale_mean_variance"]
        if any(step.id == "scale_linear" for step in last):
            raise _refused(path, "scale_linear", "after percentiles")
    before = [_step(path, step) for step in first]
    after = [_step(path, step) for step in last]
    if not any(isinstance(step, Affine) for step in after):
        after += [step.undo for step in reversed(before) if isinstance(step, Affine)]
    kept: Literal["identity", "percentile"] = "percentile" if normalisation == "percentile" else "identity"
    return Steps(kept, _chain(before), _chain(after), note)


def described_steps(
    card: ModelCard, image: Tensor
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float, float]:
    """Return how a package describes a card's normalisation, and what becomes 0 and 1 in an image of it.

    Returns
    -------
    tuple
        The steps before the network and those after it, as a package writes them; and two intensities. After
        percentiles the result stays in units of them, since no step of a package brings it back.
    """
    if card.normalisation == "identity":
        return [], [], 0.0, 1.0
    if card.normalisation == "range":
        return [_linear(1 / 255)], [_linear(255.0)], 0.0, 255.0
    percents = {"min_percentile": LOW_PERCENT, "max_percentile": HIGH_PERCENT}
    scale = {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], **percents}}
    ends = torch.tensor([LOW_PERCENT, HIGH_PERCENT], dtype=torch.float64) / 100
    low, high = torch.quantile(image.double(), ends).tolist()
    return [scale], [], low, high


def _linear(gain: float) -> dict[str, Any]:
    return {"id": "scale_linear", "kwargs": {"gain": gain, "offset": 0.0}}


def _percentile_note(kwargs: Any) -> str:
    asked = (kwargs.min_percentile, kwargs.max_percentile)
    if asked == (LOW_PERCENT, HIGH_PERCENT):
        return ""
    return (
        f"The package asks for the percentiles {asked[0]:g} and {asked[1]:g}; the image is normalised by "
        f"{LOW_PERCENT} and {HIGH_PERCENT}."
    )


def _step(path: Path, step: Any) -> Step:
    if step.id == "scale_linear":
        return Affine(_per_channel(step.kwargs.gain), _per_channel(step.kwargs.offset))
    if step.id == "fixed_zero_mean_unit_variance":
        std = _per_channel(step.kwargs.std)
        return Affine(1 / std, -_per_channel(step.kwargs.mean) / std)
    if step.id == "sigmoid":
        return torch.sigmoid
    if step.id == "clip" and step.kwargs.min_percentile is None and step.kwargs.max_percentile is None:
        low, high = step.kwargs.min, step.kwargs.max
        return lambda x: x.clamp(low, high)
    raise _refused(path, step.id, "for single pixels")


def _refused(path: Path, step: str, where: str) -> ModelError:
    return ModelError(
        f"The package {path} asks for {step}, which is not known {where}.",
        "Choose a package that scales by fixed numbers or by percentiles.",
    )


def _per_channel(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _chain(steps: list[Step]) -> Step:
    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run
