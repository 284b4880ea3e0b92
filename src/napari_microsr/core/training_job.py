"""The settings that all trainings share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_microsr.core.job import Job
from napari_microsr.core.weights import CardText
from napari_microsr.errors import JobError

if TYPE_CHECKING:
    from napari_microsr.core.fitting import Schedule


class TrainingOptions(Job):
    """What is trained, where and how fast."""

    execution_fields: ClassVar[frozenset[str]] = frozenset(
        {"out", "device", "devices", "workers", "tensorboard"}
    )
    after_cancel: ClassVar[str] = "the last checkpoint is kept, and a run that resumes continues from it"

    name: str = Field(pattern=r"^\w[\w.+-]*$")
    """Id of the network: NAME.safetensors and NAME.json are written."""
    out: Path = Path("runs")
    """Folder for runs; this one's checkpoints and result go to OUT/NAME."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the network."""
    start: str | None = None
    """Id or path of a trained network of the same arguments to go on from, instead of random weights."""
    batch: int = Field(default=16, ge=1)
    """Patches per step."""
    check_every: int = Field(default=500, ge=1)
    """Steps of an epoch, at whose end checkpoint, figures and pictures are written."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Of the moving average of the weights."""
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    """Arithmetic; the weights are always float32."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    devices: int = Field(default=1, ge=1)
    """Graphics cards (or processes, on a CPU) that share each step's patches."""
    workers: int = Field(default=0, ge=0)
    """Processes that make patches."""
    tensorboard: bool = False
    """Also log for TensorBoard, which must be installed."""
    seed: int = 0
    """Of weights and patches."""
    card: CardText
    """What the model card says beyond what is measured: summary, domain, licence, trained_on, limits ..."""

    @property
    def folder(self) -> Path:
        """Where this run's checkpoints and result go."""
        return self.out / self.name

    def schedule(self, steps: int, learning_rate: float) -> "Schedule":
        """Return what the trainer wants to know.

        Raises
        ------
        JobError
            If the steps are no multiple of `check_every`, or the batch none of `devices`.
        """
        from napari_microsr.core.fitting import Schedule

        for what, value, name, divisor in (
            ("steps", steps, "check_every", self.check_every),
            ("batch", self.batch, "devices", self.devices),
        ):
            if value % divisor:
                raise JobError(
                    f"{what} ({value}) is not a multiple of {name} ({divisor}).", "Change one of them."
                )
        return Schedule(
            steps=steps,
            batch=self.batch,
            learning_rate=learning_rate,
            ema_decay=self.ema_decay,
            check_every=self.check_every,
            precision=self.precision,
            device=self.device,
            devices=self.devices,
            workers=self.workers,
            tensorboard=self.tensorboard,
            seed=self.seed,
        )
