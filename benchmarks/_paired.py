"""Paired comparison of two methods on the same samples."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, wilcoxon

RESAMPLES = 10_000
#: Fewer samples can show no difference at the 5 % level, whatever they are.
SMALLEST_N = 6


@dataclass(frozen=True)
class Comparison:
    """How a method differs from the one it is compared with.

    Attributes
    ----------
    n : int
        Independent samples.
    median : float
        Of the differences.
    low, high : float
        95 % confidence interval of that median, by bootstrap over the samples.
    effect : float
        Matched-pairs rank-biserial correlation: +1 where every sample is better, -1 where every one is worse
        (Kerby, Compr. Psychol. 3 (2014)).
    p : float
        Of the two-sided Wilcoxon signed-rank test; NaN for too few samples.
    """

    n: int
    median: float
    low: float
    high: float
    effect: float
    p: float


def compare(values: np.ndarray, base: np.ndarray, groups: list[str]) -> Comparison:
    """Compare paired values; those of a group are averaged first, as they are one sample."""
    names = np.array(groups)
    differences = np.array([(values - base)[names == name].mean() for name in dict.fromkeys(groups)])
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(differences, (RESAMPLES, len(differences))), axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    moved = differences[differences != 0]
    ranks = rankdata(np.abs(moved))
    effect = float((np.sign(moved) * ranks).sum() / ranks.sum()) if len(moved) else 0.0
    p = float(wilcoxon(differences).pvalue) if len(moved) >= SMALLEST_N else float("nan")
    return Comparison(len(differences), float(np.median(differences)), float(low), float(high), effect, p)
