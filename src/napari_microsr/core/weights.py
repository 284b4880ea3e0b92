"""Model cards and weights: where they are found, and the proof that they are what the card says."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_microsr.core.output import whole
from napari_microsr.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

SHIPPED = Path(__file__).parent.parent / "weights"
SUFFIX = ".safetensors"
#: Foreign files; they are read without running the code that such a file can carry.
PICKLES = (".pt", ".pth")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Score(_Frozen):
    """How close an image is to the truth."""

    psnr_db: float
    """Peak signal-to-noise ratio, mean over images."""
    ssim: float
    """Structural similarity, mean over images."""


class Metric(_Frozen):
    """Figures on one set of images."""

    data: str
    """Which images; "all" is the mean over all of them."""
    n: int
    """How many."""
    model: Score
    """Of this network in float32."""
    baselines: dict[str, Score] = {}
    """On the same images: "bicubic" or "input", and other methods."""


class TrainingData(_Frozen):
    """One source of training images."""

    source: str
    """What they show and where they come from."""
    licence: str
    """As stated there."""
    credit: str
    """Whom to thank."""
    images: int
    """How many."""
    mpx: float
    """Their sum in megapixels."""


class CardText(_Frozen):
    """What a person writes into a card: no computation knows it."""

    summary: str
    """One sentence: what the network is for."""
    domain: Literal["histology", "fluorescence", "any", "smlm"]
    """Which images it is for."""
    licence: str
    """Of the weights."""
    pixel_size_um: float | None = None
    """Typical pixel size of the input."""
    pixel_size_range_um: tuple[float, float] | None = None
    """Pixel sizes that it was trained on."""
    trained_on: tuple[TrainingData, ...] = ()
    """Sources of the training images."""
    limits: str = ""
    """Where not to trust it."""


class ModelCard(CardText):
    """What a network is for, what it needs and how good it is."""

    id: str
    """Name in lists, jobs and commands."""
    architecture: str
    """Name of the network in the registry."""
    arguments: dict[str, Any] = {}
    """Its arguments."""
    task: Literal["super-resolution", "restoration", "localization", "features"]
    """"restoration" keeps the image's size, "features" gives no image."""
    factor: int = Field(ge=1)
    """Magnification."""
    channels: int | None
    """3 for RGB, 1 for a single channel, None for any."""
    dtype: str | None = None
    """Type of the images it was trained on, None where it makes no difference."""
    parameters: int = Field(ge=0)
    """Number of trained values."""
    sha256: str | None = None
    """Of the weights' file; None for a network without weights."""
    halo_px: int = Field(ge=0)
    """Input pixels that it looks at around a tile."""
    multiple_of: int = Field(ge=1)
    """Grid of tile sizes and origins."""
    normalisation: Literal["identity", "range", "percentile"]
    """How intensities are brought to [0, 1]."""
    conditioned: bool = False
    """Whether it is told blur and noise of the input."""
    reduced_precision: bool
    """Whether 16-bit arithmetic costs little enough to be used."""
    reduced_precision_cost_db: float | None = None
    """PSNR that bfloat16 loses against float32."""
    degradation: str | None = None
    """What made its low-resolution training images; on others expect less."""
    loss: str | None = None
    """What its training made small: terms and their weights."""
    metrics: tuple[Metric, ...] = ()
    """Figures on images of slides that were not trained on; the first is over all."""
    figures: dict[str, float] = {}
    """Figures of other tasks by name, on simulated frames that were not trained on."""

    def row(self) -> tuple[str, ...]:
        """Return what a list shows: id, task, factor, pixel size, licence, quality, purpose."""
        quality = "-"
        if self.metrics:
            figures = self.metrics[0]
            shown = [f"PSNR {figures.model.psnr_db:.2f} dB"]
            shown += [f"{name} {score.psnr_db:.2f}" for name, score in figures.baselines.items()]
            quality = ", ".join(shown)
        elif self.figures:
            quality = ", ".join(f"{name} {value:g}" for name, value in self.figures.items())
        size = "any" if self.pixel_size_um is None else f"{self.pixel_size_um:g}"
        if self.pixel_size_range_um is not None:
            size = "-".join(f"{value:g}" for value in self.pixel_size_range_um)
        return (self.id, self.task, f"x{self.factor}", size, self.licence, quality, self.summary)


def folders() -> tuple[Path, ...]:
    """Return where models are looked for: $MICROSR_HOME/models, then those of the package."""
    home = Path(os.environ.get("MICROSR_HOME", "~/.napari-microsr")).expanduser()
    return (home / "models", SHIPPED)


def list_cards() -> list[ModelCard]:
    """Return the cards of all installed models, the user's own before a shipped one of the same id."""
    cards: dict[str, ModelCard] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.json")):
            card = read_card(path)
            cards.setdefault(card.id, card)
    return list(cards.values())


def find(id_or_path: str | Path) -> tuple[ModelCard, Path | None]:
    """Return the card of a model and its weights (None for a network without any).

    Parameters
    ----------
    id_or_path : str or Path
        Path of a .safetensors (or .pt, .pth) file with its card NAME.json beside it, or the id of an
        installed model.

    Raises
    ------
    ModelError
        If there is no such model, or its card or its weights are missing.
    """
    path = Path(id_or_path)
    if path.suffix in (SUFFIX, *PICKLES):
        return read_card(path.with_suffix(".json")), _existing(path)
    for folder in folders():
        for file in sorted(folder.glob("*.json")):
            card = read_card(file)
            if card.id == str(id_or_path):
                return card, None if card.sha256 is None else _existing(file.with_suffix(SUFFIX))
    known = ", ".join(card.id for card in list_cards())
    raise ModelError(
        f"There is no model {str(id_or_path)!r}.",
        f"Installed are: {known}. Or give the path of a {SUFFIX} file with its card beside it.",
    )


def read_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises
    ------
    ModelError
        If it is missing or wrong.
    """
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"The model card {path} cannot be read ({error.strerror}).",
            "Put the card that came with the weights beside them.",
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the file"
        raise ModelError(
            f"The model card {path} is wrong at {place}: {fault['msg']}.", "Correct or replace it."
        ) from error


def load_state(path: Path, card: ModelCard) -> "dict[str, Tensor]":
    """Read weights and prove that they are the card's.

    Raises
    ------
    ModelError
        If the file is missing, damaged or another one than the card describes.
    """
    try:
        content = _existing(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"The weights {path} cannot be read ({error.strerror}).", "Check the file's permissions."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"The weights {path} are damaged or not those of {card.id}: their SHA-256 is "
            f"{found[:12]}…, the card says {(card.sha256 or 'none')[:12]}….",
            "Fetch weights and card again, from one place.",
        )
    return _load_pickle(path) if path.suffix in PICKLES else _load_safetensors(path, content)


def export(module: "nn.Module", card: ModelCard, folder: Path) -> Path:
    """Write a network's weights and its card, with the weights' SHA-256, and return the weights' path.

    Raises
    ------
    ModelError
        If the folder cannot be written.
    """
    from safetensors.torch import save

    # Plain contiguous copies: safetensors keeps no memory format.
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    content = save(state)
    card = card.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    path = folder / f"{card.id}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_bytes(content)
        write_card(card, folder)
    except OSError as error:
        raise ModelError(
            f"The model cannot be written to {folder} ({error.strerror}).", "Choose another folder."
        ) from error
    return path


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write a card as ID.json and return its path."""
    path = folder / f"{card.id}.json"
    with whole(path) as partial:
        partial.write_text(card.model_dump_json(indent=1, exclude_none=False) + "\n", encoding="utf-8")
    return path


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"The weights {path} are missing.", "Reinstall the package, or put the file back.")
    return path


def _load_safetensors(path: Path, content: bytes) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise ModelError(
            f"The weights {path} are not a safetensors file ({error}).", "Fetch them again."
        ) from error
    return state


def load_pickle(path: Path) -> Any:
    """Read a pickle of tensors, numbers and texts; no code in it is run.

    Raises
    ------
    ModelError
        If it is damaged or holds anything else.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"The weights {path} hold more than tensors or are damaged ({reason}).",
            "Ask for a safetensors file: a pickle can run code when it is read.",
        ) from error


def _load_pickle(path: Path) -> "dict[str, Tensor]":
    import torch

    state = load_pickle(path)
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(
            f"The weights {path} are not a table of tensors.", "Save the network's state_dict()."
        )
    return state
