"""Losses of images in network units: (predicted, true), float tensors (N, C, H, W) -> a scalar."""

from collections.abc import Callable, Mapping

from napari_microsr.core import torchvision_guard  # noqa: F401

# isort: split
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure

from napari_microsr.errors import JobError
from napari_microsr.superres.content import Content, load_features
from napari_microsr.superres.loss_options import LossOptions

Loss = Callable[[Tensor, Tensor], Tensor]


def charbonnier(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the smooth absolute error sqrt(d^2 + 1e-6) (Lai et al., CVPR 2017)."""
    return torch.sqrt((predicted - true) ** 2 + 1e-6).mean()


def ssim_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Return 1 - SSIM, Gaussian window of sigma 1.5 (Wang et al., IEEE TIP 13, 600, 2004)."""
    # Differences of squares lose everything in 16 bits.
    with torch.autocast(predicted.device.type, enabled=False):
        similarity = structural_similarity_index_measure(predicted.float(), true.float(), data_range=1.0)
    assert isinstance(similarity, Tensor)
    return 1 - similarity


def total_variation(predicted: Tensor, _true: Tensor) -> Tensor:
    """Return twice the mean squared difference of neighbours, down plus across, as Swift-SRGAN has it."""
    return 2 * (predicted.diff(dim=-2).square().mean() + predicted.diff(dim=-1).square().mean())


LOSSES: dict[str, Loss] = {
    "charbonnier": charbonnier,
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}


class Terms(nn.Module):
    """Weighted terms by name.

    Parameters
    ----------
    terms : mapping of str to (float, callable)
        Weight and loss.
    """

    def __init__(self, terms: Mapping[str, tuple[float, Loss]]) -> None:
        super().__init__()
        self.terms = dict(terms)
        # Modules among the losses go to the device with this one.
        self.parts = nn.ModuleList(loss for _, loss in terms.values() if isinstance(loss, nn.Module))

    def forward(self, predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms."""
        predicted = predicted.float()
        return {name: weight * loss(predicted, true) for name, (weight, loss) in self.terms.items()}


def make_loss(options: LossOptions) -> Terms:
    """Return the terms whose weights are not zero, but the adversarial one, which is no function of images.

    Raises
    ------
    JobError
        If there is no such pixel loss.
    ModelError
        If the network of the content loss is missing, or has no such layers.
    """
    if options.loss not in LOSSES:
        raise JobError(f"There is no loss named {options.loss!r}.", f"Known are {', '.join(LOSSES)}.")
    terms: dict[str, tuple[float, Loss]] = {
        "pixel": (options.pixel_weight, LOSSES[options.loss]),
        "ssim": (options.ssim_weight, ssim_loss),
        "tv": (options.tv_weight, total_variation),
    }
    if options.content_weight:
        features = load_features(options.content_network, options.content_layers)
        terms["content"] = options.content_weight, Content(features, options.content_scale == "sum")
    return Terms({name: (weight, loss) for name, (weight, loss) in terms.items() if weight})


def describe(options: LossOptions) -> str:
    """Return the losses and their weights for a card."""
    parts = [
        (options.pixel_weight, options.loss),
        (options.ssim_weight, "SSIM"),
        (options.content_weight, f"content ({options.content_network})"),
        (options.adversarial_weight, f"adversarial ({options.adversarial}, {options.discriminator})"),
        (options.tv_weight, "total variation"),
    ]
    return " + ".join(f"{weight:g} {name}" for weight, name in parts if weight)
