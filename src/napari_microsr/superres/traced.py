"""Networks without their Python code."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_microsr.core.weights import ModelCard
from napari_microsr.errors import ModelError

#: The first version that knows all of what our networks do.
OPSET = 17
SMALLEST_PX = 32


def example(card: ModelCard) -> Tensor:
    """Return a small image (1, C, h, w) that the network takes, its sides unequal."""
    height = -(-SMALLEST_PX // card.multiple_of) * card.multiple_of
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, card.channels or 1, height, height + card.multiple_of, generator=generator)


def trace(network: nn.Module, card: ModelCard) -> Any:
    """Return the network as TorchScript; it takes images of any size, as the network does."""
    with _quiet():
        return torch.jit.trace(network.eval(), example(card))  # type: ignore[no-untyped-call]


def write_onnx(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write the network as ONNX: "image" (n, C, h, w) to "result" (n, C, factor*h, factor*w).

    Raises
    ------
    ModelError
        If onnx is not installed, or the network does what ONNX cannot.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"ONNX files are written with the package onnx, which cannot be imported ({error}).",
            "Install it with: pip install 'napari-microsr[onnx]'.",
        ) from error
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "result": {0: "n", 2: "height", 3: "width"}}
    try:
        with _quiet():
            # The newer exporter takes ten times as long for the same graph and needs another package.
            torch.onnx.export(
                network.eval(),
                (example(card),),
                str(path),
                input_names=["image"],
                output_names=["result"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(
            f"{card.id} does what ONNX cannot ({str(error).partition(chr(10))[0]}).",
            "Export it as TorchScript.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch says of its two exporters, which it will replace by others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
