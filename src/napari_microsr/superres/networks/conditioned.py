"""A fast residual network that is told how blurred and how noisy its input is."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.fast import FastResidual

#: Planes after those of the image: blur, noise.
PLANES = 2
#: Brings both planes to about the spread of the image: blurs of 0-2 px, noise of 0-0.1.
PLANE_SCALES = (1.0, 10.0)


class ConditionedResidual(FastResidual):
    """`FastResidual` whose first convolution also sees two planes that describe the input.

    The planes are those of a degradation map (Zhang et al., CVPR 2018, SRMD): constant over the image,
    plane C holds the standard deviation of a Gaussian blur in pixels of the input, plane C + 1 that of
    the noise in network units ([0, 1] is the image's range). Both hold the values themselves: the network
    scales them (`PLANE_SCALES`). Only the image planes are magnified and added to.

    Parameters
    ----------
    channels : int
        Channels C of the image, without the planes.
    features, blocks, factor : int
        As of `FastResidual`.
    """

    plane_scales: Tensor

    def __init__(self, channels: int = 3, features: int = 32, blocks: int = 4, factor: int = 2) -> None:
        super().__init__(channels, features, blocks, factor)
        self.channels = channels
        self.head = nn.Conv2d(channels + PLANES, features, 3, padding=1)
        self.register_buffer("plane_scales", torch.tensor(PLANE_SCALES).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Magnify the first C planes of `x` (N, C + 2, H, W) to (N, C, factor*H, factor*W)."""
        image, planes = x[:, : self.channels], x[:, self.channels :]
        return self._add_residual(image, torch.cat([image - 0.5, planes * self.plane_scales], dim=1))

    def start_from(self, plain: FastResidual) -> None:
        """Take the weights of a network of the same size without planes; blind to the planes at first.

        Raises
        ------
        ModelError
            If it is of another size.
        """
        state = plain.state_dict()
        state["head.weight"] = functional.pad(state["head.weight"], (0, 0, 0, 0, 0, PLANES))
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                "The network to start from has other channels, features, blocks or factor.",
                "Give the job the same arguments as the card of the one to start from.",
            ) from error


def with_planes(image: Tensor, blur_px: float, noise: float) -> Tensor:
    """Append the planes of blur and noise to an image (..., C, H, W), giving (..., C + 2, H, W)."""
    values = torch.tensor([blur_px, noise], dtype=image.dtype, device=image.device)
    planes = values.view(PLANES, 1, 1).expand(*image.shape[:-3], PLANES, *image.shape[-2:])
    return torch.cat([image, planes], dim=-3)


def conditioned(network: nn.Module, blur_px: float, noise: float) -> FastResidual:
    """Return the network for plain images of one blur and one noise.

    A constant plane adds a constant behind a convolution, so the planes become part of the first bias: the
    returned network costs no more than a `FastResidual`. It equals `network(with_planes(x, blur_px, noise))`
    but for the pixels that the zeros beyond the window's edge reach, which no tile keeps.

    Parameters
    ----------
    network : ConditionedResidual
        Stays as it is.
    blur_px : float
        Standard deviation of the input's blur in its pixels.
    noise : float
        Standard deviation of its noise in network units.

    Raises
    ------
    ModelError
        If the network takes no such planes.
    """
    if not isinstance(network, ConditionedResidual):
        raise ModelError(
            f"The network {type(network).__name__} cannot be told blur and noise.",
            "Use a model whose card says conditioned.",
        )
    head = network.head
    scales = network.plane_scales.flatten()
    values = scales * torch.tensor([blur_px, noise], dtype=scales.dtype, device=scales.device)
    plain = FastResidual(network.channels, head.out_channels, len(network.body), network.factor).to(
        scales.device
    )
    state = network.state_dict()
    planes = state["head.weight"][:, network.channels :].sum(dim=(2, 3))
    state["head.bias"] = state["head.bias"] + planes @ values.to(planes.dtype)
    state["head.weight"] = state["head.weight"][:, : network.channels]
    plain.load_state_dict(state)
    return plain.train(network.training)
