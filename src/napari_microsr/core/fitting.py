"""A network with its loss and its schedule: what Lightning trains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_microsr.core import torchvision_guard  # noqa: F401

# isort: split
import lightning
import torch
from torch import Tensor, nn

from napari_microsr.core.epoch import Findings, Picture
from napari_microsr.errors import JobError

Pair = tuple[Tensor, Tensor]
#: Rates rise linearly over this share of the steps before the cosine decay.
WARM_UP = 0.01
#: Largest norm of a gradient.
CLIP = 1.0


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


#: (predicted, true) -> a scalar, or weighted terms by name whose sum is the loss.
Loss = Callable[[Tensor, Tensor], Tensor | Mapping[str, Tensor]]
#: Network -> figures by name, with pictures or without.
Validate = Callable[[nn.Module], Mapping[str, float] | Findings]


class Fit(lightning.LightningModule):  # type: ignore[misc]
    """A network, its loss and its schedule.

    Parameters
    ----------
    network : nn.Module
        Maps the first of a pair to the second; changed in place.
    loss : callable
        (predicted, true) -> scalar, or weighted terms by name. A module is moved to the device, but not
        trained, averaged or kept in checkpoints.
    schedule : Schedule
        Rate and length.
    validate : callable
        Network -> figures by name; "score" (higher is better) marks the best checkpoint.
    identity : mapping of str to str, optional
        What a resumed run must have in common with its checkpoint beside the network, such as "data".

    Attributes
    ----------
    updates : int
        Optimiser steps per training step, as Lightning counts them.
    chunks : int
        Batches of the schedule that a training step takes.
    pictures : sequence of Picture
        Of the last validation.
    """

    updates = 1
    chunks = 1

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        schedule: Schedule,
        validate: Validate,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.criterion = (
            loss,
        )  # In a tuple, so that a loss with weights of its own is no part of this module.
        self.schedule = schedule
        self.validate = validate
        self.identity = {"steps": str(schedule.steps), **(identity or {})}
        self.pictures: tuple[Picture, ...] = ()

    def on_fit_start(self) -> None:
        """Move the loss to where the network is."""
        if isinstance(self.criterion[0], nn.Module):
            self.criterion[0].to(self.device)

    def on_train_batch_start(self, _batch: Pair, _index: int) -> None:
        """Seed what a step draws (dropout) from its number, so that a resumed run draws the same."""
        step = self.schedule.seed * 1_000_003 + self.trainer.global_step
        torch.manual_seed(step * self.trainer.world_size + self.trainer.global_rank)

    def training_step(self, batch: Pair, _index: int) -> Tensor | None:
        """Return the loss of a batch."""
        low, high = batch
        return self.total(self.terms(self.network(low.to(memory_format=torch.channels_last)), high))

    def terms(self, predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms of the loss by name."""
        loss = self.criterion[0](predicted, true)
        return {"": loss} if isinstance(loss, Tensor) else dict(loss)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the terms, and log all.

        Raises
        ------
        JobError
            If it is not finite.
        """
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        self.note({"loss": loss, **{f"loss_{name}": term for name, term in terms.items() if name}})
        if not torch.isfinite(loss):
            bad = ", ".join(name for name, term in terms.items() if name and not torch.isfinite(term))
            raise self.diverged(f"The loss is not a finite number{f' ({bad})' if bad else ''}")
        return loss

    def note(self, figures: Mapping[str, Tensor]) -> None:
        """Log means over the epoch."""
        for name, figure in figures.items():
            self.log(name, figure.detach(), on_step=False, on_epoch=True, sync_dist=self.schedule.devices > 1)

    def diverged(self, cause: str) -> JobError:
        """Return the error of a training that left the finite numbers."""
        step = self.trainer.global_step // self.updates + 1
        return JobError(
            f"{cause} at step {step}: the training diverged.",
            f"Lower learning_rate (now {self.schedule.learning_rate:g}) and resume: the last checkpoint of"
            " finite weights is kept.",
        )

    def validation_step(self, _batch: Tensor, _index: int) -> None:
        """Log the figures; the one batch only triggers it."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.network.parameters()):
            raise self.diverged("Weights are not finite numbers")
        found = self.validate(self.network)
        findings = found if isinstance(found, Findings) else Findings(found)
        self.pictures = tuple(findings.pictures)
        self.log_dict(dict(findings.figures), batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam with a short warm-up and a cosine to zero, stepped each batch."""
        optimizer, schedule = self.adam(self.network, self.schedule.learning_rate)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def adam(self, network: nn.Module, rate: float) -> tuple[Any, Any]:
        """Return the optimiser of a network and its schedule."""
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(trained, rate, betas=(0.9, 0.99))
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            rate,
            total_steps=self.schedule.steps + 1,
            pct_start=WARM_UP,
            cycle_momentum=False,
            final_div_factor=1e4,
        )

    def rates(self) -> list[float]:
        """Return the highest rate of each optimiser."""
        return [self.schedule.learning_rate]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the checkpoint is of."""
        checkpoint["identity"] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the rates of this run, which may be lower than those of the checkpoint."""
        for state, rate in zip(checkpoint["optimizer_states"], self.rates(), strict=True):
            for group in state["param_groups"]:
                change = rate / group["max_lr"]
                for name in ("lr", "initial_lr", "max_lr", "min_lr"):
                    group[name] *= change
