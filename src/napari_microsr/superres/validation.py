"""What is measured and drawn of a network at the end of each epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_microsr.core.epoch import Findings, Picture
from napari_microsr.superres.evaluation import run_network, score_samples
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.samples import Sample, Units

#: How many pictures are drawn where none are chosen, and their largest side.
SHOWN, SHOWN_PX = 4, 384


class Validation:
    """Measures a network on held-out images beside the baseline, and draws some of them.

    Parameters
    ----------
    samples : sequence of Sample
        The held-out images.
    show : sequence of str
        Beginnings of the names of those that are drawn; empty draws the first four.
    """

    def __init__(self, samples: Sequence[Sample], show: Sequence[str] = ()) -> None:
        self.samples = samples
        self.shown = [s for s in samples if s.name.startswith(tuple(show))] if show else samples[:SHOWN]
        factor = samples[0].high.shape[0] // samples[0].low.shape[0]
        self.enlarge = Bicubic(factor=factor) if factor > 1 else nn.Identity()
        psnr, ssim = score_samples(self.enlarge, samples)
        name = "bicubic" if factor > 1 else "input"
        self.baseline = {f"psnr_{name}": psnr, f"ssim_{name}": ssim}

    def __call__(self, network: nn.Module) -> Findings:
        """Return PSNR (dB; also the score) and SSIM beside the baseline's, with pictures."""
        psnr, ssim = score_samples(network, self.samples)
        figures = {"score": psnr, "psnr": psnr, "ssim": ssim, **self.baseline}
        return Findings(figures, [self.draw(network, sample) for sample in self.shown])

    def draw(self, network: nn.Module, sample: Sample) -> Picture:
        """Return the middle of a sample: low (enlarged), result and truth."""
        panels = {
            "low": run_network(self.enlarge, sample.low),
            "result": run_network(network, sample.low, sample.blur_px, sample.noise),
            "truth": sample.high,
        }
        return Picture(sample.name, {name: _display(panel) for name, panel in panels.items()})


def _display(image: Units) -> NDArray[np.uint8]:
    """Return the middle of an image in network units in 8 bits, 0 black and 1 white."""
    y, x = (max(0, (size - SHOWN_PX) // 2) for size in image.shape[:2])
    middle = image[y : y + SHOWN_PX, x : x + SHOWN_PX]
    return np.rint(np.clip(middle, 0, 1) * 255).astype(np.uint8)
