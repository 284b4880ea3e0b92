"""The table of a run: one line per input, for a spreadsheet."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from napari_microsr.batch.manifest import ItemState
from napari_microsr.core.output import writing

SUMMARY = "summary.csv"


def write_summary(folder: Path, states: Sequence[ItemState]) -> Path:
    """Write `summary.csv` and return its path.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    groups = list(dict.fromkeys(name for state in states for name in state.group))
    figures = list(dict.fromkeys(name for state in states for name in state.figures))
    head = [
        "input",
        *groups,
        "state",
        "source",
        "output",
        "seconds",
        "task",
        "model",
        "sha256",
        "version",
        "time",
    ]
    path = folder / SUMMARY
    temporary = path.with_name(path.name + ".partial")
    with writing(path):
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow([*head, *figures, "warnings", "error", "remedy"])
            for s in states:
                model = (s.model.get("id", ""), s.model.get("sha256", ""))
                place = [s.group.get(name, "") for name in groups]
                row = [
                    s.key,
                    *place,
                    s.state,
                    s.source,
                    " ".join(s.outputs),
                    s.seconds,
                    s.task,
                    *model,
                    s.version,
                ]
                numbers = [s.figures.get(name, "") for name in figures]
                table.writerow([*row, s.time, *numbers, " | ".join(s.warnings), s.error, s.remedy])
        os.replace(temporary, path)
    return path
