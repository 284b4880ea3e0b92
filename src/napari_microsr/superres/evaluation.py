"""A network's figures on whole images."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_microsr.core.samples import SLIDE
from napari_microsr.superres.degrade import Pixels, as_type
from napari_microsr.superres.metrics import crop_rim, psnr, ssim
from napari_microsr.superres.networks.conditioned import ConditionedResidual, with_planes
from napari_microsr.superres.patches import to_tensor
from napari_microsr.superres.samples import Sample, Units, make_sample, make_samples, to_units, unit_range

#: Pixels around a whole image; farther ones changed no 8-bit pixel of any network here.
PAD_PX = 32


def degraded_pair(image: Pixels, degradation: str, factor: int) -> tuple[Pixels, Pixels]:
    """Return (low, high): `image` degraded, and `image` cropped to a size the degradation allows."""
    sample = make_sample(image, degradation, factor)
    return sample.intensities(sample.low), sample.truth


def run_network(module: nn.Module, low: Units, blur_px: float = 0.0, noise: float = 0.0) -> Units:
    """Run a network on a whole image (H, W[, C]) in network units; a conditioned one is told the rest."""
    device = next((t.device for t in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    x: Tensor = to_tensor(low)[None].to(device)
    # The window continues past the image's edge with its edge pixels, as the tile runner's does.
    x = functional.pad(x, (PAD_PX,) * 4, mode="replicate")
    if isinstance(module, ConditionedResidual):
        x = with_planes(x, blur_px, noise)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        y = module(x)[0].float()
    rim = PAD_PX * y.shape[-1] // x.shape[-1]
    image: Units = y[:, rim:-rim, rim:-rim].permute(1, 2, 0).cpu().numpy()
    return image[..., 0] if low.ndim == 2 else image


def predict(module: nn.Module, low: Pixels) -> Pixels:
    """Run a network on a whole image (H, W[, C]), normalised as a run does it, to an image of its type."""
    zero, one = unit_range(low)
    result = run_network(module, to_units(low, zero, one))
    return as_type(result.astype(np.float64) * (one - zero) + zero, low.dtype)


def score_sample(module: nn.Module, sample: Sample) -> tuple[float, float]:
    """Return PSNR (dB) and SSIM of a sample, in intensities of the image's type."""
    restored = sample.intensities(run_network(module, sample.low, sample.blur_px, sample.noise))
    image, truth = (crop_rim(i, sample.rim) for i in (restored, sample.truth))
    return psnr(image, truth, sample.data_range), ssim(image, truth, sample.data_range)


def score_samples(
    module: nn.Module,
    samples: Sequence[Sample],
    scored: Callable[[nn.Module, Sample], tuple[float, float]] = score_sample,
) -> tuple[float, float]:
    """Return mean PSNR (dB) and mean SSIM over samples; `scored` may know some of them already."""
    means = np.mean([scored(module, sample) for sample in samples], axis=0)
    return float(means[0]), float(means[1])


def score(module: nn.Module, images: Sequence[Pixels], degradation: str, factor: int) -> tuple[float, float]:
    """Return mean PSNR (dB) and mean SSIM over sharp images that are degraded first."""
    return score_samples(module, make_samples(images, degradation, factor))


#: Corners (row, column) of tissue in the shipped slide: epidermis and dermis.
SAMPLE_CORNERS = ((900, 1180), (1500, 920), (2000, 1100), (2600, 640))
SAMPLE_PX = 256


def sample_images(channels: int = 3) -> list[Pixels]:
    """Return crops of the shipped slide (H&E, CC0), which no shipped model was trained on.

    A card's figures on them can be recomputed by anybody who has the package. For networks of one channel it
    is the inverted green channel: no fluorescence, but bright nuclei on dark ground.
    """
    import tifffile

    slide = tifffile.imread(SLIDE)
    if channels == 1:
        slide = 255 - slide[..., 1]
    return [slide[y : y + SAMPLE_PX, x : x + SAMPLE_PX] for y, x in SAMPLE_CORNERS]
