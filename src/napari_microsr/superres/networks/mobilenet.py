"""MobileNetV2's features, with the ImageNet weights of torchvision where both are at hand."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_microsr.errors import ModelError

LAYERS = tuple(map(str, range(19)))
#: Statistics of the images on which the weights were trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MobileNetFeatures(nn.Module):
    """The blocks of MobileNetV2 (Sandler et al., CVPR 2018).

    Parameters
    ----------
    blocks : nn.Sequential
        Of torchvision's network.
    """

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.blocks = blocks

    def features(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the output of blocks by number, of images (N, 3, H, W) in [0, 1]."""
        mean, std = (x.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        out, found = (x - mean) / std, []
        for block in self.blocks:
            out = block(out)
            found.append(out)
        return [found[int(name)] for name in layers]


def load_mobilenet() -> MobileNetFeatures:
    """Return the features with the weights in torch's own folder; nothing is fetched.

    Raises
    ------
    ModelError
        If torchvision does not load here, or its weights are not there.
    """
    try:
        from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
    except (ImportError, RuntimeError, OSError) as error:
        raise ModelError(
            f"mobilenet-v2 needs torchvision, which does not load here ({error}).",
            "Install the torchvision that belongs to your torch, or use a minivgg.",
        ) from error
    url = MobileNet_V2_Weights.IMAGENET1K_V2.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise ModelError(
            f"The weights of mobilenet-v2 are not at {path}.",
            f"Put them there, from {url}, or use a minivgg.",
        )
    network = mobilenet_v2()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return MobileNetFeatures(network.features)
