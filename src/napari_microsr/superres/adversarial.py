"""Training against a discriminator that learns to tell results from true images."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.core.fitting import CLIP, Fit, Loss, Pair, Schedule, Validate


class Game(Protocol):
    """What the adversaries lose, from scores (N, 1) without a sigmoid."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return the loss of the network whose results have these scores."""

    def discriminator(self, true: Tensor, fake: Tensor) -> Tensor:
        """Return the loss of the discriminator that gave these scores."""


class LeastSquares:
    """Targets +1 for true and -1 for made, as in mSRGAN (Mao et al., ICCV 2017)."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return half the mean of (D(G) - 1)^2."""
        return (fake - 1).square().mean() / 2

    def discriminator(self, true: Tensor, fake: Tensor) -> Tensor:
        """Return half the means of (D(true) - 1)^2 and (D(G) + 1)^2."""
        return ((true - 1).square().mean() + (fake + 1).square().mean()) / 2


class CrossEntropy:
    """Binary cross-entropy, the network's part not saturating (Goodfellow et al., NeurIPS 2014)."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return -log sigmoid D(G)."""
        return functional.softplus(-fake).mean()

    def discriminator(self, true: Tensor, fake: Tensor) -> Tensor:
        """Return the mean of -log sigmoid D(true) and -log(1 - sigmoid D(G))."""
        return (functional.softplus(-true).mean() + functional.softplus(fake).mean()) / 2


class Wasserstein:
    """The difference of the mean scores; needs the gradient penalty (Gulrajani et al., NeurIPS 2017)."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return -D(G)."""
        return -fake.mean()

    def discriminator(self, true: Tensor, fake: Tensor) -> Tensor:
        """Return D(G) - D(true)."""
        return fake.mean() - true.mean()


GAMES: dict[str, Game] = {"least-squares": LeastSquares(), "bce": CrossEntropy(), "wgan-gp": Wasserstein()}


def gradient_penalty(discriminator: nn.Module, true: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of (|dD/dx| - 1)^2 at random places x between true and made images."""
    share = torch.rand(len(true), 1, 1, 1, device=true.device)
    between = torch.lerp(true, fake, share).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    penalty: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


class AdversarialFit(Fit):
    """A network that is trained against a discriminator, in turns.

    A step takes `critic_steps` batches: the discriminator learns from each, then the network from the last.

    Parameters
    ----------
    network, loss, schedule, validate, identity
        As of `Fit`; the loss's terms are what is added to the adversarial one.
    discriminator : nn.Module
        Image (N, C, H, W) -> scores (N, 1).
    game : Game
        Losses of the two.
    weight : float
        Of the adversarial term.
    rate : float
        Highest learning rate of the discriminator.
    critic_steps : int
        Steps of the discriminator per step of the network.
    penalty : float
        Weight of the gradient penalty, 0 for none.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        schedule: Schedule,
        validate: Validate,
        identity: Mapping[str, str] | None = None,
        *,
        discriminator: nn.Module,
        game: Game,
        weight: float,
        rate: float,
        critic_steps: int = 1,
        penalty: float = 0.0,
    ) -> None:
        super().__init__(network, loss, schedule, validate, identity)
        self.automatic_optimization = False
        self.discriminator = discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.game = game
        self.weight = weight
        self.rate = rate
        self.chunks = critic_steps
        self.updates = critic_steps + 1
        self.penalty = penalty

    def training_step(self, batch: Pair, _index: int) -> None:
        """Teach the discriminator, then the network."""
        optimizer, critic = self.optimizers()
        lows, highs = (x.to(memory_format=torch.channels_last).chunk(self.chunks) for x in batch)
        for low, high in zip(lows[:-1], highs[:-1], strict=True):
            with torch.no_grad():
                fake = self.network(low)
            self.teach(critic, high, fake)
        predicted = self.network(lows[-1])
        self.teach(critic, highs[-1], predicted.detach())
        terms = self.terms(predicted, highs[-1])
        # The gradient goes through the discriminator to the network and leaves nothing behind.
        self.discriminator.requires_grad_(False)
        terms["adversarial"] = self.weight * self.game.generator(self.discriminator(predicted).float())
        self.step(optimizer, self.total(terms))
        self.discriminator.requires_grad_(True)
        for schedule in self.lr_schedulers():
            schedule.step()

    def teach(self, critic: Any, true: Tensor, fake: Tensor) -> None:
        """Let the discriminator learn from true and made images."""
        scores = self.discriminator(true).float(), self.discriminator(fake).float()
        loss = self.game.discriminator(*scores)
        if self.penalty:
            with torch.autocast(true.device.type, enabled=False):
                loss = loss + self.penalty * gradient_penalty(self.discriminator, true, fake.float())
        if not torch.isfinite(loss):
            raise self.diverged("The discriminator's loss is not a finite number")
        self.note(
            {"loss_discriminator": loss, "score_true": scores[0].mean(), "score_made": scores[1].mean()}
        )
        self.step(critic, loss)

    def step(self, optimizer: Any, loss: Tensor) -> None:
        """Take one step of an optimiser."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, CLIP, "norm")
        optimizer.step()

    def configure_optimizers(self) -> Any:
        """One Adam for the network, one for the discriminator."""
        pairs = [
            self.adam(network, rate)
            for network, rate in zip((self.network, self.discriminator), self.rates(), strict=True)
        ]
        return [optimizer for optimizer, _ in pairs], [schedule for _, schedule in pairs]

    def rates(self) -> list[float]:
        """Return the highest rate of each optimiser."""
        return [self.schedule.learning_rate, self.rate]
