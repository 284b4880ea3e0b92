"""A foreign network as our tiler wants it."""

from collections.abc import Callable

from torch import Tensor, nn


class Wrapped(nn.Module):
    """A network that refuses what it does not take by RuntimeError only, and answers in float32.

    Parameters
    ----------
    network : nn.Module
        (N, C, H, W) -> (N, C, f*H, f*W).
    before, after : callable, optional
        What is done to the network's input and output; pixel by pixel.
    """

    def __init__(
        self,
        network: nn.Module,
        before: Callable[[Tensor], Tensor] | None = None,
        after: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on `x` (N, C, H, W)."""
        try:
            y: Tensor = self.network(x if self.before is None else self.before(x))
        except (AssertionError, IndexError, TypeError, ValueError) as error:
            raise RuntimeError(f"{type(self.network).__name__} refused {tuple(x.shape)}: {error}") from error
        if not isinstance(y, Tensor):
            raise RuntimeError(f"{type(self.network).__name__} returned {type(y).__name__}, not a tensor")
        y = y if self.after is None else self.after(y)
        return y.float()
