"""Put a model where it is found by its name."""

import os
import shutil
from pathlib import Path

from napari_microsr.core.weights import SUFFIX, ModelCard, folders, read_card
from napari_microsr.errors import ModelError


def install(weights: Path) -> ModelCard:
    """Copy weights and their card into the user's folder of models, in the place of one of the same id.

    Parameters
    ----------
    weights : Path
        NAME.safetensors with its card NAME.json beside it.

    Raises
    ------
    ModelError
        If one of them is missing, or the folder cannot be written.
    """
    card, folder = read_card(weights.with_suffix(".json")), folders()[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The weights first: a card stands only beside weights that are whole.
        for source in (weights, weights.with_suffix(".json")):
            suffix = SUFFIX if source == weights else ".json"
            partial = folder / f"{card.id}{suffix}.partial"
            shutil.copyfile(source, partial)
            os.replace(partial, folder / f"{card.id}{suffix}")
    except OSError as error:
        raise ModelError(
            f"The model {card.id} cannot be installed to {folder} ({error.strerror}).",
            "Set MICROSR_HOME to a folder that can be written, or choose the file in the list of models.",
        ) from error
    return card
