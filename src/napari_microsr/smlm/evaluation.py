"""How good a finder is on simulated frames that nothing was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_microsr.smlm.finders import Finder
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.metrics import BORDER_NM, Score, calibration, inside, match, score
from napari_microsr.smlm.patches import TrainingRanges
from napari_microsr.smlm.simulate import Scene, Simulation, simulate_frames
from napari_microsr.smlm.stream import make_table

#: Seeds below are for tests, those from here on choose thresholds and watch a training.
VALIDATION_SEED = 10_000
DENSITIES_UM2 = (0.2, 2.0, 5.0)


@dataclass(frozen=True)
class Outcome:
    """Score and honesty of the errors on one set of frames.

    Attributes
    ----------
    score : Score
        Against the truth.
    honesty : float
        Robust standard deviation of error / predicted error; 1 is honest.
    """

    score: Score
    honesty: float


def usual_scene(density_um2: float, ranges: TrainingRanges | None = None) -> Scene:
    """Return the benchmark's scene: 80-2050 photons on 20, PSF 200-300 nm wide, 100 nm pixels.

    Where `ranges` do not hold that, the nearest that they hold is taken.
    """
    ranges = ranges or TrainingRanges()
    sigma = float(np.clip(250 / 235.482, *ranges.sigma_px))
    background = float(np.clip(20.0, *ranges.background))
    low, high = (float(np.clip(value, *ranges.photons)) for value in (80.0, 2050.0))
    return Scene(
        density_um2=(density_um2, density_um2),
        photons=(low, high),
        sigma_px=(sigma, sigma),
        background=(background, background),
    )


def frames_of(scene: Scene, seed: int, n: int, side: int) -> Simulation:
    """Simulate n frames of side x side pixels."""
    return simulate_frames(np.random.default_rng(seed), n, (side, side), scene)


def find_all(finder: Finder, photons: NDArray[np.float32], truth: Localizations) -> Localizations:
    """Run a finder over frames (n, H, W) and return its table."""
    frames = range(len(photons))
    field = {"pixel_nm": truth.pixel_nm, "shape_yx": truth.shape_yx, "n_frames": truth.n_frames}
    return make_table(frames, [finder(frame) for frame in photons], field)


def judge(truth: Localizations, found: Localizations) -> Outcome:
    """Score a table and its errors."""
    true, seen = inside(truth, BORDER_NM), inside(found, BORDER_NM)
    return Outcome(score(truth, found), calibration(true, seen, match(true, seen)))


def best_threshold(
    pairs: Sequence[tuple[Localizations, Localizations]], thresholds: Sequence[float]
) -> float:
    """Return the probability with the best mean efficiency over (truth, found at the lowest of them)."""

    def mean(threshold: float) -> float:
        return float(
            np.mean(
                [score(true, seen.select(seen.probability >= threshold)).efficiency for true, seen in pairs]
            )
        )

    return max(thresholds, key=mean)
