"""The autoencoder of DSIR: from one frame to an image of the molecules on a grid eight times finer."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Fine pixels per camera pixel.
FACTOR = 8
#: Which normalisation follows each convolution but the last.
_USES = ("wide", "narrow", "narrow", "narrow", "wide", "narrow")
SMALLEST_SD = 1e-6


class SharedNorm(nn.Module):
    """Batch normalisation with one scale and shift for several places, and running statistics for each.

    In the source the statistics are shared as well: they are then a mixture of what the places see, which
    none of them can use, and the trained network gives no light at all outside training.

    Parameters
    ----------
    features : int
        Channels.
    places : int
        How often it is used.
    """

    def __init__(self, features: int, places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.statistics = nn.ModuleList(nn.BatchNorm2d(features, affine=False) for _ in range(places))

    def forward(self, x: Tensor, place: int) -> Tensor:
        """Normalise (N, features, H, W) as at `place`."""
        normal: Tensor = self.statistics[place](x)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class DsirAutoencoder(nn.Module):
    """DSIR's network (3,339 trained values), its normalisation mended.

    Three convolutions, each followed by a halving, then three transposed ones that double; what comes out has
    the size of the enlarged frame, see `enlarge`, and is at least 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)]
        )
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)]
        )
        self.last = nn.Conv2d(8, 1, 3, padding=1)
        self.wide, self.narrow, self.single = SharedNorm(16, 2), SharedNorm(8, 4), SharedNorm(1, 1)
        for layer in (*self.down, self.last):
            nn.init.xavier_normal_(layer.weight)
            nn.init.normal_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map enlarged frames (N, 1, H, W), H and W multiples of 8, to images of the same size."""
        for number, layer in enumerate(self.down):
            x = functional.max_pool2d(self._normal(layer(x), number), 2)
        for number, layer in enumerate(self.up, len(self.down)):
            x = self._normal(layer(x), number)
        return functional.relu(self.single(self.last(x), 0))

    def _normal(self, x: Tensor, number: int) -> Tensor:
        name = _USES[number]
        norm = self.wide if name == "wide" else self.narrow
        return functional.relu(norm(x, _USES[:number].count(name)))


def magnify(frames: Tensor) -> Tensor:
    """Bring frames (N, 1, h, w) to the network's grid (N, 1, 8h, 8w)."""
    return functional.interpolate(frames, scale_factor=float(FACTOR), mode="bilinear", align_corners=False)


def enlarge(frames: Tensor) -> Tensor:
    """Bring frames (N, 1, h, w) to the network's grid (N, 1, 8h, 8w), mean 0 and standard deviation 1."""
    fine = magnify(frames)
    mean = fine.mean((1, 2, 3), keepdim=True)
    deviation = fine.std((1, 2, 3), keepdim=True, correction=0)
    return (fine - mean) / deviation.clamp(min=SMALLEST_SD)


def calibrate(network: DsirAutoencoder, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every place to the mean over batches of enlarged frames."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        # None: the plain mean of all batches instead of a decaying one.
        norm.momentum = None
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    network.eval()
