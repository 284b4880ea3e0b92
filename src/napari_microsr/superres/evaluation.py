"""A network's figures on whole sharp images that are degraded first."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_microsr.core.samples import SLIDE
from napari_microsr.superres.datasets import to_tensor
from napari_microsr.superres.degrade import DEGRADATIONS, Pixels
from napari_microsr.superres.metrics import crop_rim, psnr, ssim

#: Every network of the package accepts sizes that are multiples of this.
ALIGNMENT = 16
#: Pixels around a whole image; farther ones changed no 8-bit pixel of any network here.
PAD_PX = 32


def degraded_pair(image: Pixels, degradation: str, factor: int) -> tuple[Pixels, Pixels]:
    """Return (low, high): `image` degraded, and `image` cropped to a size the degradation allows."""
    unit = factor * ALIGNMENT
    high = image[: image.shape[0] // unit * unit, : image.shape[1] // unit * unit]
    return DEGRADATIONS[degradation].apply(high, factor), high


def predict(module: nn.Module, low: Pixels) -> Pixels:
    """Run a network on a whole 8-bit image (H, W[, C]) and round to 8 bits."""
    device = next((t.device for t in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    x = to_tensor(low)[None].to(device)
    # The window continues past the image's edge with its edge pixels, as the tile runner's does.
    x = functional.pad(x, (PAD_PX,) * 4, mode="replicate").contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        y = module(x)[0].float()
    rim = PAD_PX * y.shape[-1] // x.shape[-1]
    y = y[:, rim:-rim, rim:-rim]
    image: Pixels = y.mul(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return image[..., 0] if low.ndim == 2 else image


def score(module: nn.Module, images: Sequence[Pixels], degradation: str, factor: int) -> tuple[float, float]:
    """Return mean PSNR (dB) and mean SSIM over sharp images, a rim of two factors cut."""
    figures = []
    for image in images:
        low, high = degraded_pair(image, degradation, factor)
        restored, truth = (crop_rim(i, 2 * factor) for i in (predict(module, low), high))
        figures.append((psnr(restored, truth), ssim(restored, truth)))
    means = np.mean(figures, axis=0)
    return float(means[0]), float(means[1])


#: Corners (row, column) of tissue in the shipped slide: epidermis and dermis.
SAMPLE_CORNERS = ((900, 1180), (1500, 920), (2000, 1100), (2600, 640))
SAMPLE_PX = 256


def sample_images() -> list[Pixels]:
    """Return crops of the shipped slide (H&E, CC0), which no shipped model was trained on.

    A card's figures on them can be recomputed by anybody who has the package.
    """
    import tifffile

    slide = tifffile.imread(SLIDE)
    return [slide[y : y + SAMPLE_PX, x : x + SAMPLE_PX] for y, x in SAMPLE_CORNERS]
