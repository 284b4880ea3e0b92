"""Run the cases of the registration benchmark; each result is a line of JSON, so that a run can go on."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from _registration_cases import Case, Scene, Series, Slides
from _registration_methods import Method

from napari_microsr import registration
from napari_microsr.registration.placement import FieldPlacement


@dataclass(frozen=True)
class Result:
    """What a method made of a case.

    Attributes
    ----------
    error_px : float or None
        Mean distance from the truth over 5 x 5 points of the field, in overview pixels; None without either.
    floor_px : float or None
        The same of the best similarity.
    error_um, expected_um : float or None
        In micrometres, and as the method expects it.
    cpu_s, wall_s : float
        From the field's pixels to its placement: CPU time of the process (one thread), and by the clock.
    prepared_s : float or None
        CPU time of preparing the overview, where this case was the first on it.
    code : str
        Checksum of the method's code.
    """

    series: Series
    set: str
    index: int
    method: str
    status: str
    reason: str
    score: float
    agreement: float
    inliers: int
    error_px: float | None
    floor_px: float | None
    error_um: float | None
    expected_um: float | None
    cpu_s: float
    wall_s: float
    prepared_s: float | None
    code: str


def load(path: Path) -> list[Result]:
    """Read the results so far."""
    if not path.exists():
        return []
    return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def run(wanted: Iterable[Case], names: dict[str, Method], slides: Slides, path: Path) -> None:
    """Run the cases that the file lacks, and append their results."""
    done = {(r.series, r.set, r.index, r.method) for r in load(path)}
    code = _fingerprint()
    prepared: dict[tuple[object, ...], Any] = {}
    with path.open("a", encoding="utf-8") as log:
        for case in wanted:
            missing = [n for n in names if (case.series, case.set, case.index, n) not in done]
            if not missing or not slides.has(case):
                continue
            scene = slides.scene(case)
            for name in missing:
                result = judge(case, name, names[name], scene, prepared, code)
                log.write(json.dumps(asdict(result)) + "\n")
                log.flush()


def judge(
    case: Case, name: str, method: Method, scene: Scene, prepared: dict[tuple[object, ...], Any], code: str
) -> Result:
    """Let a method place the field of a scene, and measure."""
    key, prepared_s = (name, *scene.overview_key), None
    if key not in prepared:
        start = time.process_time()
        prepared[key] = method.prepare(scene.overview)
        prepared_s = time.process_time() - start
    cpu, wall = time.process_time(), time.perf_counter()
    found = method.place(scene.field, scene.overview, prepared[key])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    error, floor = _error(found, scene), None if scene.truth is None else _floor(scene.grid, scene.truth)
    return Result(
        case.series,
        case.set,
        case.index,
        name,
        found.status,
        found.reason,
        float(found.score),
        float(found.agreement),
        int(found.inliers),
        error,
        floor,
        None if error is None else error * scene.overview.um,
        found.expected_error_um,
        cpu,
        wall,
        prepared_s,
        code,
    )


def _error(found: FieldPlacement, scene: Scene) -> float | None:
    if scene.truth is None or found.matrix_yx is None:
        return None
    return float(np.linalg.norm(found.to_overview(scene.grid) - scene.truth, axis=1).mean())


def _floor(grid: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean error of the similarity that fits the truth best by least squares."""
    p, q = (points @ [1j, 1] for points in (grid, truth))
    p0, q0 = p - p.mean(), q - q.mean()
    return float(np.abs(np.vdot(p0, q0) / np.vdot(p0, p0) * p0 - q0).mean())


def _fingerprint() -> str:
    """Return a checksum of the method's code: results of different code do not belong into one table."""
    digest = sha256()
    for path in sorted(Path(registration.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
