"""What labelled molecules lie on: places for a simulation."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Draws that many places (y, x) [nm from the corner of the field], shape (count, 2).
Sampler = Callable[[np.random.Generator, int], Floats]

FILAMENTS_PER_UM2 = 0.15
PERSISTENCE_NM = 8000.0
STEP_NM = 50.0
#: Labels of a microtubule lie this far from its axis.
TUBE_RADIUS_NM = 12.5
RINGS_PER_UM2 = 1.5
RING_RADIUS_NM = 60.0


def uniform(rng: np.random.Generator, size_nm: tuple[float, float]) -> Sampler:
    """Cover the field evenly."""
    return lambda rng, count: rng.uniform(0, 1, (count, 2)) * size_nm


def filaments(rng: np.random.Generator, size_nm: tuple[float, float]) -> Sampler:
    """Lay worm-like chains across the field, tubes with labels on both sides.

    The direction of a chain walks at random, so that it is forgotten after the persistence length
    (Kratky and Porod, 1949).
    """
    field = np.array(size_nm)
    count = max(2, round(FILAMENTS_PER_UM2 * field.prod() / 1e6))
    steps = int(3 * np.hypot(*field) / STEP_NM) + 2
    bends = rng.normal(0, np.sqrt(2 * STEP_NM / PERSISTENCE_NM), (count, steps))
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + bends.cumsum(1)
    direction = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    path = direction.cumsum(1) * STEP_NM
    # The middle of each chain lies in the field.
    path += (rng.uniform(0, 1, (count, 2)) * field - path[:, steps // 2])[:, None]
    points, direction = path.reshape(-1, 2), direction.reshape(-1, 2)
    inside = ((points >= 0) & (points <= field)).all(1)
    points, direction = points[inside], direction[inside]

    def draw(rng: np.random.Generator, wanted: int) -> Floats:
        place = rng.integers(0, len(points), wanted)
        along = direction[place] * rng.uniform(-0.5, 0.5, (wanted, 1)) * STEP_NM
        across = direction[place][:, ::-1] * [1, -1] * TUBE_RADIUS_NM * rng.choice([-1, 1], (wanted, 1))
        places: Floats = points[place] + along + across
        return places

    return draw


def rings(rng: np.random.Generator, size_nm: tuple[float, float]) -> Sampler:
    """Strew rings of one size over the field, as of nuclear pores."""
    field = np.array(size_nm)
    count = max(1, round(RINGS_PER_UM2 * field.prod() / 1e6))
    centres = rng.uniform(0, 1, (count, 2)) * field

    def draw(rng: np.random.Generator, wanted: int) -> Floats:
        angle = rng.uniform(0, 2 * np.pi, wanted)
        around = RING_RADIUS_NM * np.column_stack([np.sin(angle), np.cos(angle)])
        places: Floats = centres[rng.integers(0, count, wanted)] + around
        return places

    return draw


#: A seeded structure of a field of this size (height, width), by its name in a job.
STRUCTURES: dict[str, Callable[[np.random.Generator, tuple[float, float]], Sampler]] = {
    "uniform": uniform,
    "filaments": filaments,
    "rings": rings,
}
