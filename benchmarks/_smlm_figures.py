"""Curves of the localisation benchmark; they need matplotlib, which nothing else here does."""

from dataclasses import dataclass
from pathlib import Path

COLOURS = ("#0072b2", "#009e73", "#d55e00")  # told apart also by the colour-blind


@dataclass(frozen=True)
class Curve:
    """What a figure is called, and the band of values that is asked for."""

    x: str
    y: str
    band: tuple[float, float]


CURVES = {
    "honesty": Curve("molecules per µm² and frame", "error / predicted error", (0.9, 1.15)),
    "bound": Curve("photons of a single molecule", "RMS error / Cramér–Rao bound", (1.0, 1.1)),
}


def draw_curves(name: str, series: dict[str, list[tuple[float, float]]], folder: Path) -> None:
    """Draw one curve per method as smlm-NAME.png."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curve = CURVES[name]
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.axhspan(*curve.band, color="0.9", label=f"{curve.band[0]:g} to {curve.band[1]:g}")
    axes.axhline(1.0, color="0.6", linewidth=1)
    # DSIR gives positions only through the maxima of its image, and those without any precision.
    shown = {method: points for method, points in series.items() if "maxima" not in method}
    for (method, points), colour in zip(shown.items(), COLOURS, strict=True):
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=method, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel=curve.x, ylabel=curve.y)
    ticks = sorted({x for points in shown.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    low, high = axes.get_ylim()
    marks = [mark for mark in (0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10) if low <= mark <= high]
    axes.set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(folder / f"smlm-{name}.png", dpi=110)
    plt.close(figure)
