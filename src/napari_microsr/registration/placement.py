"""What a registration returns: where each field lies on its overview, and how sure that is."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_microsr.registration.geometry import Matrix, apply

Status = Literal["placed", "uncertain", "not_found"]


@dataclass(frozen=True, eq=False)
class FieldPlacement:
    """Where one field lies on one overview.

    Attributes
    ----------
    name : str
        What the field is called in tables and layers.
    path : str or None
        Its file.
    overview : str or None
        Name of the overview that it lies on; None where it lies on none.
    shape_yx : tuple of int
        Height and width of the field in its pixels.
    status : {"placed", "uncertain", "not_found"}
        The verdict.
    reason : str
        One sentence that a person can act on; empty for a field that is placed without reservation.
    score : float
        Correlation of the band-passed field and overview after refinement, 0 where nothing was found.
    agreement : float
        Share of the field's blocks that lie where the whole field does.
    inliers : int
        Matched features that agree on the placement; 0 where features were not used.
    expected_error_um : float or None
        How far off the placement is expected to be, from the residuals of the blocks; None if unknown.
    matrix_yx : array of shape (3, 3), or None
        Field pixel (y, x, 1) to overview pixel, centres at integers. None where the status is not_found.
    quadratic_yx : array of shape (2, 3), or None
        For the quadratic transform: coefficients of (v², vu, u²), where (v, u) is the field pixel
        counted from the field's centre and divided by half its longer side; added to the matrix's result.
    field_um : float or None
        Size of a field pixel: the overview's times the scale that was found. None without a pixel size.
    manual : bool
        Whether a person placed it.
    locked : bool
        Whether a later run leaves it as it is.
    """

    name: str
    path: str | None
    overview: str | None
    shape_yx: tuple[int, int]
    status: Status
    reason: str = ""
    score: float = 0.0
    agreement: float = 0.0
    inliers: int = 0
    expected_error_um: float | None = None
    matrix_yx: Matrix | None = None
    quadratic_yx: NDArray[np.float64] | None = None
    field_um: float | None = None
    manual: bool = False
    locked: bool = False

    def to_overview(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry field pixels (..., 2) to overview pixels; the field must have been found."""
        assert self.matrix_yx is not None
        moved = apply(self.matrix_yx, points)
        if self.quadratic_yx is None:
            return moved
        h, w = self.shape_yx
        v, u = np.moveaxis((points - [(h - 1) / 2, (w - 1) / 2]) / (max(h, w) / 2), -1, 0)
        return moved + np.stack([v * v, v * u, u * u], -1) @ self.quadratic_yx.T


@dataclass(frozen=True, eq=False)
class OverviewInfo:
    """What is kept of an overview beside its name.

    Attributes
    ----------
    name : str
        What it is called in tables and layers.
    path : str or None
        Its file.
    shape_yx : tuple of int
        Height and width in pixels.
    um : float or None
        Size of a pixel.
    """

    name: str
    path: str | None
    shape_yx: tuple[int, int]
    um: float | None


@dataclass(frozen=True, eq=False)
class Placements:
    """The result of a registration.

    Attributes
    ----------
    overviews : list of OverviewInfo
        What was searched.
    fields : list of FieldPlacement
        One per field, in the order given.
    loop_um : float or None
        Median distance between the two ways to the overview (direct, and by a field of middle
        magnification), where there are two.
    provenance : dict
        Version, job and the like.
    """

    overviews: list[OverviewInfo]
    fields: list[FieldPlacement]
    loop_um: float | None = None
    provenance: dict[str, object] = field(default_factory=dict)
