"""DSIR: its training in two stages."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_microsr.core.epoch import Watch
from napari_microsr.core.progress import Progress
from napari_microsr.core.weights import ModelCard, TrainingData, export
from napari_microsr.smlm.datasets import DsirDataset
from napari_microsr.smlm.dsir_figures import image_figures
from napari_microsr.smlm.losses import BlurredSquares
from napari_microsr.smlm.networks.dsir import FACTOR, DsirAutoencoder, calibrate
from napari_microsr.smlm.registry import build_network
from napari_microsr.smlm.training import TrainDsirJob

#: Frames from which the statistics of normalisation are taken, and frames that watch a training.
CALIBRATION_FRAMES, WATCHED_FRAMES = 128, 16
_WATCHED_SEED = 10_000


def train_dsir(
    job: TrainDsirJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Path:
    """Train DSIR's autoencoder, export it with its card and return the path of the weights.

    `watch` is told of each epoch of each stage.

    Raises
    ------
    JobError, ModelError
        For settings that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    from napari_microsr.core.fitting import Fit
    from napari_microsr.core.training import fit

    frames = DsirDataset(job.scene(), job.side_px, job.seed)
    watched = DsirDataset(job.scene(), job.side_px, _WATCHED_SEED + job.seed)
    inputs, truths = _stack(watched, range(WATCHED_FRAMES))
    # The host's random numbers go on after the training as if it had not been.
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_network("dsir-autoencoder", **job.arguments)
        for number, stage in enumerate(job.stages, 1):
            loss = BlurredSquares(stage.fwhm_px)

            def validate(module: nn.Module, loss: nn.Module = loss) -> dict[str, float]:
                with torch.no_grad():
                    device = next(module.parameters()).device
                    return {"score": -float(loss.cpu()(module(inputs.to(device)).cpu(), truths))}

            folder = job.folder / f"stage{number}"
            again = resume and (folder / "last.ckpt").is_file()
            schedule = job.schedule(stage.steps, stage.learning_rate)
            fit(Fit(network, loss, schedule, validate), frames, folder, progress, again, watch)
    assert isinstance(network, DsirAutoencoder)
    network.cpu()
    calibrate(network, [_stack(watched, range(CALIBRATION_FRAMES))[0]])
    return export(network, _card(network, job), job.folder)


def _stack(dataset: DsirDataset, which: range) -> tuple[Tensor, Tensor]:
    frames, truths = zip(*[dataset[index] for index in which], strict=True)
    return torch.stack(frames), torch.stack(truths)


def _card(network: DsirAutoencoder, job: TrainDsirJob) -> ModelCard:
    steps = sum(stage.steps for stage in job.stages)
    made = TrainingData(
        source=f"Simulated frames of {job.side_px}x{job.side_px} px, as DSIR's",
        licence="none needed: made while training",
        credit="napari-microsr",
        images=steps * job.batch,
        mpx=round(steps * job.batch * job.side_px**2 / 1e6, 1),
    )
    facts: dict[str, Any] = {
        "id": job.name,
        "architecture": "dsir-autoencoder",
        "arguments": job.arguments,
        "task": "localization",
        "factor": FACTOR,
        "channels": 1,
        "parameters": sum(p.numel() for p in network.parameters()),
        "halo_px": 4,
        "multiple_of": 1,
        "normalisation": "identity",
        "reduced_precision": False,
        "trained_on": [made],
        "figures": image_figures(network, job.scene(), job.side_px),
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})
