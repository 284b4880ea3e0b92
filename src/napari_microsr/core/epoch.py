"""What a training tells at the end of each epoch, to files and to who watches."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.output import whole, writing

METRICS, PICTURES = "metrics.csv", "pictures"


@dataclass(frozen=True)
class Picture:
    """A held-out sample as the network sees and makes it.

    Attributes
    ----------
    name : str
        Of the sample; the same in every epoch.
    panels : mapping of str to numpy.ndarray, shape (H, W) or (H, W, 3), uint8
        All of one shape, scaled alike for display, in the order in which they are shown: "low" (enlarged
        to the size of the truth), "result" and "truth".
    """

    name: str
    panels: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Findings:
    """What a validation found.

    Attributes
    ----------
    figures : mapping of str to float
        By name; "score" (higher is better) marks the best checkpoint.
    pictures : sequence of Picture
        Of some samples.
    """

    figures: Mapping[str, float]
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Epoch:
    """The state of a training after `check_every` more steps.

    Attributes
    ----------
    step, steps : int
        Steps done, and steps in all.
    figures : dict of str to float
        A row of `metrics.csv`: "loss" and its weighted terms "loss_pixel", "loss_content" ... as means over
        the epoch; then what the validation found with the averaged weights: "score", and in super-resolution
        "psnr", "ssim" and the baseline's "psnr_bicubic", "ssim_bicubic" (or "_input").
    pictures : tuple of Picture
        Of the chosen held-out samples.
    """

    step: int
    steps: int
    figures: dict[str, float] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


#: Called after every epoch, in the thread that trains; it must neither raise nor take long.
Watch = Callable[[Epoch], None]


class EpochLog:
    """Writes epochs to a folder: the table `metrics.csv`, and `pictures/NAME_STEP.png`.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def begin(self, step: int) -> None:
        """Start at `step`: rows of a stopped run that lie after it are made anew."""
        rows = read_metrics(self.folder) if step else []
        self.rows = [{**row, "step": int(row["step"])} for row in rows if row["step"] <= step]

    def write(self, epoch: Epoch) -> None:
        """Add an epoch.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written.
        """
        with writing(self.folder):
            self._write(epoch)

    def _write(self, epoch: Epoch) -> None:
        from PIL import Image

        self.rows.append({"step": epoch.step, **epoch.figures})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.folder.mkdir(parents=True, exist_ok=True)
        table = self.folder / METRICS
        with whole(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        for picture in epoch.pictures:
            (self.folder / PICTURES).mkdir(exist_ok=True)
            name = re.sub(r"[^\w+-]+", "-", picture.name)  # a layer's name may hold what a file's must not
            path = self.folder / PICTURES / f"{name}_{epoch.step:07d}.png"
            with whole(path) as partial:
                Image.fromarray(side_by_side(picture)).save(partial)


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run's `metrics.csv`, empty if there is none; empty cells are left out."""
    path = folder / METRICS
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if "step" in row]


def side_by_side(picture: Picture) -> NDArray[np.uint8]:
    """Return the panels from left to right with a white gap of two pixels."""
    panels = list(picture.panels.values())
    gap = np.full((panels[0].shape[0], 2, *panels[0].shape[2:]), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)]
    return np.concatenate(parts[:-1], axis=1)
