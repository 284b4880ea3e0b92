"""Where the pixels of an image lie in the world, and in which units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nm": 1e-3,
    "um": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "inch": 25_400.0,
}
PIXEL = "pixel"
# The names that OME-XML, OME-Zarr, ImageJ and napari give to the same units; the keys are lower case.
_SYMBOLS = {
    **{name: name for name in (*UM_PER_UNIT, "s", "ms", "us", "ns", "min", "h")},
    **{f"{p}met{end}": s for p, s in zip(["nano", "micro", "milli", "centi", ""],
                                         ["nm", "um", "mm", "cm", "m"], strict=True)
       for end in ("er", "re", "ers", "res")},
    **{f"{p}second{end}": s for p, s in zip(["nano", "micro", "milli", ""],
                                            ["ns", "us", "ms", "s"], strict=True)
       for end in ("", "s")},
    **dict.fromkeys(("micron", "microns"), "um"),
    **dict.fromkeys(("å", "ångström"), "angstrom"),
    **dict.fromkeys(("in", "\""), "inch"),
    **dict.fromkeys(("sec", "seconds"), "s"),
    **dict.fromkeys(("minute", "minutes"), "min"),
    **dict.fromkeys(("hour", "hours"), "h"),
}  # fmt: skip


def unit_symbol(name: str) -> str:
    r"""Return the short symbol of a length or time unit, "pixel" for any other.

    Parameters
    ----------
    name : str
        A unit as files and napari spell it: "micrometer", "µm", "\\u00B5m" (ImageJ), "um", ...
    """
    plain = name.strip().lower()
    for micro in ("µ", "μ", "\\u00b5"):  # the micro sign, the Greek letter, ImageJ's escape
        plain = plain.replace(micro, "u")
    return _SYMBOLS.get(plain, PIXEL)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the pixels of an image lie in the world: napari's layer transform in its parts.

    A pixel index p (centres at integers) lies at ``affine @ (rotate @ shear @ (scale * p) + translate)``.

    Parameters
    ----------
    axis_labels : tuple of str
        One name per placed axis: every axis of the array but that of RGB samples.
    units : tuple of str
        Short symbol per axis: "um", "nm", "s", "pixel".
    scale, translate : tuple of float
        Step between pixels, and place of the first pixel's centre, in those units.
    rotate : array of shape (n, n), optional
        Rotation matrix.
    shear : sequence of float or array of shape (n, n), optional
        The n (n - 1) / 2 elements above the diagonal, row by row, or the whole matrix.
    affine : array of shape (n + 1, n + 1), optional
        Homogeneous matrix applied after all others.

    Raises
    ------
    ValueError
        If the parts do not have one entry per axis.
    """

    axis_labels: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: NDArray[np.float64] | None = None
    shear: Sequence[float] | NDArray[np.float64] | None = None
    affine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.axis_labels)
        if not len(self.units) == len(self.scale) == len(self.translate) == n:
            raise ValueError(f"A placement of {n} axes needs {n} units, scales and translations.")
        for name, shape in (("rotate", (n, n)), ("affine", (n + 1, n + 1))):
            if (matrix := getattr(self, name)) is not None and np.shape(matrix) != shape:
                raise ValueError(f"{name} is {np.shape(matrix)} instead of {shape}.")

    @classmethod
    def of_sizes(cls, axes: Sequence[str], sizes: Mapping[str, tuple[float, str]]) -> Self:
        """Return the placement of an image at the origin, from the (step, unit) of the known axes."""
        steps = [sizes.get(axis, (1.0, PIXEL)) for axis in axes]
        units, scale = tuple(unit for _, unit in steps), tuple(step for step, _ in steps)
        return cls(tuple(axes), units, scale, (0.0,) * len(steps))

    @property
    def yx(self) -> tuple[int, int]:
        """Positions of y and x: the axes of these names, the last two where there are none."""
        labels, n = self.axis_labels, len(self.axis_labels)
        if "y" in labels and "x" in labels:
            return labels.index("y"), labels.index("x")
        return n - 2, n - 1

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Height and width of a pixel in µm, None where the units are no lengths."""
        y, x = self.yx
        if self.units[y] not in UM_PER_UNIT or self.units[x] not in UM_PER_UNIT:
            return None
        return (
            abs(self.scale[y]) * UM_PER_UNIT[self.units[y]],
            abs(self.scale[x]) * UM_PER_UNIT[self.units[x]],
        )

    def finer(self, factor: float) -> Self:
        """Place an image of `factor` times as many pixels along y and x on the same area.

        The centre of the first fine pixel lies (1 - 1/factor) / 2 coarse pixels before that of
        the first coarse one; rotation and shear turn this shift with the image.
        """
        n = len(self.scale)
        offset, scale = np.zeros(n), np.array(self.scale, float)
        for axis in self.yx:
            offset[axis] = (1 / factor - 1) / 2
        shift = self._linear() @ (scale * offset)
        for axis in self.yx:
            scale[axis] /= factor
        return replace(
            self,
            scale=tuple(scale.tolist()),
            translate=tuple((np.array(self.translate, float) + shift).tolist()),
        )

    def moved(self, y_px: float, x_px: float) -> Self:
        """Place an image whose first pixel is that of row `y_px` and column `x_px` of this one."""
        offset = np.zeros(len(self.scale))
        offset[list(self.yx)] = y_px, x_px
        shift = self._linear() @ (np.array(self.scale, float) * offset)
        return replace(self, translate=tuple((np.array(self.translate, float) + shift).tolist()))

    def as_dict(self) -> dict[str, Any]:
        """Return the parts as JSON can hold them."""
        optional = {"rotate": self.rotate, "shear": self.shear, "affine": self.affine}
        return {
            "axis_labels": list(self.axis_labels),
            "units": list(self.units),
            "scale": [float(s) for s in self.scale],
            "translate": [float(t) for t in self.translate],
            **{k: None if v is None else np.asarray(v, float).tolist() for k, v in optional.items()},
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Self:
        """Return the placement that `as_dict` described."""
        names = ("axis_labels", "units", "scale", "translate")
        matrices = ("rotate", "shear", "affine")
        given: dict[str, Any] = {name: tuple(parts[name]) for name in names}
        given |= {name: np.array(parts[name], float) for name in matrices if parts.get(name) is not None}
        return cls(**given)

    def _linear(self) -> NDArray[np.float64]:
        """Rotation after shear, (n, n)."""
        n = len(self.scale)
        rotate = np.eye(n) if self.rotate is None else np.asarray(self.rotate, float)
        shear = np.eye(n)
        if self.shear is not None and np.ndim(self.shear) == 2:
            shear = np.asarray(self.shear, float)
        elif self.shear is not None:
            shear[np.triu_indices(n, 1)] = self.shear
        product: NDArray[np.float64] = rotate @ shear
        return product

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Placement) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]  # it holds arrays
