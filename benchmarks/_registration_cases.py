"""The sets of the registration benchmark: fields with their truth, each made again from its seed alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from _registration_pair import CRISP, SOFT, relate
from numpy.typing import NDArray
from PIL import Image

from napari_microsr.registration.geometry import Matrix, apply
from napari_microsr.registration.microscope import FORTY, TEN, mild, wild
from napari_microsr.registration.simulate import (
    CAMERA_YX,
    Conditions,
    Specimen,
    View,
    shipped_specimen,
    take_field,
    take_overview,
)

Series = Literal["calibration", "report"]
Points = NDArray[np.float64]

#: Which strip of the slide each overview lacks: the series share no overview and no decoy.
STRIPS: dict[Series, tuple[int, int]] = {"calibration": (600, 1800), "report": (2350, 1200)}
#: Where an overview is cut for partial overlap: through the tissue.
CUT_PX = 1000
ANY, SMALL = 180.0, 5.0


@dataclass(frozen=True)
class Set:
    """Fields under like conditions.

    Attributes
    ----------
    n : int
        How many on the report seeds; a third of it for calibration.
    origin : str
        Where the fields come from: the slide on the overview, the strip that it lacks, another slide, the
        other scanner.
    overlap : tuple of float, or None
        Share of the field that lies on the cut overview; None takes the whole overview.
    core : bool
        Whether the set counts among the cases of the first bar.
    """

    n: int
    conditions: Conditions
    origin: Literal["slide", "strip", "elsewhere", "scanner"] = "slide"
    overlap: tuple[float, float] | None = None
    core: bool = False


def _sets() -> dict[str, Set]:
    usual = Conditions()
    ten = replace(usual, objective=TEN, min_tissue=0.25)
    wide = (0.06, 0.15)
    cut = replace(usual, min_tissue=0.0)
    return {
        "ideal40": Set(20, Conditions(FORTY, 0, (0, 0), mild, (0, 0)), core=True),
        "mild40": Set(60, replace(usual, max_rotation_deg=SMALL), core=True),
        "rot40": Set(300, usual, core=True),
        "scale40": Set(260, replace(usual, scale_error=wide), core=True),
        "color40": Set(120, replace(usual, light=wild), core=True),
        "rot10": Set(100, ten, core=True),
        "scale10": Set(60, replace(ten, scale_error=wide), core=True),
        "partial40": Set(100, cut, overlap=(0.4, 0.6), core=True),
        "partial30": Set(100, cut, overlap=(0.28, 0.34)),
        "defoc40": Set(100, replace(usual, defocus_um=(2, 5))),
        "sparse40": Set(60, replace(usual, min_tissue=0.06, max_rotation_deg=SMALL)),
        "same-slide": Set(750, usual, "strip"),
        "other-slide": Set(250, usual, "elsewhere"),
        "real": Set(40, replace(usual, defocus_um=(0, 0.8), min_tissue=0), "scanner"),
    }


SETS = _sets()
DECOYS = ("same-slide", "other-slide")


@dataclass(frozen=True)
class Case:
    """One field of a set."""

    series: Series
    set: str
    index: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A field, the overview that it is looked for on, and where its points truly lie.

    Attributes
    ----------
    overview_key : tuple
        Equal for equal overviews, so that they are prepared once.
    grid, truth : array of shape (25, 2), or None
        Points of the field and where they lie on the overview, (y, x); None for a decoy.
    """

    field: View
    overview: View
    overview_key: tuple[str, int, bool]
    grid: Points
    truth: Points | None


def cases(series: Series, share: float) -> Iterator[Case]:
    """Yield the cases so that any beginning holds all sets in proportion."""
    sizes = {name: round(s.n * share / (3 if series == "calibration" else 1)) for name, s in SETS.items()}
    order = [((i + 0.5) / n, name, i) for name, n in sizes.items() for i in range(n)]
    for _, name, index in sorted(order):
        yield Case(series, name, index)


@dataclass(eq=False)
class Slides:
    """Specimens and overviews, made when they are first asked for.

    Attributes
    ----------
    scans : Path or None
        Folder of the two scans of `_registration_pair`.
    tissue : Path or None
        Folder of RGB images of other slides, about 0.5 µm per pixel, 400 px or larger.
    """

    scans: Path | None = None
    tissue: Path | None = None
    _made: dict[int, tuple[Specimen, Specimen, View]] = field(default_factory=dict)

    def has(self, case: Case) -> bool:
        """Say whether the files of a case are there."""
        needed = {"scanner": self.scans, "elsewhere": self.tissue}
        return needed.get(SETS[case.set].origin, True) is not None

    def scene(self, case: Case) -> Scene:
        """Make the images of a case."""
        kind, row = SETS[case.set], STRIPS[case.series][case.index % 2]
        slide, strip, whole = self._slide(row)
        # A checksum of the names keeps every field apart from every other of all sets and series.
        rng = np.random.default_rng([*f"{case.series} {case.set}".encode(), case.index])
        cut = kind.overlap is not None
        overview = whole.columns(0, CUT_PX) if cut else whole
        key = (case.series, row, cut)
        conditions = kind.conditions
        grid = _grid(conditions.shape_yx)
        if kind.origin == "scanner":
            turned = replace(conditions, max_rotation_deg=SMALL if case.index % 2 else ANY)
            view = take_field(self._soft, turned, rng)
            return Scene(view, overview, key, grid, self._across(apply(view.to_specimen, grid), overview))
        if kind.origin == "slide":
            within, accept = _at_the_cut(slide, overview, kind) if cut else (None, lambda matrix: True)
            view = take_field(slide, conditions, rng, within, accept)
            return Scene(view, overview, key, grid, apply(view.on(overview), grid))
        other = strip if kind.origin == "strip" else self._others[case.index % len(self._others)]
        return Scene(take_field(other, conditions, rng), overview, key, grid, None)

    def _slide(self, row: int) -> tuple[Specimen, Specimen, View]:
        if row not in self._made:
            others = () if self.scans is None else (self._crisp_at_half,)
            slide, strip = shipped_specimen(row, others)
            self._made[row] = (slide, strip, take_overview(slide, np.random.default_rng(row)))
        return self._made[row]

    @cached_property
    def _pair(self) -> tuple[np.ndarray, np.ndarray]:
        assert self.scans is not None
        soft, crisp = (tifffile.imread(self.scans / name, key=0) for name, _ in (SOFT, CRISP))
        return soft, crisp

    @cached_property
    def _crisp_at_half(self) -> np.ndarray:
        crisp = Image.fromarray(self._pair[1])
        side = round(crisp.width * CRISP[1] / 0.5)
        return np.asarray(crisp.resize((side, side), Image.Resampling.LANCZOS))

    @cached_property
    def _soft(self) -> Specimen:
        soft = self._pair[0]
        # Fields of 215 x 165 µm in 500 x 500: their centres keep clear of the border.
        low, high = 0.28 * soft.shape[0], 0.72 * soft.shape[0]
        return Specimen(soft, SOFT[1], (((low, low, high, high), 1.0),))

    @cached_property
    def _to_crisp(self) -> Callable[[Points], Points]:
        to_crisp, residual = relate(*self._pair)
        print(f"the field between the scanners leaves {residual * CRISP[1]:.2f} µm rms per block")
        return to_crisp

    def _across(self, soft_px: Points, overview: View) -> Points:
        """Carry points of the soft scan to the overview that shows the crisp one."""
        crisp, half = self._pair[1], self._crisp_at_half
        stretch = half.shape[0] / crisp.shape[0]
        row = next(row for row, made in self._made.items() if made[2] is overview)
        below = self._made[row][0].homes[1][0][0]
        on_canvas = (self._to_crisp(soft_px) + 0.5) * stretch - 0.5 + [below, 0]
        return apply(np.linalg.inv(overview.to_specimen), on_canvas)

    @cached_property
    def _others(self) -> list[Specimen]:
        assert self.tissue is not None
        found = []
        for path in sorted(self.tissue.iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"))
            h, w = pixels.shape[:2]
            middle = (h / 2 - 40, w / 2 - 40, h / 2 + 40, w / 2 + 40)
            specimen = Specimen(pixels, 0.5, ((middle, 1.0),))
            if min(h, w) >= 400 and specimen.tissue_around((h / 2, w / 2), 250) > 0.5:
                found.append(specimen)
        return found


def _grid(shape_yx: tuple[int, int]) -> Points:
    """Five by five points over an image, corners included."""
    axes = np.meshgrid(*(np.linspace(0, n - 1, 5) for n in shape_yx), indexing="ij")
    return np.stack(axes, -1).reshape(-1, 2)


def _at_the_cut(
    slide: Specimen, overview: View, kind: Set
) -> tuple[tuple[float, float, float, float], Callable[[Matrix], bool]]:
    """Return where the centres of partly seen fields lie, and what they must fulfil."""
    assert kind.overlap is not None
    low, high = kind.overlap
    edge = float(apply(overview.to_specimen, np.array([0.0, CUT_PX - 0.5]))[1])
    dense = np.stack(np.mgrid[0:1:25j, 0:1:25j], -1).reshape(-1, 2) * (np.array(CAMERA_YX) - 1)

    def accept(to_specimen: Matrix) -> bool:
        points = apply(to_specimen, dense)
        seen = points[points[:, 1] < edge]
        if not low <= len(seen) / len(points) <= high:
            return False
        y, x = seen.mean(0)
        return slide.tissue_around((y, x), 100) >= 0.5

    return (0.0, edge - 150, slide.homes[0][0][2], edge + 250), accept
