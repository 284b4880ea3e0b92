"""Does super-resolution help to segment nuclei? One command, one figure, whatever the answer is.

    python benchmarks/segmentation.py OUT.png [--labelled FOLDER] [--images FOLDER ...] [--model ID ...]

An image is reduced by the models' factor, and nuclei are segmented on versions of it: the reduced image
itself (its labels enlarged afterwards), its bicubic magnification, each model's result, and the true image.
The objects are matched with the labels: F1 at an overlap (IoU) above one half, and the mean IoU of the
labelled nuclei. Each version is compared with bicubic magnification over the images: paired Wilcoxon test,
rank-biserial correlation as the effect size, and a bootstrap confidence interval of the median difference.

Sets: simulated nuclei, whose labels are exact (always); --labelled, a folder with the folders `images` and
`masks` of equal names; --images, folders without labels, where the segmentation of the true image is the
reference: that asks whether a version is segmented as the true image would be, not whether that is right.
The segmentation is a threshold and a watershed (scikit-image), and StarDist where it is installed.
The numbers of every image go to OUT.csv. The figure needs matplotlib, which nothing else here does.
"""

import argparse
import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _common import print_table
from _paired import Comparison, compare
from _segmentation import Field, folder_fields, matched, segment, simulated_fields, star_convex

from napari_microsr.core.weights import ModelCard, find, list_cards
from napari_microsr.superres.degrade import bicubic_down
from napari_microsr.superres.ensemble import expecting
from napari_microsr.superres.normalise import percentile_range
from napari_microsr.superres.registry import build_network

Segmenter = Callable[[np.ndarray, float], np.ndarray]
#: (F1, IoU) of each image, by version.
Scores = dict[str, np.ndarray]
BASE, TRUE, LOW = "bicubic", "true image", "reduced image"
PAD_PX = 32
#: Of a row of the figure.
PANELS = 4
MEASURES = ("F1 at IoU 0.5", "mean IoU")
COLOURS = {LOW: "#b3541e", BASE: "#d9a441", TRUE: "#555555"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--labelled", type=Path, nargs="*", default=[])
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--model", nargs="*", default=[])
    parser.add_argument("--limit", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cards = [find(model)[0] for model in options.model] or list_cards()
    cards = [card for card in cards if card.task == "super-resolution" and card.factor > 1]
    segmenters: dict[str, Segmenter] = {"watershed": segment}
    if importlib.util.find_spec("stardist") is not None:
        segmenters["StarDist"] = star_convex()
    results = {}
    for name, fields in sets(options).items():
        for factor in sorted({card.factor for card in cards}):
            usable = [card for card in cards if card.factor == factor and suits(card, fields[0])]
            for method, segmenter in segmenters.items():
                title = f"{name}, x{factor}, {method}"
                results[title] = score(fields, usable, factor, segmenter)
                report(title, fields, results[title])
    write_csv(options.figure.with_suffix(".csv"), results)
    draw(results, options.figure)


def sets(options: argparse.Namespace) -> dict[str, list[Field]]:
    """Return the fields by the name of their set."""
    found = {"simulated, exact labels": list(simulated_fields(options.limit))}
    for folder in options.labelled:
        fields = folder_fields(folder / "images", folder / "masks", options.limit)
        found[f"{folder.name}, drawn labels"] = list(fields)
    for folder in options.images:
        name = "/".join(folder.parts[-2:])
        found[f"{name}, no labels"] = list(folder_fields(folder, None, options.limit))
    return found


def suits(card: ModelCard, field: Field) -> bool:
    """Say whether a model is for such images; plain magnification is for all."""
    return card.channels in (None, 3 if field.image.ndim == 3 else 1)


def score(fields: list[Field], cards: list[ModelCard], factor: int, segmenter: Segmenter) -> Scores:
    """Segment all versions of all fields and match them with the labels."""
    networks = {BASE: build_network("bicubic", factor=factor)}
    networks |= {card.id: expecting(card, find(card.id)[1], None) for card in cards if card.sha256}
    methods = {card.id: card.normalisation for card in cards}
    rows: dict[str, list[tuple[float, float]]] = {}
    for field in fields:
        low = bicubic_down(field.image, factor)
        coarse = segmenter(low, factor)
        found = {LOW: coarse.repeat(factor, 0).repeat(factor, 1), TRUE: segmenter(field.image, 1.0)}
        for name, network in networks.items():
            span = (0.0, 255.0) if methods.get(name) != "percentile" else percentile_range(low)
            found[name] = segmenter(magnified(network, low, factor, span), 1.0)
        reference = found[TRUE] if field.labels is None else field.labels
        for name in (LOW, *networks, *([] if field.labels is None else [TRUE])):
            rows.setdefault(name, []).append(matched(found[name], reference))
    return {name: np.array(values) for name, values in rows.items()}


def magnified(
    network: torch.nn.Module, low: np.ndarray, factor: int, span: tuple[float, float]
) -> np.ndarray:
    """Return the network's 8-bit result on an 8-bit image (h, w[, 3]); `span` becomes 0 and 1."""
    planes = np.atleast_3d(low).transpose(2, 0, 1).astype(np.float32)
    padded = np.pad(
        (planes - span[0]) / (span[1] - span[0]), ((0, 0), (PAD_PX,) * 2, (PAD_PX,) * 2), mode="edge"
    )
    with torch.inference_mode():
        fine = network(torch.from_numpy(padded.astype(np.float32))[None])[0].numpy()
    rim = factor * PAD_PX
    fine = span[0] + (span[1] - span[0]) * fine[:, rim:-rim, rim:-rim]
    result = np.rint(fine).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return result if low.ndim == 3 else result[..., 0]


def report(title: str, fields: list[Field], scores: Scores) -> None:
    """Print means, and each version against bicubic magnification."""
    groups = [field.group for field in fields]
    rows = []
    for name, values in scores.items():
        row: list[object] = [name]
        for number in range(len(MEASURES)):
            row.append(f"{values[:, number].mean():.3f}")
            row.append(
                text(compare(values[:, number], scores[BASE][:, number], groups)) if name != BASE else "-"
            )
        rows.append(row)
    head = [
        "version",
        *(word for m in MEASURES for word in (m, "median difference to bicubic [95 %], effect, p")),
    ]
    count = len(set(groups))
    print_table(f"{title}: {len(fields)} fields of {count} images", head, rows)


def text(it: Comparison) -> str:
    if it.n == 1:
        return f"{it.median:+.3f}, one image"
    p = "too few for a test" if np.isnan(it.p) else f"p {it.p:.2g}"
    return f"{it.median:+.3f} [{it.low:+.3f}, {it.high:+.3f}], {it.effect:+.2f}, {p}"


def write_csv(path: Path, results: dict[str, Scores]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "version", "field", *MEASURES])
        for title, scores in results.items():
            for name, values in scores.items():
                writer.writerows([title, name, i, *map("{:.4f}".format, row)] for i, row in enumerate(values))


def draw(results: dict[str, Scores], path: Path) -> None:
    """Draw F1 of each field by version, with the mean; one panel per set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(PANELS, len(results))
    rows = -(-len(results) // columns)
    size = (3.2 * columns, 3.4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, layout="constrained", squeeze=False)
    for axis in axes.flat[len(results) :]:
        axis.remove()
    for axis, (title, scores) in zip(axes.flat, results.items(), strict=False):
        for place, (name, values) in enumerate(scores.items()):
            spread = np.random.default_rng(0).uniform(-0.15, 0.15, len(values))
            axis.plot(place + spread, values[:, 0], ".", color=COLOURS.get(name, "#0b6e4f"), alpha=0.5)
            axis.hlines(values[:, 0].mean(), place - 0.3, place + 0.3, color="black")
        axis.set_xticks(range(len(scores)), list(scores), rotation=30, ha="right")
        axis.set_title(title.replace(", ", "\n", 1), fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    for row in axes:
        row[0].set_ylabel(MEASURES[0])
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
