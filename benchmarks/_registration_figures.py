"""Figures of the registration benchmark; they need matplotlib, which nothing else here does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _registration_methods import BASELINES, OURS
from _registration_report import FOUND_PX, core, decoys, expected_ratio, of, there
from _registration_run import Result

from napari_microsr.registration.verdict import PLACED_SCORE, UNCERTAIN_SCORE

COLOURS = {OURS: "#0b6e4f", **dict(zip(BASELINES, ("#b3541e", "#d9a441", "#3066be", "#8a4f9e"), strict=True))}
GREY = "#555555"
#: Fields in a group of the calibration curve, at least.
IN_A_GROUP = 20
#: Sets whose errors are shown, by what they are called there.
SHOWN = {
    "40x": ("rot40", "mild40", "scale40"),
    "10x": ("rot10", "scale10"),
    "other colours": ("color40",),
    "overlap 30 %": ("partial30",),
    "defocus 2 to 5 µm": ("defoc40",),
    "two scanners": ("real",),
}


def draw(by_method: dict[str, list[Result]], folder: Path) -> None:
    """Draw the ROC with the scores, the calibration of the expected error and the errors of all methods."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "legend.fontsize": 9})
    ours = by_method[OURS]
    drawn = {name: by_method[name] for name in COLOURS if by_method[name]}
    pairs = {
        "roc": ((_scores, ours), (_roc, drawn)),
        "calibration": ((_expected, ours), (_reliability, ours)),
        "errors": ((_errors, drawn), (_errors_by_set, ours)),
    }
    for name, panels in pairs.items():
        figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
        for axis, (panel, data) in zip(axes, panels, strict=True):
            panel(axis, data)
            axis.legend()
        figure.savefig(folder / f"registration-{name}.png", dpi=110)
        plt.close(figure)


def _scores(axis: Any, ours: Sequence[Result]) -> None:
    """Show how many fields lie beyond a score: of those that are there, and of those that are not."""
    on, off = (np.sort([r.score for r in some]) for some in (there(ours), decoys(ours)))
    axis.plot(on, _shares(on), color=COLOURS[OURS], label=f"{len(on)} fields on the overview: share below")
    axis.plot(off, 1 - _shares(off), color="#b3541e", label=f"{len(off)} fields not on it: share above")
    for score, style, name in ((PLACED_SCORE, "-", "placed"), (UNCERTAIN_SCORE, ":", "uncertain")):
        axis.axvline(score, color=GREY, linestyle=style, label=f"{name} from {score:g}")
    axis.set(title="The score separates", xlabel="score", ylabel="share of fields", xlim=(-0.03, 1.02))


def _roc(axis: Any, by_method: dict[str, list[Result]]) -> None:
    for name, results in by_method.items():
        on, off = (np.array([r.score for r in some]) for some in (there(results), decoys(results)))
        if len(on) and len(off):
            right = np.array([r.error_px is not None and r.error_px < FOUND_PX for r in there(results)])
            limits = np.unique(np.concatenate([on, off, [np.inf]]))[::-1]
            accepted = [(off >= limit).mean() for limit in limits]
            found = [((on >= limit) & right).mean() for limit in limits]
            axis.plot(accepted, found, color=COLOURS[name], label=f"{name} ({len(on)} + {len(off)} fields)")
    axis.set(
        title="Found and falsely accepted, for any limit of the score",
        xlabel="accepted of the fields not on the overview",
        ylabel=f"accepted and right to {FOUND_PX:g} px",
        ylim=(-0.02, 1.02),
    )


def _expected(axis: Any, ours: Sequence[Result]) -> None:
    """Show the expected and the true error of every placed field."""
    some = [r for r in ours if expected_ratio(r) is not None]
    true, expected = np.array([(r.error_um, r.expected_um) for r in some]).T
    axis.loglog(
        true, expected, ".", color=COLOURS[OURS], alpha=0.4, markersize=4, label=f"{len(some)} fields"
    )
    ends = np.array([true.min(), true.max()])
    axis.plot(ends, ends, color=GREY, label="equal")
    axis.plot(ends, 2 * ends, ":", color=GREY, label="factor 2")
    axis.plot(ends, ends / 2, ":", color=GREY)
    axis.set(title="Each field", xlabel="true error, µm", ylabel="expected error, µm")


def _reliability(axis: Any, ours: Sequence[Result]) -> None:
    """Show the true errors of fields with about the same expected error."""
    some = sorted((r.expected_um, r.error_um) for r in ours if expected_ratio(r) is not None)
    expected, true = np.array(some).T
    groups = np.array_split(np.arange(len(some)), max(1, min(12, len(some) // IN_A_GROUP)))
    middle = [np.median(expected[group]) for group in groups]
    for share, style, name in ((90, "--", "90 % below"), (50, "o-", "median"), (10, "--", "10 % below")):
        values = [np.percentile(true[group], share) for group in groups]
        axis.loglog(middle, values, style, color=COLOURS[OURS], markersize=4, label=name)
    axis.plot(middle, middle, color=GREY, label="equal")
    axis.xaxis.set_minor_formatter(lambda value, position: "")  # they would overlap
    title = f"{len(groups)} groups of like expected error"
    axis.set(title=title, xlabel="expected error, µm", ylabel="true error, µm")


def _errors(axis: Any, by_method: dict[str, list[Result]]) -> None:
    for name, results in by_method.items():
        some = core(results)
        _cumulative(axis, some, COLOURS[name], f"{name} ({len(some)})")
    axis.set(title="All methods", xlabel="error, overview px", ylabel="share of fields below")


def _errors_by_set(axis: Any, ours: Sequence[Result]) -> None:
    for (name, sets), colour in zip(SHOWN.items(), [*COLOURS.values(), GREY], strict=True):
        some = of(ours, *sets)
        if some:
            _cumulative(axis, some, colour, f"{name} ({len(some)})")
    axis.set(
        title=f"`{OURS}`, by what makes it hard", xlabel="error, overview px", ylabel="share of fields below"
    )


def _cumulative(axis: Any, some: Sequence[Result], colour: str, name: str) -> None:
    errors = np.sort([np.inf if r.error_px is None else r.error_px for r in some])
    finite = errors[np.isfinite(errors)]
    axis.semilogx(finite, np.arange(1, len(finite) + 1) / len(errors), color=colour, label=name)
    axis.set_ylim(0, 1.02)


def _shares(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1) / len(values)
