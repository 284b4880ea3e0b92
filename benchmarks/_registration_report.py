"""Tables of the registration benchmark, from its results alone."""

from collections.abc import Callable, Sequence

import numpy as np
from _common import print_table
from _registration_cases import DECOYS, SETS
from _registration_run import Result

from napari_microsr.registration.refine import shift_basis
from napari_microsr.registration.simulate import CAMERA_YX

FOUND_PX = 5.0
TENFOLD = ("rot10", "scale10")


def core(results: Sequence[Result]) -> list[Result]:
    """Return the results of the sets that count for the first bar."""
    return [r for r in results if SETS[r.set].core]


def decoys(results: Sequence[Result]) -> list[Result]:
    """Return the results on fields that are not on the overview."""
    return [r for r in results if r.set in DECOYS]


def there(results: Sequence[Result]) -> list[Result]:
    """Return the results on fields that are on the overview."""
    return [r for r in results if r.set not in DECOYS]


def of(results: Sequence[Result], *sets: str) -> list[Result]:
    """Return the results of some sets."""
    return [r for r in results if r.set in sets]


def share_below(results: Sequence[Result], limit_px: float) -> float:
    """Return the share of fields that are off by less than a limit; one without a guess is not."""
    return float(np.mean([r.error_px is not None and r.error_px < limit_px for r in results]))


def median_error(results: Sequence[Result]) -> float:
    """Return the median error of the fields for which there is one."""
    errors = [r.error_px for r in results if r.error_px is not None]
    return float(np.median(errors)) if errors else float("nan")


def expected_ratio(r: Result) -> float | None:
    """Return expected over true error of a field that was placed."""
    if r.status != "placed" or not r.error_um or r.expected_um is None:
        return None
    return r.expected_um / r.error_um


def auc(on: Sequence[Result], off: Sequence[Result]) -> float:
    """Return the probability that a field on the overview has a higher score than one that is not."""
    scores, others = np.array([r.score for r in on]), np.sort([r.score for r in off])
    below, upto = np.searchsorted(others, scores, "left"), np.searchsorted(others, scores, "right")
    return float((below + upto).mean() / 2 / len(others))


def possible_share() -> float:
    """Return the largest share of errors that any expected error can have within a factor of two.

    Errors of a similarity, fitted to texture that is spread evenly over the field, with a covariance that is
    known perfectly: they scatter all the same. Texture that is not even makes them scatter more.
    """
    v, u = (np.linspace(-1, 1, 41) * side for side in (CAMERA_YX[0] / max(CAMERA_YX), 1.0))
    even = np.array([shift_basis(a, b, "similarity") for a in v for b in u])
    spread = np.linalg.inv(np.einsum("gki,gkj->ij", even, even))
    steps = np.random.default_rng(0).multivariate_normal(np.zeros(4), spread, 20_000)
    points = np.array([shift_basis(a, b, "similarity") for a in v[::10] for b in u[::10]])
    errors = np.sort(np.linalg.norm(np.einsum("gki,ni->ngk", points, steps), axis=2).mean(1))
    within = np.searchsorted(errors, 4 * errors, "right") - np.arange(len(errors))
    return float(within.max() / len(errors))


def print_bars(by_method: dict[str, list[Result]]) -> None:
    """Print the bars of the specification, a column for each method."""
    rows: list[tuple[str, str, Callable[[list[Result]], str]]] = [
        ("error < 1 px", "99.5 %", lambda r: _share(core(r), 1)),
        ("error < 0.25 px", "99 %", lambda r: _share(core(r), 0.25)),
        ("median error, 40x", "0.05 px", lambda r: _px([c for c in core(r) if c.set not in TENFOLD])),
        ("median error, 10x", "0.10 px", lambda r: _px(of(r, *TENFOLD))),
        ("defocus 2 to 5 µm, error < 1 px", "95 %", lambda r: _share(of(r, "defoc40"), 1)),
        ("overlap 30 %, found", "98 %", lambda r: _share(of(r, "partial30"), FOUND_PX)),
        ("false placed", "1 in 1000", _false),
        ("area under the ROC curve", "", _auc),
        (f"expected error within a factor 2 (possible: {possible_share():.1%})", "90 %", _honest),
        ("two scanners, median error", "floor + 0.03 px", _real),
        ("40x field, CPU time", "0.15 s", lambda r: _time([c for c in core(r) if c.set not in TENFOLD])),
        ("10x field, CPU time", "0.3 s", lambda r: _time(of(r, *TENFOLD))),
        ("first field with preparation, CPU time", "1.0 s", _first),
        ("not found, CPU time", "0.6 s", lambda r: _time(decoys(r))),
    ]
    methods = list(by_method)
    table = [[name, bar, *(value(by_method[m]) for m in methods)] for name, bar, value in rows]
    print_table("Bars (number of cases in brackets)", ["figure", "bar", *methods], table)


def print_sets(method: str, results: Sequence[Result]) -> None:
    """Print how a method does on each set."""
    rows = []
    for name in SETS:
        some = of(results, name)
        if some:
            verdicts = [f"{np.mean([r.status == s for r in some]):.1%}" for s in ("placed", "uncertain")]
            errors = [r.error_px for r in some if r.error_px is not None and name not in DECOYS]
            worst = f"{max(errors):.3g}" if errors else ""
            shares = [f"{share_below(some, limit):.1%}" if errors else "" for limit in (FOUND_PX, 1, 0.25)]
            scores = [r.score for r in some]
            ends = f"{min(scores):.3f} to {max(scores):.3f}"
            middle = f"{median_error(some):.3f}" if errors else ""
            rows.append([name, len(some), *verdicts, *shares, middle, worst, ends, _time(some, False)])
    head = [
        "set",
        "n",
        "placed",
        "uncertain",
        "< 5 px",
        "< 1 px",
        "< 0.25 px",
        "median px",
        "worst px",
        "score",
    ]
    print_table(f"Sets: {method}", [*head, "CPU s"], rows)


def _share(some: Sequence[Result], limit: float) -> str:
    return f"{share_below(some, limit):.1%} ({len(some)})" if some else "-"


def _px(some: Sequence[Result]) -> str:
    return f"{median_error(some):.3f} px ({len(some)})" if some else "-"


def _false(results: Sequence[Result]) -> str:
    some = decoys(results)
    return f"{sum(r.status == 'placed' for r in some)} in {len(some)}" if some else "-"


def _auc(results: Sequence[Result]) -> str:
    on, off = there(results), decoys(results)
    return f"{auc(on, off):.5f}" if on and off else "-"


def _honest(results: Sequence[Result]) -> str:
    """Share of placed fields whose expected error is within a factor of 2 of the true one."""
    ratios = [ratio for ratio in map(expected_ratio, results) if ratio is not None]
    return f"{np.mean([0.5 <= ratio <= 2 for ratio in ratios]):.1%} ({len(ratios)})" if ratios else "-"


def _real(results: Sequence[Result]) -> str:
    some = of(results, "real")
    if not some:
        return "-"
    floor = np.median([r.floor_px for r in some if r.floor_px is not None])
    placed = sum(r.status == "placed" for r in some)
    return f"{median_error(some):.3f} px (floor {floor:.3f}), {placed} of {len(some)} placed"


def _first(results: Sequence[Result]) -> str:
    times = [r.cpu_s + r.prepared_s for r in results if r.prepared_s is not None]
    return f"{np.median(times):.2f} s" if times else "-"


def _time(some: Sequence[Result], unit: bool = True) -> str:
    if not some:
        return "-"
    times = np.array([r.cpu_s for r in some])
    text = f"{np.median(times):.2f} ({np.percentile(times, 95):.2f})"
    return f"{text} s" if unit else text
