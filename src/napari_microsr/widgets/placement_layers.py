"""Where a placed field is shown: from its matrix to the transform of its layer, and back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.placement import PIXEL, UM_PER_UNIT, unit_symbol
from napari_microsr.registration.geometry import Matrix, apply, corners, parts
from napari_microsr.registration.placement import FieldPlacement

if TYPE_CHECKING:
    from napari.layers import Image, Layer

# A power of two: the difference of two far points is then exact to the last digits.
_STEP_PX = 4096.0
_EDGE_STEPS = 8


def plane_to_world(layer: "Layer") -> Matrix:
    """Return the 3x3 matrix from pixels (y, x, 1) of the finest level to the world.

    Parameters
    ----------
    layer : napari.layers.Layer
        Its last two axes are y and x.
    """
    points = np.zeros((3, layer.ndim))
    points[0, -2] = points[1, -1] = _STEP_PX
    y, x, origin = (np.asarray(layer.data_to_world(point), float)[-2:] for point in points)
    return _homogeneous((y - origin) / _STEP_PX, (x - origin) / _STEP_PX, origin)


def matrix_between(field: "Layer", overview: "Layer") -> Matrix:
    """Return the matrix from field pixels to overview pixels that the two layers show now."""
    return np.asarray(np.linalg.solve(plane_to_world(overview), plane_to_world(field)), np.float64)


def outline(placement: FieldPlacement, overview: "Layer") -> NDArray[np.float64]:
    """Return the edge of a placed field in the world, (n, 2); bent where the placement is quadratic."""
    points = corners(placement.shape_yx)
    if placement.quadratic_yx is not None:
        ends = np.roll(points, -1, axis=0)
        steps = np.arange(_EDGE_STEPS)[:, None] / _EDGE_STEPS
        points = np.concatenate([a + steps * (b - a) for a, b in zip(points, ends, strict=True)])
    return apply(plane_to_world(overview), placement.to_overview(points))


@dataclass(frozen=True)
class Transform:
    """The part of a layer that a placement changes, so that it can be taken back."""

    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    affine: NDArray[np.float64]
    units: tuple[Any, ...]

    @classmethod
    def of(cls, layer: "Layer") -> "Transform":
        """Note the transform of a layer."""
        return cls(
            np.array(layer.scale, float),
            np.array(layer.translate, float),
            np.array(layer.affine.affine_matrix, float),
            tuple(layer.units),
        )

    def restore(self, layer: "Layer") -> None:
        """Give it back to the layer."""
        layer.units = self.units
        layer.scale, layer.translate, layer.affine = self.scale, self.translate, self.affine


def place_layer(layer: "Image", overview: "Image", matrix_yx: Matrix) -> None:
    """Lay a field's layer over the overview's.

    The layer keeps its own pixel size in `scale`, in the units of the overview; `affine` gets what the
    placement adds, so that napari's transform mode, which edits just that, corrects the placement.

    Parameters
    ----------
    layer, overview : napari.layers.Image
        Their data stay as they are, and so does all of the overview.
    matrix_yx : array of shape (3, 3)
        Field pixel to overview pixel.
    """
    wanted = plane_to_world(overview) @ matrix_yx
    _share_units(layer, overview, parts(wanted).scale)
    full = np.array(layer.affine.affine_matrix, float)
    former = _plane(full)
    own = np.linalg.solve(former, plane_to_world(layer))
    full[np.ix_([-3, -2, -1], [-3, -2, -1])] = wanted @ np.linalg.inv(own)
    layer.affine = full


def same_units(layer: "Layer", overview: "Layer") -> bool:
    """Whether y and x of both layers are counted in the same units."""
    return [str(unit) for unit in layer.units[-2:]] == [str(unit) for unit in overview.units[-2:]]


def _share_units(layer: "Image", overview: "Image", world_per_pixel: float) -> None:
    """Count a layer's y and x in the overview's units, in which a pixel is `world_per_pixel` if unknown."""
    if same_units(layer, overview):
        return
    before, after = ([unit_symbol(str(unit)) for unit in it.units[-2:]] for it in (layer, overview))
    scale, translate = np.array(layer.scale, float), np.array(layer.translate, float)
    if PIXEL not in before + after and set(before + after) <= set(UM_PER_UNIT):
        factor = [UM_PER_UNIT[b] / UM_PER_UNIT[a] for b, a in zip(before, after, strict=True)]
        scale[-2:] *= factor
        translate[-2:] *= factor
    else:
        scale[-2:], translate[-2:] = world_per_pixel, 0.0
    layer.units = (*layer.units[:-2], *overview.units[-2:])
    layer.scale, layer.translate = scale, translate


def _plane(affine: NDArray[np.float64]) -> Matrix:
    return affine[np.ix_([-3, -2, -1], [-3, -2, -1])]


def _homogeneous(y: NDArray[np.float64], x: NDArray[np.float64], origin: NDArray[np.float64]) -> Matrix:
    return np.vstack([np.column_stack([y, x, origin]), [0.0, 0.0, 1.0]])
