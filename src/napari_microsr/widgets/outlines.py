"""The outlines of all placed fields in one Shapes layer, coloured by verdict."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Shapes

from napari_microsr.registration.geometry import parts
from napari_microsr.registration.placement import FieldPlacement, Status
from napari_microsr.widgets.placement_layers import outline

if TYPE_CHECKING:
    import napari

NAME = "Field outlines"
#: Told apart by people who cannot tell red from green, too (Okabe and Ito).
COLOURS: dict[Status, str] = {"placed": "#009E73", "uncertain": "#E69F00", "not_found": "#D55E00"}
#: Width of the lines, as a share of the smallest field's longer side.
_WIDTH = 0.015


class Outlines:
    """A Shapes layer in world units that follows the placements.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        To which it is added when there is something to show.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self.layer: Shapes | None = None

    def draw(self, placed: list[tuple[FieldPlacement, Image]]) -> None:
        """Show the outlines of fields.

        Parameters
        ----------
        placed : list of (FieldPlacement, Image)
            The fields that have a place, each with the layer of its overview.
        """
        if self.layer is not None and self.layer not in self._viewer.layers:
            self.layer = None
        if not placed:
            if self.layer is not None:
                self._viewer.layers.remove(self.layer)
                self.layer = None
            return
        polygons = [outline(placement, overview) for placement, overview in placed]
        # One width for all: that of a 10x field would cover a 40x field.
        width = _WIDTH * min(float(np.ptp(polygon, axis=0).max()) for polygon in polygons)
        look: dict[str, Any] = {
            "shape_type": ["polygon"] * len(polygons),
            "edge_color": [COLOURS[placement.status] for placement, _ in placed],
            "face_color": ["transparent"] * len(polygons),
            "edge_width": [width] * len(polygons),
        }
        features = _features([placement for placement, _ in placed])
        text = {"string": "{name}", "anchor": "upper_left", "size": 9, "color": look["edge_color"]}
        if self.layer is None:
            overview, active = placed[0][1], self._viewer.layers.selection.active
            self.layer = self._viewer.add_shapes(
                polygons,
                **look,
                features=features,
                name=NAME,
                opacity=1.0,
                units=overview.units[-2:],
                axis_labels=overview.axis_labels[-2:],
                text=text,
            )
            self.layer.editable = False
            self._viewer.layers.selection.active = active
        else:
            self.layer.data = []
            self.layer.add(polygons, **look)
            self.layer.features = features
            self.layer.text = text


def _features(placements: list[FieldPlacement]) -> dict[str, list[Any]]:
    return {
        "name": [p.name for p in placements],
        "verdict": [p.status for p in placements],
        "zoom": [1 / parts(p.matrix_yx).scale for p in placements if p.matrix_yx is not None],
        "score": [p.score for p in placements],
        "agreement": [p.agreement for p in placements],
        "expected_error_um": [
            np.nan if p.expected_error_um is None else p.expected_error_um for p in placements
        ],
    }
