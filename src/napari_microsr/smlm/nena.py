"""Precision from the molecules that are seen in neighbouring frames (NeNA).

Endesfelder et al., Histochemistry and Cell Biology 141, 629 (2014).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.spatial import cKDTree

from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import Localizations

Floats = NDArray[np.float64]

FEWEST = 100
BINS = 80


def nearest_neighbour_precision(table: Localizations, reach_nm: float = 200.0) -> float:
    """Return the precision per axis [nm]: how far apart the same molecule is found in two frames.

    Parameters
    ----------
    table : Localizations
        Before merging; most molecules must shine for several frames.
    reach_nm : float
        Distances that are looked at, several times the precision.

    Raises
    ------
    InputError
        If there are less than 100 neighbours, or no peak of repeated molecules among their distances.
    """
    distances = neighbour_distances(table, reach_nm)
    if len(distances) < FEWEST:
        raise InputError(
            f"Only {len(distances)} localisations have a neighbour in the next frame.",
            "Give a table in which molecules shine for several frames, before merging.",
        )
    counts, edges = np.histogram(distances, BINS, (0, reach_nm))
    centres = (edges[1:] + edges[:-1]) / 2
    scale = len(distances) * (edges[1] - edges[0])
    guess = float(centres[np.argmax(counts)]) / np.sqrt(2)
    start = (guess, 0.8, 0.1, guess, guess, 0.1 / reach_nm**2)
    lowest, highest = (reach_nm / 1000, 0, 0, 0, reach_nm / 100, 0), (reach_nm, 2, 2, reach_nm, reach_nm, 1)
    try:
        found, _ = curve_fit(
            _distances,
            centres,
            counts / scale,
            np.clip(start, lowest, highest),
            np.sqrt(counts + 1) / scale,
            bounds=(lowest, highest),
        )
    except RuntimeError as error:  # scipy's "optimal parameters not found"
        raise InputError(
            "The distances of neighbours show no repeated molecules.", "Give a table before merging."
        ) from error
    return float(found[0])


def neighbour_distances(table: Localizations, reach_nm: float) -> Floats:
    """Return the distance [nm] of each localisation to the nearest one in the next frame, within reach."""
    table = table.sorted()
    position = np.column_stack([table.x_nm, table.y_nm])
    starts = np.searchsorted(table.frame, np.arange(table.n_frames + 1))
    distances = [np.zeros(0)]
    for t in range(table.n_frames - 1):
        here, there = position[starts[t] : starts[t + 1]], position[starts[t + 1] : starts[t + 2]]
        if len(here) and len(there):
            distances.append(cKDTree(there).query(here, distance_upper_bound=reach_nm)[0])
    every = np.concatenate(distances)
    return every[np.isfinite(every)]


def _distances(
    d: Floats, sigma: float, same: float, near: float, beyond: float, width: float, far: float
) -> Floats:
    """Density of distances: the same molecule, close neighbours, and others at random.

    Close neighbours are farther apart than four precisions: they must not take the tail of the first term.
    """
    rayleigh = d / (2 * sigma**2) * np.exp(-(d**2) / (4 * sigma**2))
    neighbours = np.exp(-((d - 4 * sigma - beyond) ** 2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)
    density: Floats = same * rayleigh + near * neighbours + far * d
    return density
