"""Packages of the BioImage Model Zoo (bioimage.io), description 0.5: read and written.

The zoo's own library reads the descriptions, and checks those that are written; torch runs the TorchScript
weights. What a package asks to be done before and after the network is done in the network or, for
percentiles, by our image-wide normalisation; what needs other statistics of the image is refused.
"""

from __future__ import annotations

import io
import math
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from napari_microsr.core.weights import ModelCard
from napari_microsr.errors import ModelError
from napari_microsr.superres.foreign_files import Opened, first_line
from napari_microsr.superres.model_zoo_steps import described_steps, steps_of
from napari_microsr.superres.wrapped import Wrapped

if TYPE_CHECKING:
    from torch import nn


def read_package(path: Path) -> Opened:
    """Read a package with TorchScript weights and one image in, one image out.

    Raises
    ------
    ModelError
        If the library is missing, or the package is something else.
    """
    import torch

    model = _load(path)
    weights = model.weights.torchscript
    if weights is None:
        have = ", ".join(name for name, entry in model.weights if entry is not None)
        raise ModelError(
            f"The package {path} has no TorchScript weights, only {have}.",
            "Choose a package with TorchScript weights: others bring Python code or another library.",
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"The package {path} does not make one image from one image.", "Choose another package."
        )
    (given,), (made,) = model.inputs, model.outputs
    channels = _channels(path, given)
    steps = steps_of(path, given, made)
    program = torch.jit.load(io.BytesIO(weights.get_reader().read()), map_location="cpu")  # type: ignore[no-untyped-call]
    about = {
        "summary": f"{model.name} (BioImage Model Zoo).",
        "licence": str(model.license or "not stated in the package"),
        "limits": " ".join([steps.note, "Read the package's own documentation."]).strip(),
    }
    network = Wrapped(program, steps.before, steps.after).requires_grad_(False)
    return Opened(network, channels, _grid(path, given), steps.normalisation, about)


def write_package(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write a network with its card as a package.

    Raises
    ------
    ModelError
        If the library is missing or refuses the package.
    OSError
        If the file cannot be written.
    """
    spec = _library(path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        description = folder / "rdf.yaml"
        description.write_text(yaml.safe_dump(_write_parts(network, card, folder, spec), sort_keys=False))
        try:
            packed = spec.save_bioimageio_package(description, output_path=folder / "package.zip")
        except ValueError as error:
            raise ModelError(
                f"No package can be made of {card.id} ({first_line(error)}).", "Correct the model's card."
            ) from error
        shutil.copyfile(packed, path)


def _write_parts(network: nn.Module, card: ModelCard, folder: Path, spec: Any) -> dict[str, Any]:
    """Write the files of a package and return its description."""
    import numpy as np
    import torch

    from napari_microsr.superres.traced import trace

    grid, channels = card.multiple_of, card.channels or 1
    halo = -(-card.halo_px // grid) * grid
    smallest = 2 * halo + -(-16 // grid) * grid
    trace(network, card).save(str(folder / "weights.pt"))
    image = 255 * torch.rand(1, channels, smallest, smallest, generator=torch.Generator().manual_seed(0))
    before, after, low, high = described_steps(card, image)
    with torch.inference_mode():
        result = network.eval()((image - low) / (high - low))
    np.save(folder / "input.npy", image.numpy())
    np.save(folder / "output.npy", (result * 255 if after else result).numpy())
    (folder / "README.md").write_text(_readme(card), encoding="utf-8")
    names = ["red", "green", "blue"] if channels == 3 else [f"channel{i}" for i in range(channels)]
    batch, channel = {"type": "batch"}, {"type": "channel", "channel_names": names}
    sides = [
        {"type": "space", "id": axis, "size": {"min": smallest, "step": grid}, "concatenable": True}
        for axis in "yx"
    ]
    # One fine pixel is 1/factor of a coarse one.
    made = [
        {
            "type": "space",
            "id": axis,
            "scale": 1 / card.factor,
            "size": {"tensor_id": "image", "axis_id": axis, "offset": 0},
            "halo": halo * card.factor,
        }
        for axis in "yx"
    ]
    return {
        "type": "model",
        "format_version": "0.5.0",
        "name": card.id,
        "description": card.summary,
        **_licence(card, spec),
        "documentation": "README.md",
        "tags": ["super-resolution" if card.factor > 1 else "restoration", card.domain],
        "inputs": [
            {
                "id": "image",
                "axes": [batch, channel, *sides],
                "test_tensor": {"source": "input.npy"},
                "preprocessing": before,
            }
        ],
        "outputs": [
            {
                "id": "result",
                "axes": [batch, channel, *made],
                "test_tensor": {"source": "output.npy"},
                "postprocessing": after,
            }
        ],
        "weights": {
            "torchscript": {"source": "weights.pt", "pytorch_version": torch.__version__.partition("+")[0]}
        },
    }


def _licence(card: ModelCard, spec: Any) -> dict[str, str]:
    """Return the card's licence where it is one that packages know by name."""
    known = {licence["licenseId"] for licence in spec.utils.get_spdx_licenses()["licenses"]}
    return {"license": card.licence} if card.licence in known else {}


def _readme(card: ModelCard) -> str:
    lines = [f"# {card.id}", card.summary, f"Licence of the weights: {card.licence}.", card.limits]
    if card.pixel_size_range_um is not None:
        low, high = card.pixel_size_range_um
        lines.append(f"For images of {low:g} to {high:g} µm per pixel.")
    lines += [f"Trained on: {data.source} ({data.licence}; {data.credit})." for data in card.trained_on]
    lines.append("# Validation")
    for metric in card.metrics:
        beside = ", ".join(f"{name} {score.psnr_db:.2f} dB" for name, score in metric.baselines.items())
        lines.append(f"{metric.data}, {metric.n} images: {metric.model.psnr_db:.2f} dB PSNR ({beside}).")
    lines.append("Compare its results with true images of your own, and with bicubic magnification.")
    return "\n\n".join(filter(None, lines)) + "\n"


def _library(path: Path) -> Any:
    try:
        import bioimageio.spec
    except Exception as error:
        # It also fails in other ways than ImportError, with versions of pydantic that it does not know.
        raise ModelError(
            f"The package {path} needs bioimageio.spec, which cannot be imported: {first_line(error)}",
            "Install it with: pip install 'napari-microsr[zoo]'.",
        ) from error
    return bioimageio.spec


def _load(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is no package: it is not a zip file.", "Download it again.")
    spec = _library(path)
    try:
        return spec.load_model_description(path, format_version="latest")
    except Exception as error:
        raise ModelError(
            f"{path} is no package of a model that bioimageio.spec can read ({first_line(error)}).",
            "Download the package of a model from bioimage.io again.",
        ) from error


def _channels(path: Path, given: Any) -> int:
    kinds = [axis.id if axis.type == "space" else axis.type for axis in given.axes]
    if kinds != ["batch", "channel", "y", "x"]:
        raise ModelError(
            f"The package {path} takes images with the axes {', '.join(kinds)}.",
            "Choose a package for two-dimensional images: batch, channel, y, x.",
        )
    return len(given.axes[1].channel_names)


def _grid(path: Path, given: Any) -> int:
    """Return the multiple that sizes of images must be of."""
    sizes = [axis.size for axis in given.axes[2:]]
    if any(not hasattr(size, "step") for size in sizes):
        raise ModelError(
            f"The package {path} takes images of one size only.", "Choose a package for images of any size."
        )
    return math.lcm(*(size.step for size in sizes))
