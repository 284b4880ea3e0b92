"""What image layers show at places of the world, whatever their scale, rotation, type or pyramid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.widgets.layers import source_from_layer, visible_plane
from napari_microsr.widgets.placement_layers import plane_to_world

if TYPE_CHECKING:
    import napari

Floats = NDArray[np.float64]
#: Places that lie farther apart are read in parts, so that a long line does not read what lies beside it.
_BLOCK_PX = 256 * 256


@dataclass(frozen=True, eq=False)
class Sampler:
    """One plane of a layer, taken in the main thread and read in any.

    Attributes
    ----------
    name : str
        Of the layer.
    source : ImageSource
        Its finest level.
    plane : int
        Which plane the sliders show.
    to_world : array of shape (3, 3)
        Pixel (y, x, 1) to the world.
    look : Look
        How its intensities are shown.
    """

    name: str
    source: ImageSource
    plane: int
    to_world: Floats
    look: "Look"

    @classmethod
    def of(cls, layer: Image, viewer: "napari.viewer.Viewer") -> "Sampler":
        """Describe what a layer shows now.

        Raises
        ------
        InputError
            If its last axes are not y and x, or it is no image that can be read.
        """
        source = source_from_layer(layer)
        if source.placement.yx != (layer.ndim - 2, layer.ndim - 1):
            raise InputError(
                f"The last axes of {layer.name} are not y and x.",
                "Transpose the layer, or choose another one.",
            )
        return cls(
            layer.name, source, visible_plane(viewer, layer, source), plane_to_world(layer), Look.of(layer)
        )

    @property
    def pixel(self) -> float:
        """Side of a pixel in the world: the root of its area."""
        return float(np.sqrt(abs(np.linalg.det(self.to_world[:2, :2]))))

    def pixels_at(self, places: Floats) -> Floats:
        """Return where places of the world (n, 2) lie in the image: (n, 2), pixel centres at integers."""
        around = np.column_stack([places, np.ones(len(places))])
        return np.asarray(np.linalg.solve(self.to_world, around.T)[:2].T, np.float64)

    def values(self, places: Floats, *, order: int) -> Floats:
        """Return the intensities at places of the world.

        Parameters
        ----------
        places : array of shape (n, 2)
            (y, x) in the world; neighbours are best next to each other.
        order : int
            0 takes the pixel that a place lies in, 1 interpolates.

        Returns
        -------
        array of shape (n, channels)
            NaN outside the image.
        """
        at = self.pixels_at(places)
        size = np.array([self.source.height, self.source.width])
        inside = ((at >= -0.5) & (at < size - 0.5)).all(1)
        found = np.full((len(at), self.source.channels), np.nan)
        found[inside] = self._read(at[inside], order)
        return found

    def _read(self, at: Floats, order: int) -> Floats:
        if not len(at):
            return np.zeros((0, self.source.channels))
        size = np.array([self.source.height, self.source.width])
        low = np.clip(np.floor(at.min(0)).astype(int), 0, size - 1)
        high = np.clip(np.ceil(at.max(0)).astype(int), 0, size - 1) + 1
        if np.prod(high - low) > _BLOCK_PX and len(at) > 1:
            middle = len(at) // 2
            return np.concatenate([self._read(at[:middle], order), self._read(at[middle:], order)])
        block = self.source.read(
            self.plane, slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        )
        if order == 0:
            rows, cols = (np.clip(np.rint(at).astype(int), 0, size - 1) - low).T
            return block[:, rows, cols].T.astype(np.float64)
        where = (at - low).T
        planes = [map_coordinates(p.astype(np.float64), where, order=order, mode="nearest") for p in block]
        return np.stack(planes, axis=1)


@dataclass(frozen=True, eq=False)
class Look:
    """How a layer shows its intensities.

    Attributes
    ----------
    colormap : napari.utils.Colormap or None
        None where the layer is RGB.
    limits : tuple of float
        Intensities shown darkest and brightest.
    gamma : float
        Exponent in between.
    """

    colormap: Any
    limits: tuple[float, float]
    gamma: float

    @classmethod
    def of(cls, layer: Image) -> "Look":
        """Take the look of a layer."""
        low, high = map(float, layer.contrast_limits)
        if layer.rgb:
            kind = np.dtype(layer.dtype)
            return cls(
                None, (0.0, float(np.iinfo(kind).max) if kind.kind in "ui" else 1.0), float(layer.gamma)
            )
        return cls(layer.colormap, (low, high), float(layer.gamma))

    def colours(self, values: Floats) -> NDArray[np.uint8]:
        """Return intensities (..., channels) as RGBA (..., 4), clear where they are NaN."""
        low, high = self.limits
        known = np.isfinite(values).all(-1)
        shown = np.clip((np.nan_to_num(values) - low) / ((high - low) or 1.0), 0, 1) ** self.gamma
        if self.colormap is None:
            colours = np.concatenate([shown, np.ones((*shown.shape[:-1], 1))], axis=-1)
        else:
            colours = np.asarray(self.colormap.map(shown[..., 0].ravel())).reshape(*shown.shape[:-1], 4)
        picture: NDArray[np.uint8] = np.rint(colours * 255).astype(np.uint8)
        picture[~known] = 0
        return picture
