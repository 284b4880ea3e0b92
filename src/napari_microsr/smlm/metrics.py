"""Scores of localisations against the truth, as the SMLM challenge defines them.

Sage et al., Super-resolution fight club, Nature Methods 16, 387 (2019).
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_microsr.smlm.localizations import Localizations

RADIUS_NM = 250.0
BORDER_NM = 450.0
STRICT_NM = 100.0
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Score:
    """How well a table agrees with the truth.

    Attributes
    ----------
    tp, fp, fn : int
        True and false positives, false negatives.
    recall, precision, jaccard : float
        TP/(TP+FN), TP/(TP+FP), TP/(TP+FP+FN); NaN where nothing could be found.
    jaccard_strict : float
        Jaccard index with pairs no farther than 100 nm.
    rmse_nm, median_nm : float
        Of the distances within pairs.
    efficiency : float
        100 - sqrt((100 - 100 jaccard)^2 + (rmse_nm / nm)^2): 100 is perfect.
    """

    tp: int
    fp: int
    fn: int
    recall: float
    precision: float
    jaccard: float
    jaccard_strict: float
    rmse_nm: float
    median_nm: float
    efficiency: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class Pairs:
    """Found and true molecules that belong together: rows of the two tables.

    Attributes
    ----------
    truth, found : numpy.ndarray of int, shape (n,)
        Rows of each pair.
    distance_nm : numpy.ndarray, shape (n,)
        How far apart they are.
    """

    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    distance_nm: NDArray[np.float64]


def score(
    truth: Localizations,
    found: Localizations,
    *,
    radius_nm: float = RADIUS_NM,
    border_nm: float = BORDER_NM,
) -> Score:
    """Score a table against the truth.

    Parameters
    ----------
    truth, found : Localizations
        Of the same frames.
    radius_nm : float
        Molecules farther apart are no pair.
    border_nm : float
        Molecules closer to the edge of the field, true or found, are left out.

    Returns
    -------
    Score
    """
    truth, found = inside(truth, border_nm), inside(found, border_nm)
    pairs = match(truth, found, radius_nm)
    tp = len(pairs.truth)
    fn, fp = len(truth) - tp, len(found) - tp
    strict = len(match(truth, found, STRICT_NM).truth)
    rmse = float(np.sqrt(np.mean(pairs.distance_nm**2))) if tp else np.nan
    jaccard = _ratio(tp, tp + fp + fn)
    return Score(
        tp=tp,
        fp=fp,
        fn=fn,
        recall=_ratio(tp, tp + fn),
        precision=_ratio(tp, tp + fp),
        jaccard=jaccard,
        jaccard_strict=_ratio(strict, len(truth) + len(found) - strict),
        rmse_nm=rmse,
        median_nm=float(np.median(pairs.distance_nm)) if tp else np.nan,
        efficiency=float(100 - np.hypot(100 - 100 * jaccard, rmse if tp else 0.0)),
    )


def match(truth: Localizations, found: Localizations, radius_nm: float = RADIUS_NM) -> Pairs:
    """Pair molecules frame by frame: as many as possible, and of these pairings the shortest.

    Molecules fall into groups within which any is reached in steps of at most `radius_nm`; each group is
    an assignment problem of its own (Kuhn, Naval Research Logistics 2, 83 (1955)).
    """
    links = _links(truth, found, radius_nm)
    size = len(truth) + len(found)
    graph = coo_array((np.ones(len(links.truth)), (links.truth, len(truth) + links.found)), (size, size))
    group = connected_components(graph, directed=False)[1][links.truth]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    alone = np.diff(starts, append=len(order)) == 1
    chosen = [order[starts[alone]]]
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            chosen.append(rows[_assign(links.truth[rows], links.found[rows], links.distance_nm[rows])])
    kept = np.sort(np.concatenate(chosen))
    return Pairs(links.truth[kept], links.found[kept], links.distance_nm[kept])


def inside(table: Localizations, border_nm: float) -> Localizations:
    """Return the rows at least `border_nm` away from the edge of the field."""
    height, width = table.shape_yx
    x, y = table.x_nm, table.y_nm
    far_x = np.minimum(x, width * table.pixel_nm - x) >= border_nm
    far_y = np.minimum(y, height * table.pixel_nm - y) >= border_nm
    return table.select(far_x & far_y)


def random_reference(rng: np.random.Generator, table: Localizations) -> Localizations:
    """Return as many molecules in each frame as the table has, at random places of the field.

    What they score is what a count alone is worth.
    """
    height, width = table.shape_yx
    x, y = (rng.uniform(-0.5, size - 0.5, len(table)) for size in (width, height))
    return table.replace(x=x, y=y)


def calibration(truth: Localizations, found: Localizations, pairs: Pairs) -> float:
    """Return the robust standard deviation of error / predicted error of x and y together: 1 is honest."""
    a, b = truth.select(pairs.truth), found.select(pairs.found)
    pulls = np.concatenate([(b.x - a.x) / b.x_err, (b.y - a.y) / b.y_err])
    if pulls.size == 0:
        return float("nan")
    return float(MAD_TO_SD * np.median(np.abs(pulls - np.median(pulls))))


def _links(truth: Localizations, found: Localizations, radius_nm: float) -> Pairs:
    """All pairs within the radius, in the order of their rows."""
    # Frames become a third coordinate, in steps that no radius bridges.
    a, b = (
        np.column_stack([4.0 * t.frame, t.x * t.pixel_nm / radius_nm, t.y * t.pixel_nm / radius_nm])
        for t in (truth, found)
    )
    if not len(a) or not len(b):
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    links = cKDTree(a).sparse_distance_matrix(cKDTree(b), 1.0, output_type="ndarray")
    links.sort(order=["i", "j"])
    return Pairs(links["i"].astype(np.int64), links["j"].astype(np.int64), links["v"] * radius_nm)


def _assign(
    truth: NDArray[np.int64], found: NDArray[np.int64], distance_nm: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Positions of the links that the best assignment uses."""
    rows, row = np.unique(truth, return_inverse=True)
    columns, column = np.unique(found, return_inverse=True)
    number = np.full((len(rows), len(columns)), -1)
    number[row, column] = np.arange(len(truth))
    # A pair that is no link costs more than all links together, so that no link is spared for it.
    cost = np.full(number.shape, distance_nm.sum() + 1.0)
    cost[row, column] = distance_nm
    used: NDArray[np.int64] = number[linear_sum_assignment(cost)]
    return used[used >= 0]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
