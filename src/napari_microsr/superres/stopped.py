"""Weights and card of a training that was stopped before its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_microsr.core.epoch import read_metrics
from napari_microsr.core.progress import Progress
from napari_microsr.errors import JobError
from napari_microsr.superres.training import TrainJob

if TYPE_CHECKING:
    from napari_microsr.superres.images import Given

#: What the names of its weights begin with in a checkpoint.
_NETWORK = "network."


def export_stopped(job: TrainJob, progress: Progress, given: "Given | None" = None) -> Path:
    """Export the last checkpoint of a training and return the path of the weights.

    The card says at which step it was stopped. The training can still be resumed.

    Parameters
    ----------
    job : TrainJob
        Of the training.
    progress : Progress
        May cancel before the figures of the card are measured.
    given : mapping, optional
        As of `training.train`.

    Raises
    ------
    JobError
        If there is no checkpoint, or it is that of another training.
    InputError, ModelError
        For images or names that do not fit.
    """
    import torch

    from napari_microsr.core.checkpoint import LAST
    from napari_microsr.superres.datasets import open_training_data
    from napari_microsr.superres.export import export_run
    from napari_microsr.superres.registry import build_network

    last = job.folder / LAST
    if not last.is_file():
        raise JobError("The training has no checkpoint yet.", "Let it run to the end of its first epoch.")
    progress.advance("Exporting", 0, 1)
    # The host's random numbers go on as if no network had been made.
    with torch.random.fork_rng():
        network = build_network(job.architecture, **job.arguments)
    state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
    own = {name.removeprefix(_NETWORK): it for name, it in state.items() if name.startswith(_NETWORK)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise JobError(
            f"The checkpoint {last} is of another network.", "Choose the network that was trained."
        ) from error
    data = open_training_data(job, job.arguments.get("channels", 3), job.seed, given)
    note = f"Its training was stopped at step {read_metrics(job.folder)[-1]['step']:.0f} of {job.steps}."
    card = job.card.model_copy(update={"limits": f"{job.card.limits} {note}".strip()})
    return export_run(network, job.model_copy(update={"card": card}), data)
