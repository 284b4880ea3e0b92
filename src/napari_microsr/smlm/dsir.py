"""DSIR: its training in two stages."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from napari_microsr.core.progress import Progress
from napari_microsr.core.weights import ModelCard, TrainingData, export
from napari_microsr.smlm.losses import BlurredSquares
from napari_microsr.smlm.networks.dsir import FACTOR, DsirAutoencoder, calibrate, enlarge
from napari_microsr.smlm.registry import build_network
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.smlm.training import TrainDsirJob

#: Frames from which the statistics of normalisation are taken, and frames that watch a training.
CALIBRATION_FRAMES, WATCHED_FRAMES = 128, 16
#: Of an emitter in the truth. With the source's 1 the noise of random weights outweighs the truth, and most
#: trainings end early in an image without any light.
BRIGHTNESS = 50.0
_WATCHED_SEED = 10_000


class DsirDataset(Dataset[tuple[Tensor, Tensor]]):
    """Enlarged frames and the fine pixels that hold an emitter: `dataset[i]` for any i >= 0.

    Parameters
    ----------
    scene : Scene
        What frames show.
    side : int
        Of a frame in camera pixels.
    seed : int
        Of everything.
    """

    def __init__(self, scene: Scene, side: int, seed: int) -> None:
        self.scene, self.side, self.seed = scene, side, seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return frame and truth, (1, 8 side, 8 side) float32 each."""
        rng = np.random.default_rng((self.seed, index))
        made = simulate_frames(rng, 1, (self.side, self.side), self.scene)
        frame = enlarge(torch.from_numpy(made.photons)[None])[0]
        truth = torch.zeros_like(frame)
        last = FACTOR * self.side - 1
        # The corner of the first camera pixel is at -0.5.
        row, column = (
            np.floor((v + 0.5) * FACTOR).astype(int).clip(0, last) for v in (made.truth.y, made.truth.x)
        )
        truth[0, row, column] = BRIGHTNESS
        return frame, truth


def train_dsir(job: TrainDsirJob, progress: Progress, resume: bool = False) -> Path:
    """Train DSIR's autoencoder, export it with its card and return the path of the weights.

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
            fit(Fit(network, loss, schedule, validate), frames, folder, progress, again)
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
    }
    return ModelCard.model_validate({**job.card.model_dump(), **facts})
