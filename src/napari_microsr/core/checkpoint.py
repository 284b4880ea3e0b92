"""Whether a checkpoint is that of the training to be resumed."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from napari_microsr.core.fitting import Fit
from napari_microsr.core.output import whole, writing
from napari_microsr.errors import JobError

LAST = "last.ckpt"
_AFRESH = "Start without resuming, under another name or with the settings of that run."


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]
    """Writes a checkpoint beside its place and moves it there: the last one is never half of one.

    Lightning writes it to the folder of temporary files, from which a move may be a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written; the one before stays.
        """
        place = Path(path)
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole(place) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)


def check_checkpoint(path: Path, module: Fit) -> None:
    """Prove that a checkpoint can be resumed by a training.

    Raises
    ------
    JobError
        If it is missing, damaged, or of another network, other data or another number of steps.
    """
    if not path.is_file():
        raise JobError(f"There is no checkpoint {path} to resume.", "Start without --resume.")
    saved = _read(path)
    found, needed = _shapes(saved["state_dict"]), _shapes(module.state_dict())
    if found != needed:
        names = sorted(name for name in found.keys() | needed.keys() if found.get(name) != needed.get(name))
        raise JobError(
            f"The checkpoint {path} is of another network: {len(names)} of its weights differ in name or"
            f" shape ({names[0]}, ...).",
            _AFRESH,
        )
    for what, wanted in module.identity.items():
        was = saved.get("identity", {}).get(what, wanted)
        if was != wanted:
            raise JobError(f"The checkpoint {path} is of other {what}: {was}, not {wanted}.", _AFRESH)


def _read(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return {"state_dict": saved["state_dict"], "identity": saved.get("identity", {})}
    except (
        OSError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise JobError(
            f"The checkpoint {path} cannot be read ({reason}).", "Start without resuming."
        ) from error


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
