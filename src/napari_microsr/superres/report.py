"""What a comparison comes to: a table, files for a spreadsheet, a bar chart."""

import csv as csv_files
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.core.output import whole, writing
from napari_microsr.superres.metrics import FIGURES

if TYPE_CHECKING:
    from napari_microsr.superres.evaluate_job import Evaluation
    from napari_microsr.superres.metrics.spectra import Curves

Rows = Mapping[str, Mapping[str, float]]


def write_reports(
    evaluation: "Evaluation", *, csv: Path | None, curves: Path | None, chart: Path | None
) -> None:
    """Write what is asked for.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if csv is not None:
        write_table(csv, evaluation.figures)
    if curves is not None:
        write_curves(curves, evaluation.comparison.curves)
    if chart is not None:
        from napari_microsr.superres.chart import bar_chart

        picture = bar_chart(evaluation.figures, evaluation.results)
        with writing(chart), whole(chart) as partial:
            picture.save(partial)


def write_table(path: Path, figures: Rows) -> None:
    """Write figures as CSV: one row per image, one column per figure; what is not known stays empty.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    head = ["image", *FIGURES]
    rows = [
        [name, *("" if math.isnan(row[key]) else repr(row[key]) for key in FIGURES)]
        for name, row in figures.items()
    ]
    _write(path, [head, *rows])


def write_curves(path: Path, curves: "Mapping[str, Curves]") -> None:
    """Write power spectra and ring correlations as CSV: one row per frequency.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    first = next(iter(curves.values()), None)
    head = ["frequency [1/px]", "reference power"]
    columns: list[Any] = [] if first is None else [first.frequency, first.truth]
    for name, curve in curves.items():
        head += [f"{name} power", f"{name} correlation"]
        columns += [curve.power, curve.correlation]
    rows = np.column_stack(columns).tolist() if columns else []
    _write(path, [head, *([f"{value:.6g}" for value in row] for row in rows)])


def table_text(figures: Rows) -> str:
    """Return figures as lines of aligned columns, the best of each column with a star."""
    shown = [key for key in FIGURES if any(not math.isnan(row[key]) for row in figures.values())]
    leaders = {key: best(figures, key) for key in shown}
    lines = [["", *(FIGURES[key].title for key in shown)]]
    for name, row in figures.items():
        cells = [as_text(key, row[key]) + ("*" if name in leaders[key] else " ") for key in shown]
        lines.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def from_json(figures: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Return figures as they were before `Evaluation.as_dict`, which has no infinity and no NaN."""
    found = {
        name: {key: math.nan if value is None else value for key, value in row.items()}
        for name, row in figures.items()
    }
    for row in found.values():
        if row["relative_mse"] == 0:
            row["psnr_db"] = math.inf
    return found


def best(figures: Rows, key: str) -> list[str]:
    """Return the names of the images with the best value of a figure."""
    sign = 1 if FIGURES[key].better == "higher" else -1
    values = {name: sign * row[key] for name, row in figures.items() if not math.isnan(row[key])}
    top = max(values.values(), default=0.0)
    return [name for name, value in values.items() if value == top]


def as_text(key: str, value: float) -> str:
    """Return a figure as tables show it."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{FIGURES[key].digits}f}"


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with writing(path), whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv_files.writer(file).writerows(rows)
