"""A table cut into stretches of frames, within which drift is nothing."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import Localizations

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Segments:
    """Localisations of stretches of frames.

    Attributes
    ----------
    position_nm : tuple of numpy.ndarray, shape (k, 2)
        y and x of each segment's localisations.
    centre : numpy.ndarray
        Mean frame of each.
    """

    position_nm: tuple[Floats, ...]
    centre: Floats

    @classmethod
    def of(
        cls, table: Localizations, frames: int | None, *, wanted: int, fewest: int, most: int
    ) -> "Segments":
        """Cut a table; segments of too few localisations are left out.

        Parameters
        ----------
        table : Localizations
            Any order of rows.
        frames : int or None
            Frames of a segment; None takes as many as hold about `wanted` localisations.
        wanted, fewest : int
            Localisations that a segment should and must have.
        most : int
            Segments that are enough.

        Raises
        ------
        InputError
            If less than two segments are left.
        """
        if frames is None:
            frames = round(wanted * table.n_frames / max(len(table), 1))
            frames = max(1, min(frames, table.n_frames // 4), -(-table.n_frames // most))
        table = table.sorted()
        edges = np.searchsorted(table.frame, np.arange(0, table.n_frames + frames, frames))
        parts = [slice(a, b) for a, b in pairwise(edges) if b - a >= fewest]
        if len(parts) < 2:
            raise InputError(
                f"{len(table)} localisations in {table.n_frames} frames are too few to show a drift.",
                f"At least 2 segments of {fewest} are needed: localise more frames or give longer segments.",
            )
        position = np.column_stack([table.y_nm, table.x_nm])
        centre = np.array([table.frame[part].mean() for part in parts])
        return cls(tuple(position[part] for part in parts), centre)

    def __len__(self) -> int:
        return len(self.centre)
