"""Networks that other programs made, through the same tiler: their card is made when they are opened.

A file of weights is read by spandrel, which tells the network from the weights' names; a TorchScript file
brings its network with it, as does a package of the BioImage Model Zoo. Halo and alignment are measured on
the network (`receptive.probe`), as for our own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_microsr.core.output import whole
from napari_microsr.core.weights import PICKLES, SUFFIX, ModelCard, find, folders
from napari_microsr.errors import ModelError
from napari_microsr.superres.foreign_files import (
    TRIED_PX,
    Opened,
    output_of,
    read_spandrel,
    read_torchscript,
)
from napari_microsr.superres.receptive import Reach, probe

if TYPE_CHECKING:
    from torch import nn

LIMITS = "Nothing is known of its quality on images like yours: look at its evidence."
SEAMS = "Its tiles overlap by a number that was chosen, not measured: there may be seams."


def find_model(id_or_path: str | Path, overlap_px: int | None = None) -> tuple[ModelCard, Path | None]:
    """Return the card of a model, our own or a foreign one, and its weights.

    Parameters
    ----------
    id_or_path : str or Path
        As `core.weights.find` takes it, or a file without a card: weights that spandrel knows, a TorchScript
        file, or a package of the BioImage Model Zoo (NAME.zip).
    overlap_px : int, optional
        For a foreign network that cannot be tiled exactly: take this halo instead; seams may remain.

    Raises
    ------
    ModelError
        If there is no such model, it cannot be read, or it cannot be tiled.
    """
    path = Path(id_or_path)
    if path.suffix not in _KINDS or not path.is_file() or path.with_suffix(".json").is_file():
        return find(id_or_path)
    return make_card(path, overlap_px), path


def load_foreign(card: ModelCard, path: Path | None) -> nn.Module:
    """Read the network of a card that `find_model` made.

    Raises
    ------
    ModelError
        If the file cannot be read or has changed since.
    """
    if path is None or _sha256(path) != card.sha256:
        raise ModelError(
            f"The file of {card.id} has changed since it was opened.", "Start again with the file as it is."
        )
    return READERS[card.architecture](path).network.eval()


def make_card(path: Path, overlap_px: int | None = None) -> ModelCard:
    """Open a foreign file and measure what a tile of it needs.

    Raises
    ------
    ModelError
        If it cannot be read or tiled.
    """
    kind = _kind(path)
    opened = READERS[kind](path)
    network, sha256 = opened.network.eval(), _sha256(path)
    factor = _factor(path, network, opened)
    reach = _reach(path, opened, sha256, overlap_px)
    return ModelCard.model_validate(
        {
            "id": path.stem,
            "architecture": kind,
            "task": "super-resolution" if factor > 1 else "restoration",
            "factor": factor,
            "domain": "any",
            "summary": f"A foreign network, {path.name}.",
            "licence": "not stated in the file",
            "limits": LIMITS if overlap_px is None else f"{LIMITS} {SEAMS}",
            "channels": opened.channels,
            "dtype": "uint8" if opened.normalisation == "range" else None,
            "parameters": sum(p.numel() for p in network.parameters()),
            "sha256": sha256,
            "halo_px": reach.halo_px,
            "multiple_of": reach.multiple_of,
            "normalisation": opened.normalisation,
            "reduced_precision": False,
            **opened.about,
        }
    )


def _read_package(path: Path) -> Opened:
    from napari_microsr.superres.model_zoo import read_package

    return read_package(path)


READERS: dict[str, Callable[[Path], Opened]] = {
    "spandrel": read_spandrel,
    "torchscript": read_torchscript,
    "bioimage-model-zoo": _read_package,
}
_KINDS = {SUFFIX: "spandrel", **dict.fromkeys(PICKLES, "spandrel"), ".ckpt": "spandrel"}
_KINDS |= {".zip": "bioimage-model-zoo"}


def _kind(path: Path) -> str:
    if path.suffix == ".pt" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # TorchScript has the program beside the numbers.
            if any("/code/" in name for name in archive.namelist()):
                return "torchscript"
    return _KINDS[path.suffix]


def _factor(path: Path, network: nn.Module, opened: Opened) -> int:
    size = -(-TRIED_PX // opened.smallest_grid) * opened.smallest_grid
    result = output_of(network, opened.channels, size)
    if result is None:
        raise ModelError(
            f"The network in {path} makes no image of a whole number of times the size of one of {size} px.",
            "Use a network for magnification or restoration.",
        )
    return int(result.shape[2]) // size


def _reach(path: Path, opened: Opened, sha256: str, overlap_px: int | None) -> Reach:
    """Measure what a tile needs, or remember it: a large network takes minutes."""
    if overlap_px is not None:
        grid = opened.smallest_grid
        return Reach(-(-overlap_px // grid) * grid, grid)
    kept = folders()[0].parent / "foreign" / f"{sha256}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Reach(**json.loads(kept.read_bytes()))
    try:
        reach = probe(opened.network, opened.channels, opened.smallest_grid)
    except ModelError as error:
        cause = error.cause.replace("network Wrapped", f"network in {path}")
        raise ModelError(
            cause,
            "Use a network without pooling or attention over the whole image, or set an overlap of the tiles "
            "(--overlap-px 32) and look for seams.",
        ) from error
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole(kept) as partial:
            partial.write_text(json.dumps(reach._asdict()), encoding="utf-8")
    return reach


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).", "Check the file.") from error
