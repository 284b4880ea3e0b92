"""Give a network to other programs: TorchScript, ONNX, or a package of the BioImage Model Zoo."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from napari_microsr.core.job import Job
from napari_microsr.core.output import whole
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import ModelError, OutputError

if TYPE_CHECKING:
    from torch import nn

    from napari_microsr.core.weights import ModelCard

#: Ends of the outputs' names.
SUFFIXES = (".pt", ".onnx", ".zip")


class ExportOptions(Job):
    """What a network is exported with."""

    task: ClassVar[str] = "export-model"

    blur_px: float = Field(default=0.0, ge=0, le=10)
    """For a conditioned model: the blur that the exported network expects, a standard deviation in pixels."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """For a conditioned model: the noise that the exported network expects, a share of its range."""
    restart: bool = False
    """Replace a file of that name."""


class ExportModelJob(ExportOptions):
    """Settings of the export of a network."""

    model: str
    """Network: the id of an installed one, or the path of its file."""
    output: Path
    """File to write: NAME.pt (TorchScript), NAME.onnx or NAME.zip (a package of the BioImage Model Zoo)."""


def export_model(job: ExportModelJob, *, progress: Progress | None = None) -> Path:
    """Write a network in a format that other programs read.

    TorchScript and ONNX networks map images (n, C, h, w) in [0, 1] to (n, C, factor*h, factor*w), float32, of
    any size that the network takes. A package says itself what it maps.

    Raises
    ------
    ModelError
        If there is no such model, it does not make images, or the library for the format is missing.
    OutputError
        If the file is there already, cannot be written, or its name ends in something else.
    """
    from napari_microsr.superres.foreign import find_model
    from napari_microsr.superres.model_zoo import write_package
    from napari_microsr.superres.networks.conditioned import conditioned
    from napari_microsr.superres.registry import load_network

    progress = progress or SilentProgress()
    if job.output.suffix not in SUFFIXES:
        raise OutputError(
            f"{job.output} names no format for a network.", f"End it with one of {', '.join(SUFFIXES)}."
        )
    if job.output.exists() and not job.restart:
        raise OutputError(
            f"{job.output} is there already.", "Choose another name, or replace it (--restart)."
        )
    card, weights = find_model(job.model)
    if card.task not in ("super-resolution", "restoration"):
        raise ModelError(f"{card.id} does not make an image from an image.", "Choose another model.")
    progress.advance("exporting", 0, 1)
    network = load_network(card, weights).requires_grad_(False)
    if card.conditioned:
        network = conditioned(network, job.blur_px, job.noise).requires_grad_(False)
    write: dict[str, Callable[[nn.Module, ModelCard, Path], None]] = {
        ".pt": _write_torchscript,
        ".onnx": _write_onnx,
        ".zip": write_package,
    }
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with whole(job.output) as partial:
            write[job.output.suffix](network, card, partial)
    except OSError as error:
        raise OutputError(
            f"{job.output} cannot be written ({error.strerror}).", "Choose another folder."
        ) from error
    progress.advance("exporting", 1, 1)
    return job.output


def _write_torchscript(network: "nn.Module", card: "ModelCard", path: Path) -> None:
    import torch

    from napari_microsr.superres.traced import trace

    with path.open("wb") as file:
        torch.jit.save(trace(network, card), file)


def _write_onnx(network: "nn.Module", card: "ModelCard", path: Path) -> None:
    from napari_microsr.superres.traced import write_onnx

    write_onnx(network, card, path)
