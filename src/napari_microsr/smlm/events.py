"""Localisations of one molecule in consecutive frames, merged into one event."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_microsr.errors import JobError
from napari_microsr.smlm.localizations import Localizations


@dataclass(frozen=True)
class Events:
    """Merged localisations.

    Attributes
    ----------
    table : Localizations
        One row per event, at its first frame.
    length : numpy.ndarray of int, shape (n,)
        Frames from its first to its last localisation.
    count : numpy.ndarray of int, shape (n,)
        Its localisations.
    """

    table: Localizations
    length: NDArray[np.int64]
    count: NDArray[np.int64]


def merge(table: Localizations, radius_nm: float = 50.0, max_dark_frames: int = 1) -> Events:
    """Merge what shines on at one place.

    Each localisation is linked to the nearest one of the next frame, if that is its nearest too; where there
    is none, of the frame after it, and so on.

    Parameters
    ----------
    table : Localizations
        Any order of rows.
    radius_nm : float
        Farthest step within an event.
    max_dark_frames : int
        Most frames in between without a localisation.

    Returns
    -------
    Events
        Positions are means weighted with 1/err² (with 1, where some errors are not known), photons sums,
        background and PSF means weighted with photons, probability the highest.

    Raises
    ------
    JobError
        If the radius is not positive or the dark frames are negative.
    """
    if not radius_nm > 0 or max_dark_frames < 0:
        raise JobError(
            f"A radius of {radius_nm} nm with {max_dark_frames} dark frames is impossible.",
            "Give a radius above 0 nm and at least 0 dark frames.",
        )
    table = table.sorted()
    first, last = _links(table, radius_nm / table.pixel_nm, max_dark_frames)
    graph = coo_array((np.ones(len(first)), (first, last)), (len(table), len(table)))
    groups, label = connected_components(graph, directed=False)
    return _summary(table, label, groups)


def _links(table: Localizations, radius_px: float, max_dark_frames: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows that follow each other; every row has at most one successor and one predecessor."""
    position = np.column_stack([table.x, table.y])
    starts = np.searchsorted(table.frame, np.arange(table.n_frames + 1))
    trees = [cKDTree(position[a:b]) if b > a else None for a, b in pairwise(starts)]
    followed, following = np.zeros(len(table), bool), np.zeros(len(table), bool)
    links: list[NDArray[Any]] = [np.zeros((0, 2), np.int64)]
    for step in range(1, max_dark_frames + 2):
        for t in range(table.n_frames - step):
            here, there = trees[t], trees[t + step]
            if here is None or there is None:
                continue
            distance, nearest = there.query(here.data, distance_upper_bound=radius_px)
            back = here.query(there.data, distance_upper_bound=radius_px)[1]
            row = np.flatnonzero(np.isfinite(distance))
            row = row[back[nearest[row]] == row]
            a, b = row + starts[t], nearest[row] + starts[t + step]
            free = ~followed[a] & ~following[b]
            a, b = a[free], b[free]
            followed[a], following[b] = True, True
            links.append(np.column_stack([a, b]))
    first, last = np.concatenate(links).T
    return first, last


def _summary(table: Localizations, label: NDArray[Any], groups: int) -> Events:
    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.bincount(label, values, minlength=groups).astype(np.float64)
        return sums

    def precision(error: NDArray[Any]) -> NDArray[np.float64]:
        return 1 / error.astype(np.float64) ** 2

    count = np.bincount(label, minlength=groups)
    columns: dict[str, Any] = {}
    for axis in ("x", "y"):
        weight = precision(getattr(table, f"{axis}_err"))
        known = np.isfinite(weight).all()
        weight = weight if known else np.ones(len(table))
        columns[axis] = total(weight * getattr(table, axis)) / total(weight)
        if known:
            columns[f"{axis}_err"] = 1 / np.sqrt(total(weight))
    photons = table.photons.astype(np.float64)
    weight = photons if np.isfinite(photons).all() and (photons > 0).all() else np.ones(len(table))
    for name in ("background", "sigma_px"):
        columns[name] = total(weight * getattr(table, name)) / total(weight)
    columns["photons"] = total(photons)
    columns["photons_err"] = np.sqrt(total(table.photons_err.astype(np.float64) ** 2))
    first, last = np.full(groups, table.n_frames), np.zeros(groups, np.int64)
    np.minimum.at(first, label, table.frame)
    np.maximum.at(last, label, table.frame)
    highest = np.full(groups, -np.inf)
    np.maximum.at(highest, label, table.probability)
    merged = Localizations.from_columns(
        frame=first,
        probability=highest,
        pixel_nm=table.pixel_nm,
        shape_yx=table.shape_yx,
        n_frames=table.n_frames,
        **columns,
    )
    return Events(merged, last - first + 1, count)
