"""Drift of the sample, found in the localisations themselves and taken out of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.drift_aim import intersection
from napari_microsr.smlm.drift_rcc import redundant_correlation
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.segments import Segments

Floats = NDArray[np.float64]

#: Name -> (shifts of the segments in nm, how many localisations and segments it wants).
METHODS = {
    "aim": (intersection, {"wanted": 500, "fewest": 10, "most": 2000}),
    "rcc": (redundant_correlation, {"wanted": 5000, "fewest": 50, "most": 40}),
}


@dataclass(frozen=True, eq=False)
class Drift:
    """Where the sample was.

    Attributes
    ----------
    x, y : numpy.ndarray of float64, shape (n_frames,)
        Displacement of each frame [px]; their means are 0.
    """

    x: Floats
    y: Floats

    def correct(self, table: Localizations) -> Localizations:
        """Return the table without drift.

        Raises
        ------
        InputError
            If the table has frames that the drift does not.
        """
        if len(table) and table.frame.max() >= len(self.x):
            raise InputError(
                f"The drift of {len(self.x)} frames does not reach frame {table.frame.max()} of the table.",
                "Estimate it from the whole table.",
            )
        return table.replace(x=table.x - self.x[table.frame], y=table.y - self.y[table.frame])


def estimate_drift(
    table: Localizations,
    method: str = "aim",
    segment_frames: int | None = None,
    progress: Progress | None = None,
) -> Drift:
    """Estimate the drift of each frame.

    Parameters
    ----------
    table : Localizations
        Structures must be seen again and again over the frames.
    method : str
        One of `METHODS`.
    segment_frames : int, optional
        Frames between two nodes of the curve; if not given, as many as hold enough localisations.
    progress : Progress, optional
        Told of each segment.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If the table is too small to show a drift, or its segments do not agree on one.
    JobError
        If there is no such method or the segment is not positive.
    """
    if method not in METHODS:
        raise JobError(f"There is no drift method {method!r}.", f"The methods are: {', '.join(METHODS)}.")
    if segment_frames is not None and segment_frames < 1:
        raise JobError(f"A segment of {segment_frames} frames is impossible.", "Give 1 frame or more.")
    find, sizes = METHODS[method]
    segments = Segments.of(table, segment_frames, **sizes)
    nodes = find(segments, progress or SilentProgress()) / table.pixel_nm
    # A smooth curve through the segments, level before the first and after the last one.
    inside = np.clip(np.arange(table.n_frames), segments.centre[0], segments.centre[-1])
    y, x = PchipInterpolator(segments.centre, nodes)(inside).T
    return Drift(x - x.mean(), y - y.mean())
