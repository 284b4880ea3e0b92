"""Readers of the files of foreign networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_microsr.core.weights import SUFFIX, load_pickle
from napari_microsr.errors import ModelError
from napari_microsr.superres.wrapped import Wrapped

if TYPE_CHECKING:
    from torch import Tensor, nn

#: How an image is measured to learn what a network that says nothing takes and gives.
TRIED_CHANNELS = (3, 1)
TRIED_PX = 64


@dataclass(frozen=True)
class Opened:
    """A foreign network and what its file says of it.

    Attributes
    ----------
    network : torch.nn.Module
        (N, C, H, W) -> (N, C, f*H, f*W) in normalised units.
    channels : int
        C.
    smallest_grid : int
        Sizes of images are multiples of this.
    normalisation : str
        As in a card.
    about : dict
        More fields of the card: summary, licence, limits and the like.
    """

    network: nn.Module
    channels: int
    smallest_grid: int
    normalisation: Literal["identity", "range", "percentile"]
    about: dict[str, Any]


def read_spandrel(path: Path) -> Opened:
    """Read a file of weights that spandrel knows.

    Raises
    ------
    ModelError
        If spandrel is missing or broken, or does not know the weights.
    """
    spandrel = _import_spandrel(path)
    try:
        found = spandrel.ModelLoader().load_from_state_dict(_state(path))
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"{path} has no card {path.stem}.json beside it, and spandrel knows no network with such weights "
            f"({reason}).",
            "Put the card that came with the weights beside them.",
        ) from error
    name, needs = found.architecture.name, found.size_requirements
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels != found.output_channels:
        raise ModelError(
            f"The {name} network in {path} does not make an image from an image of as many channels.",
            "Use a network for magnification or restoration.",
        )
    if needs.square or found.tiling is spandrel.ModelTiling.INTERNAL:
        raise ModelError(
            f"The {name} network in {path} works on whole images only and cannot be tiled.",
            "Use a network that takes images of any size.",
        )
    about = {"summary": f"A foreign {name} network, {path.name}.", "arguments": {"architecture": name}}
    return Opened(Wrapped(found.model), found.input_channels, needs.multiple_of, "range", about)


def read_torchscript(path: Path) -> Opened:
    """Read a TorchScript file; it is a program, so it should come from someone you trust.

    Raises
    ------
    ModelError
        If it cannot be read, or takes neither RGB nor single-channel images.
    """
    import torch

    try:
        program = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ModelError(
            f"The TorchScript file {path} cannot be read ({first_line(error)}).", "Export it again."
        ) from error
    network = Wrapped(program).requires_grad_(False)
    for channels in TRIED_CHANNELS:
        if output_of(network, channels, TRIED_PX) is not None:
            about = {"summary": f"A foreign TorchScript network, {path.name}."}
            return Opened(network, channels, 1, "range", about)
    raise ModelError(
        f"The TorchScript network {path} makes no image from an image of {TRIED_PX} px with 3 channels or 1.",
        "Export a network (N, C, H, W) -> (N, C, f*H, f*W).",
    )


def output_of(network: nn.Module, channels: int, size: int) -> Tensor | None:
    """Return what a network makes of an image, None where it refuses it or makes no image of it."""
    import torch

    try:
        with torch.inference_mode():
            y: Tensor = network(torch.zeros(1, channels, size, size))
    except RuntimeError:
        return None
    shown = y.ndim == 4 and y.shape[1] == channels and y.shape[2] == y.shape[3] and y.shape[2] % size == 0
    return y if shown else None


def _import_spandrel(path: Path) -> Any:
    try:
        import spandrel
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{path} has no card {path.stem}.json beside it, and {error.name}, which is needed to know its "
            "network, is not installed.",
            "Put the card beside the weights, or install it with: pip install 'napari-microsr[zoo]'.",
        ) from error
    except Exception as error:
        # A torchvision that was built for another torch raises RuntimeError when it is imported.
        raise ModelError(
            f"spandrel, which reads {path.name}, cannot be imported: {first_line(error)}",
            "Where torchvision is named there, install the build of torchvision that belongs to your torch, "
            "from the same index.",
        ) from error
    return spandrel


def _state(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != SUFFIX:
        state: dict[str, Tensor] = load_pickle(path)
        return state
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"The weights {path} cannot be read ({first_line(error)}).", "Fetch them again."
        ) from error
    return state


def first_line(error: Exception) -> str:
    """Return the first line of an error of another library."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
