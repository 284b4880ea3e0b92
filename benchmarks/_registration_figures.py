"""Figures of the registration benchmark, drawn with the plotting library that the widgets use."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _registration_methods import BASELINES, OURS
from _registration_report import FOUND_PX, core, decoys, expected_ratio, of
from _registration_run import Result

WIDTH_PX, HEIGHT_PX = 1400, 560
COLOURS = {OURS: "#0b6e4f", **dict(zip(BASELINES, ("#b3541e", "#e0a458", "#3066be", "#8a4f9e"), strict=True))}
#: Fields in a group of the calibration curve, at least.
IN_A_GROUP = 20


def draw(by_method: dict[str, list[Result]], folder: Path) -> None:
    """Draw the ROC with the scores, the calibration of the expected error and the errors of all methods."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import pyqtgraph as pg

    pg.setConfigOptions(background="w", foreground="k", antialias=True)
    pg.mkQApp()
    ours = by_method[OURS]
    drawn = {name: by_method[name] for name in COLOURS if by_method[name]}
    _figure(folder / "registration-roc.png", lambda left, right: (_scores(left, ours), _roc(right, drawn)))
    _figure(
        folder / "registration-calibration.png",
        lambda left, right: (_expected(left, ours), _reliability(right, ours)),
    )
    _figure(
        folder / "registration-errors.png",
        lambda left, right: (_errors(left, drawn), _errors_by_set(right, ours)),
    )


def _figure(path: Path, fill: Callable[[Any, Any], object]) -> None:
    import pyqtgraph as pg
    from pyqtgraph.exporters import ImageExporter

    layout = pg.GraphicsLayoutWidget()
    layout.resize(WIDTH_PX, HEIGHT_PX)
    panels = [layout.addPlot(row=0, col=column) for column in (0, 1)]
    for panel in panels:
        panel.addLegend(labelTextSize="11pt", brush=(255, 255, 255, 210))
        panel.showGrid(x=True, y=True, alpha=0.2)
    fill(*panels)
    for panel in panels:
        for axis in ("left", "bottom"):
            panel.getAxis(axis).enableAutoSIPrefix(False)
    exporter = ImageExporter(layout.scene())
    exporter.parameters()["width"] = WIDTH_PX
    exporter.export(str(path))


def _label(panel: Any, title: str, x: str, y: str) -> None:
    panel.setTitle(title, size="13pt")
    panel.setLabel("bottom", x, **{"font-size": "12pt"})
    panel.setLabel("left", y, **{"font-size": "12pt"})


def _curve(
    panel: Any, x: np.ndarray, y: np.ndarray, colour: str, name: str | None, dashed: bool = False
) -> None:
    import pyqtgraph as pg

    style = pg.QtCore.Qt.PenStyle.DashLine if dashed else pg.QtCore.Qt.PenStyle.SolidLine
    panel.plot(x, y, pen=pg.mkPen(colour, width=2, style=style), name=name)


def _scores(panel: Any, ours: Sequence[Result]) -> None:
    """Show how many fields lie beyond a score: of those that are there, and of those that are not."""
    from napari_microsr.registration.verdict import PLACED_SCORE, UNCERTAIN_SCORE

    on, off = (np.sort([r.score for r in some]) for some in (core(ours), decoys(ours)))
    _curve(panel, on, _shares(on), COLOURS[OURS], f"{len(on)} fields on the overview: share below")
    _curve(panel, off, 1 - _shares(off), "#b3541e", f"{len(off)} fields not on it: share above")
    for score, name in ((PLACED_SCORE, "placed"), (UNCERTAIN_SCORE, "uncertain")):
        panel.addLine(x=score, pen="#777777", label=name, labelOpts={"color": "#555555", "position": 0.5})
    panel.setXRange(-0.05, 1.02)
    _label(panel, "The score separates", "score", "share of fields")


def _roc(panel: Any, by_method: dict[str, list[Result]]) -> None:
    for name, results in by_method.items():
        on, off = (np.array([r.score for r in some]) for some in (core(results), decoys(results)))
        if len(on) and len(off):
            right = np.array([r.error_px is not None and r.error_px < FOUND_PX for r in core(results)])
            limits = np.unique(np.concatenate([on, off, [np.inf]]))[::-1]
            accepted = [(off >= limit).mean() for limit in limits]
            found = [((on >= limit) & right).mean() for limit in limits]
            _curve(
                panel, np.array(accepted), np.array(found), COLOURS[name], f"{name} ({len(on)} + {len(off)})"
            )
    panel.setYRange(0, 1.02)
    _label(
        panel, "Found and falsely accepted", "share of the fields not on it accepted", "share found, < 5 px"
    )


def _expected(panel: Any, ours: Sequence[Result]) -> None:
    """Show the expected and the true error of every placed field."""
    import pyqtgraph as pg

    some = [r for r in ours if expected_ratio(r) is not None]
    true, expected = np.array([(r.error_um, r.expected_um) for r in some]).T
    panel.setLogMode(x=True, y=True)
    panel.plot(
        true,
        expected,
        pen=None,
        symbol="o",
        symbolSize=4,
        symbolPen=None,
        symbolBrush=pg.mkBrush(11, 110, 79, 110),
    )
    ends = np.array([min(true.min(), expected.min()), max(true.max(), expected.max())])
    for factor, name in ((1, "equal"), (2, "factor 2"), (0.5, None)):
        _curve(panel, ends, ends * factor, "#444444", name, dashed=factor != 1)
    _label(panel, "Expected and true error", "true error, µm", "expected error, µm")


def _reliability(panel: Any, ours: Sequence[Result]) -> None:
    """Show the true errors of fields with about the same expected error."""
    some = [r for r in ours if expected_ratio(r) is not None]
    expected, true = np.array(sorted((r.expected_um, r.error_um) for r in some)).T
    groups = np.array_split(np.arange(len(some)), max(1, min(12, len(some) // IN_A_GROUP)))
    middle = np.array([np.median(expected[g]) for g in groups])
    panel.setLogMode(x=True, y=True)
    for share, name in ((50, "median"), (90, "90th percentile")):
        values = np.array([np.percentile(true[g], share) for g in groups])
        _curve(panel, middle, values, COLOURS[OURS], name, dashed=share != 50)
    _curve(panel, middle, middle, "#444444", "equal")
    _label(panel, f"Calibration, {len(groups)} groups of equal size", "expected error, µm", "true error, µm")


def _errors(panel: Any, by_method: dict[str, list[Result]]) -> None:
    for name, results in by_method.items():
        some = core(results)
        errors = np.sort([r.error_px if r.error_px is not None else np.inf for r in some])
        _cumulative(panel, errors, COLOURS[name], f"{name} ({len(some)})")
    _label(panel, "All methods", "error, overview px", "share of fields below")


def _errors_by_set(panel: Any, ours: Sequence[Result]) -> None:
    chosen = {"40x": ("rot40", "mild40"), "10x": ("rot10",), "other colours": ("color40",)}
    chosen |= {"overlap 30 %": ("partial30",), "defocus 2 to 5 µm": ("defoc40",), "two scanners": ("real",)}
    colours = ("#0b6e4f", "#3066be", "#e0a458", "#8a4f9e", "#b3541e", "#444444")
    for (name, sets), colour in zip(chosen.items(), colours, strict=True):
        some = of(ours, *sets)
        errors = np.sort([r.error_px if r.error_px is not None else np.inf for r in some])
        _cumulative(panel, errors, colour, f"{name} ({len(some)})")
    _label(panel, OURS, "error, overview px", "share of fields below")


def _cumulative(panel: Any, errors: np.ndarray, colour: str, name: str) -> None:
    finite = np.clip(errors[np.isfinite(errors)], 1e-3, 1e3)
    panel.setLogMode(x=True, y=False)
    if len(finite):
        _curve(panel, finite, np.arange(1, len(finite) + 1) / len(errors), colour, name)


def _shares(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1) / len(values)
