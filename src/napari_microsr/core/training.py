"""The one trainer set-up: any network that maps an input to a target, on Lightning."""

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_microsr.core.progress import Cancelled, Progress
from napari_microsr.errors import DeviceError, JobError

Pair = tuple[Tensor, Tensor]
#: Rates rise linearly over this share of the steps before the cosine decay.
WARM_UP = 0.01


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch : int
        Pairs per step.
    learning_rate : float
        Highest rate of Adam; a cosine takes it to zero.
    ema_decay : float
        Of the moving average of the weights, which is what is validated and kept.
    check_every : int
        Steps between two checkpoints and validations; `steps` is a multiple of it.
    precision : str
        Lightning's name: "bf16-mixed", "16-mixed" or "32-true".
    device : str
        "auto", "cpu", "cuda" or "mps".
    devices : int
        Processes that share each batch.
    workers : int
        Processes that make batches; 0 makes them in the training process.
    tensorboard : bool
        Whether TensorBoard can watch.
    seed : int
        Of what the training draws beside the pairs, such as dropout.
    """

    steps: int
    batch: int
    learning_rate: float
    ema_decay: float = 0.999
    check_every: int = 500
    precision: str = "bf16-mixed"
    device: str = "auto"
    devices: int = 1
    workers: int = 0
    tensorboard: bool = False
    seed: int = 0


class Fit(lightning.LightningModule):  # type: ignore[misc]
    """A network, its loss and its schedule.

    Parameters
    ----------
    network : nn.Module
        Maps the first of a pair to the second.
    loss : callable
        (predicted, true) -> scalar.
    schedule : Schedule
        Rate and length.
    validate : callable
        Network -> figures by name; "score" (higher is better) marks the best checkpoint.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        schedule: Schedule,
        validate: Callable[[nn.Module], dict[str, float]],
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.schedule = schedule
        self.validate = validate

    def training_step(self, batch: Pair, _index: int) -> Tensor:
        """Return the loss of a batch."""
        low, high = (x.to(memory_format=torch.channels_last) for x in batch)
        loss = self.loss(self.network(low), high)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, _batch: Tensor, _index: int) -> None:
        """Log the figures; the one batch only triggers it."""
        figures = self.validate(self.network)
        self.log_dict(figures, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam with a short warm-up and a cosine to zero, stepped each batch."""
        plan = self.schedule
        optimizer = torch.optim.Adam(self.parameters(), plan.learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            plan.learning_rate,
            total_steps=plan.steps + 1,
            pct_start=WARM_UP,
            cycle_momentum=False,
            final_div_factor=1e4,
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class StepSampler(Sampler[int]):
    """Goes on where the optimiser stands, so that a resumed run sees the pairs it would have seen.

    Lightning's own count of epochs is one ahead after a resume.
    """

    def __init__(self, trainer: lightning.Trainer, steps: int, batch: int) -> None:
        self.trainer = trainer
        self.pairs = steps * batch
        self.batch = batch

    def __len__(self) -> int:
        return self.pairs

    def __iter__(self) -> Iterator[int]:
        first = self.trainer.global_step * self.batch
        return iter(range(first, first + self.pairs))


class ReportProgress(Callback):  # type: ignore[misc]
    """Hands Lightning's steps to `Progress`; its `Cancelled` passes through the trainer."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress = progress
        self.steps = steps

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Report a step."""
        self.progress.advance("Training", trainer.global_step, self.steps)


def fit(
    network: nn.Module,
    pairs: Dataset[Pair],
    loss: Callable[[Tensor, Tensor], Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    schedule: Schedule,
    folder: Path,
    progress: Progress,
    resume: bool = False,
) -> nn.Module:
    """Train `network` and return it with the averaged weights of the last step.

    `folder` receives `last.ckpt`, `best.ckpt` and `metrics.csv`.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    pairs : Dataset
        `pairs[i]` for any i >= 0 gives (input, target), the same in every run.
    loss, validate, schedule
        See `Fit`.
    folder : Path
        Of this run.
    progress : Progress
        Told after each step; may cancel.
    resume : bool
        Continue from `last.ckpt`, to the result that an uninterrupted run has.

    Raises
    ------
    JobError
        If `resume` finds no checkpoint.
    DeviceError
        If there is no such device here.
    Cancelled
        If the user asked to stop; the last checkpoint stays.
    """
    last = folder / "last.ckpt"
    if resume and not last.is_file():
        raise JobError(f"There is no checkpoint {last} to resume.", "Start without --resume.")
    module = Fit(
        network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss,
        schedule,
        validate,
    )
    on_interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        # Hints on workers and log intervals that do not concern a user of this package.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(schedule, folder, progress)
        loader = DataLoader(
            pairs,
            schedule.batch,
            sampler=StepSampler(trainer, schedule.check_every, schedule.batch),
            num_workers=schedule.workers,
            persistent_workers=schedule.workers > 0,
        )
        try:
            trainer.fit(
                module,
                loader,
                DataLoader(torch.zeros(1, 1)),  # type: ignore[arg-type]
                ckpt_path=last if resume else None,
                weights_only=True if resume else None,
            )
        except SystemExit as error:
            # Lightning answers Ctrl-C by ending the interpreter, and ignores it from then on.
            signal.signal(signal.SIGINT, on_interrupt)
            raise Cancelled from error
    # A run that was already finished does not train again: its result is in the checkpoint.
    module.load_state_dict(torch.load(last, map_location="cpu", weights_only=True)["state_dict"])
    return module.network.eval()


def _trainer(schedule: Schedule, folder: Path, progress: Progress) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    try:
        return lightning.Trainer(
            accelerator=schedule.device,
            devices=1,
            precision=schedule.precision,
            max_steps=schedule.steps,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            log_every_n_steps=schedule.check_every,
            logger=CSVLogger(folder, name=None, version=""),
            callbacks=[
                EMAWeightAveraging(decay=schedule.ema_decay),
                ModelCheckpoint(folder, "best", monitor="score", mode="max"),
                ModelCheckpoint(folder, "last", enable_version_counter=False),
                ReportProgress(progress, schedule.steps),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        raise DeviceError(
            f"Training on {schedule.device} is not possible here ({error}).", "Set device to auto or cpu."
        ) from error
