"""The one trainer set-up: any network that maps an input to a target, on Lightning."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from napari_microsr.core import torchvision_guard  # noqa: F401

# isort: split
import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_microsr.core.checkpoint import LAST, WholeCheckpoints, check_checkpoint
from napari_microsr.core.epoch import Epoch, EpochLog, Watch
from napari_microsr.core.fitting import CLIP, Fit, Pair, Schedule
from napari_microsr.core.lock import Lock
from napari_microsr.core.output import writing
from napari_microsr.core.progress import Cancelled, Progress
from napari_microsr.errors import DeviceError, JobError


class StepSampler(Sampler[int]):
    """Goes on where the optimiser stands, so that a resumed run sees the pairs it would have seen.

    Lightning's own count of epochs is one ahead after a resume. Several processes share each step's pairs.

    Parameters
    ----------
    trainer : lightning.Trainer
        Knows the step, and which process this is.
    steps : int
        Of an epoch.
    batch : int
        Pairs per step, of all processes together.
    updates : int
        Optimiser steps per step.
    """

    def __init__(self, trainer: lightning.Trainer, steps: int, batch: int, updates: int = 1) -> None:
        self.trainer = trainer
        self.steps = steps
        self.batch = batch
        self.updates = updates

    def __len__(self) -> int:
        return self.steps * self.batch // int(self.trainer.world_size)

    def __iter__(self) -> Iterator[int]:
        step = self.trainer.global_step // self.updates
        share = self.batch // self.trainer.world_size
        for first in range(step * self.batch, (step + self.steps) * self.batch, self.batch):
            own = first + self.trainer.global_rank * share
            yield from range(own, own + share)


class Report(Callback):  # type: ignore[misc]
    """Hands steps to `Progress`, whose `Cancelled` passes the trainer, and epochs to log and watcher."""

    def __init__(self, schedule: Schedule, epochs: EpochLog, progress: Progress, watch: Watch | None) -> None:
        self.steps = schedule.steps
        self.epochs = epochs
        self.progress = progress
        self.watch = watch
        self.reported = 0

    def on_train_start(self, trainer: lightning.Trainer, module: Fit) -> None:
        """Take up the table of epochs."""
        self.reported = trainer.global_step // module.updates
        self.epochs.begin(self.reported)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Fit, *_: Any) -> None:
        """Report a step."""
        self.progress.advance("Training", trainer.global_step // module.updates, self.steps)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Fit) -> None:
        """Report an epoch; the checkpoint follows."""
        step = trainer.global_step // module.updates
        # Lightning ends the epoch of a checkpoint once more when it resumes.
        if not trainer.is_global_zero or step == self.reported:
            return
        self.reported = step
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        epoch = Epoch(step, self.steps, figures, module.pictures)
        self.epochs.write(epoch)
        if trainer.logger is not None:
            trainer.logger.log_metrics(figures, epoch.step)
        if self.watch is not None:
            self.watch(epoch)


def fit(
    module: Fit,
    pairs: Dataset[Pair],
    folder: Path,
    progress: Progress,
    resume: bool = False,
    watch: Watch | None = None,
) -> nn.Module:
    """Train a network and return it with the averaged weights of the last step.

    `folder` receives, at the end of each epoch (`check_every` steps), `last.ckpt`, `best.ckpt`, a row of
    `metrics.csv` and `pictures/`. A run that is cancelled or killed keeps its last epoch.

    With several devices the command is started once more for each of them; only the first returns.

    Parameters
    ----------
    module : Fit
        Network, loss, schedule and validation.
    pairs : Dataset
        `pairs[i]` for any i >= 0 gives (input, target), the same in every run.
    folder : Path
        Of this run.
    progress : Progress
        Told after each step; may cancel.
    resume : bool
        Continue from `last.ckpt`, to the result that an uninterrupted run has. The learning rates may be
        others than before.
    watch : callable, optional
        Told after each epoch; see `core.epoch.Epoch`.

    Raises
    ------
    JobError
        If `resume` finds no checkpoint, or that of another network or other data; if the loss or the weights
        are no finite numbers any more.
    DeviceError
        If there is no such device here.
    Cancelled
        If the user asked to stop; the last checkpoint stays.
    """
    last = folder / LAST
    if resume:
        check_checkpoint(last, module)
    schedule, on_interrupt = module.schedule, signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        # Hints on workers and log intervals that do not concern a user of this package.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(module, folder, Report(schedule, EpochLog(folder), progress, watch))
        batch = schedule.batch * module.chunks
        loader = DataLoader(
            pairs,
            batch // schedule.devices,
            sampler=StepSampler(trainer, schedule.check_every, batch, module.updates),
            num_workers=schedule.workers,
            persistent_workers=schedule.workers > 0,
        )
        try:
            with _held(folder):
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
    if not trainer.is_global_zero:
        sys.exit()  # This process was started for its device only; the first one exports.
    # A run that was already finished does not train again: its result is in the checkpoint.
    module.load_state_dict(torch.load(last, map_location="cpu", weights_only=True)["state_dict"])
    network: nn.Module = module.network
    return network.eval()


def _held(folder: Path) -> AbstractContextManager[Any]:
    if "LOCAL_RANK" in os.environ:
        return nullcontext()  # started for one more device by the process that holds the folder
    with writing(folder):
        return Lock(folder, folder)


def _trainer(module: Fit, folder: Path, report: Report) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    schedule = module.schedule
    if schedule.devices > 1 and "napari" in sys.modules:
        raise DeviceError(
            "Training on several devices starts the program once more for each: napari would open again.",
            "Use one device here, or the command microsr train.",
        )
    try:
        return lightning.Trainer(
            accelerator=schedule.device,
            devices=schedule.devices,
            strategy=_strategy(module),
            use_distributed_sampler=False,
            precision=schedule.precision,
            max_steps=schedule.steps * module.updates,
            gradient_clip_val=CLIP if module.automatic_optimization else None,
            num_sanity_val_steps=0,
            log_every_n_steps=schedule.check_every,
            logger=_logger(folder) if schedule.tensorboard else False,
            callbacks=[
                WeightAveraging(avg_fn=moving_average(schedule.ema_decay)),
                ModelCheckpoint(folder, "best", monitor="score", mode="max", save_on_train_epoch_end=True),
                ModelCheckpoint(
                    folder, Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True
                ),
                report,
            ],
            plugins=[WholeCheckpoints()],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        raise DeviceError(
            f"Training on {schedule.device} is not possible here ({error}).", "Set device to auto or cpu."
        ) from error


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Return the exponential moving average, which leaves what does not change as it is, to the bit.

    Constants of a network, such as the kernel of an interpolation, are averaged as well and must not drift:
    a checkpoint does not hold them. At first it forgets faster, as that of TensorFlow does
    (``tf.train.ExponentialMovingAverage``, ``num_updates``): the variances of a batch norm begin at 1, and
    a hundredth of that, hundreds of steps later, may still be more than the true ones.
    """

    def average(before: Tensor, now: Tensor, steps: Tensor) -> Tensor:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return before + (1 - keep) * (now - before)

    return average


def _strategy(module: Fit) -> str:
    if module.schedule.devices == 1:
        return "auto"
    # Two adversaries' steps each leave the weights of the other without a gradient.
    return "ddp" if module.automatic_optimization else "ddp_find_unused_parameters_true"


def _logger(folder: Path) -> TensorBoardLogger:
    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise JobError(
            "TensorBoard is not installed.",
            'Install it with pip install "napari-microsr[tensorboard]", or leave tensorboard out.',
        ) from error
