"""The super-resolved image in the viewer: it grows during a run and follows filters and drift."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.render import RENDERERS, Canvas
from napari_microsr.smlm.render_job import RenderJob, rendered_placement
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.localise_findings import Choice
from napari_microsr.widgets.localise_layers import rendered_arguments

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

REFRESH_MS = 500
#: Pixels of the largest image that is kept in memory (float32, and a third of it for the coarser levels).
MOST_PX = 6000**2
#: The coarsest level is not smaller.
COARSEST_PX = 256
#: Pixels from which a percentile is taken.
_SAMPLE_PX = 1_000_000

Levels = list[NDArray[np.float32]]


class Pyramid:
    """An image of localisations in memory, each level half as fine as the one before.

    A pixel of a coarse level is the mean of those below it, so that one contrast suits all levels.

    Parameters
    ----------
    field : Localizations
        A table of the field that is covered; its rows do not matter.
    pixel_nm : float
        Of the finest level; made coarser by twos where the field is too large.
    """

    def __init__(self, field: Localizations, pixel_nm: float) -> None:
        canvas = Canvas.over(field, pixel_nm)
        while canvas.height * canvas.width > MOST_PX:
            canvas = Canvas.over(field, canvas.pixel_nm * 2)
        side = max(canvas.height, canvas.width)
        count = max(2, 1 + int(np.log2(max(side / COARSEST_PX, 1))))
        grid = 2 ** (count - 1)
        # Whole coarse pixels: napari takes all levels to cover the same area.
        height, width = (-(-size // grid) * grid for size in (canvas.height, canvas.width))
        self.pixel_nm = canvas.pixel_nm
        self.canvases = [Canvas(self.pixel_nm * 2**k, height // 2**k, width // 2**k) for k in range(count)]
        self.levels: Levels = [np.zeros((c.height, c.width), np.float32) for c in self.canvases]

    def add(self, rows: Localizations) -> None:
        """Count more localisations into all levels."""
        for number, (level, canvas) in enumerate(zip(self.levels, self.canvases, strict=True)):
            row, column = (np.floor(place + 0.5).astype(np.int64) for place in canvas.places(rows))
            inside = (row >= 0) & (row < canvas.height) & (column >= 0) & (column < canvas.width)
            np.add.at(level, (row[inside], column[inside]), np.float32(0.25**number))

    def draw(self, table: Localizations, renderer: str) -> Levels:
        """Return all levels of a whole table; these here stay as they are."""
        levels = [RENDERERS[renderer](table, self.canvases[0])]
        for canvas in self.canvases[1:]:
            fine = levels[-1].reshape(canvas.height, 2, canvas.width, 2)
            levels.append(fine.mean((1, 3), dtype=np.float32))
        return levels


def percentile(level: NDArray[np.float32], percent: float) -> float:
    """Return what `percent` of the pixels that show anything do not exceed; 1 where none does."""
    step = max(1, int(np.sqrt(level.size / _SAMPLE_PX)))
    sample = level[::step, ::step]
    shown = sample[sample > 0]
    return float(np.percentile(shown, percent)) if shown.size else 1.0


class SuperImage(QObject):
    """The layer of the super-resolved image.

    Attributes
    ----------
    drawn : Signal
        A whole table has been drawn; emitted with its choice and its rows.
    failed : Signal
        The MicroSRError that kept it from that.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    parent : QObject
        Ends with it.
    """

    drawn = Signal(object, object)
    failed = Signal(object)

    def __init__(self, viewer: "napari.viewer.Viewer", parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer: Image | None = None
        self.pyramid: Pyramid | None = None
        self._place: Callable[[float], dict[str, Any]] = lambda _: {}
        self._limits: tuple[float, float] | None = None
        self._percent = 99.5
        self._dirty = False
        # Added while a whole table is drawn that does not hold them yet.
        self._since: list[Localizations] = []
        self._latest = Latest("microsr-render", self)
        self._latest.done.connect(self._take)
        self._latest.failed.connect(self.failed)
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)

    def open(self, field: Localizations, pixel_nm: float, stack: "Image | None", name: str) -> None:
        """Begin an empty image of a field; its layer replaces a former one of this name.

        Parameters
        ----------
        field : Localizations
            A table of the field.
        pixel_nm : float
            Size of a rendered pixel.
        stack : napari.layers.Image or None
            The layer on which the image lies; None lays it at the origin, in nm.
        name : str
            Of the layer.
        """
        self._latest.forget()
        self.pyramid = pyramid = Pyramid(field, pixel_nm)
        magnification = field.pixel_nm / pyramid.pixel_nm
        place = (
            rendered_arguments(stack, magnification) if stack is not None else _in_nm(field, pyramid.pixel_nm)
        )
        for layer in [it for it in self._viewer.layers if it is self.layer or it.name == name]:
            self._viewer.layers.remove(layer)
        self._limits = (0.0, 1.0)
        self.layer = self._viewer.add_image(
            pyramid.levels,
            multiscale=True,
            name=name,
            colormap="inferno",
            contrast_limits=self._limits,
            metadata={"microsr": {"task": RenderJob.task}},
            **place,
        )
        self._timer.start()

    def add(self, rows: Localizations) -> None:
        """Count more localisations in; they are shown at the next refresh."""
        if self.pyramid is None:
            return
        self.pyramid.add(rows)
        self._dirty = True
        if self._latest.busy:
            self._since.append(rows)

    def show(self, choice: Choice, renderer: str) -> None:
        """Choose and draw rows of a table, in the background."""
        pyramid = self.pyramid
        if pyramid is not None:
            self._since = []
            self._latest.submit(lambda: _draw(pyramid, choice, renderer))

    @property
    def shown(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    @property
    def limits(self) -> tuple[float, float]:
        """The contrast in which the image is shown."""
        low, high = (0.0, 1.0) if self.layer is None else self.layer.contrast_limits
        return float(low), float(high)

    def set_percentile(self, percent: float) -> None:
        """Show what exceeds this percentile in the brightest colour."""
        self._percent = percent
        self._limits = None
        self._stretch()

    def refresh(self) -> None:
        """Show what has been added."""
        if not self._dirty:
            return
        self._dirty = False
        if not self.shown or self.layer is None:
            return
        self._stretch()
        # napari keeps the coarsest level in memory until it is given data.
        if self.layer.data_level == len(self.layer.data) - 1:
            self.layer.data = self.layer.data
        else:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _take(self, drawn: "_Drawn") -> None:
        pyramid, levels, choice, rows = drawn
        if pyramid is not self.pyramid:
            return
        # In place: the layer holds these arrays.
        for level, new in zip(pyramid.levels, levels, strict=True):
            level[:] = new
        for rows in self._since:
            pyramid.add(rows)
        self._since = []
        self._dirty = True
        self.refresh()
        self.drawn.emit(choice, rows)

    def _stretch(self) -> None:
        """Set the contrast, unless the user has set another one in napari since."""
        if self.layer is None or self.pyramid is None:
            return
        if self._limits is not None and tuple(self.layer.contrast_limits) != self._limits:
            return
        highest = percentile(self.pyramid.levels[0], self._percent)
        self.layer.contrast_limits_range = (0.0, max(10 * highest, float(self.pyramid.levels[0].max())))
        self.layer.contrast_limits = (0.0, highest)
        self._limits = (0.0, highest)


_Drawn = tuple[Pyramid, Levels, Choice, Localizations]


def _draw(pyramid: Pyramid, choice: Choice, renderer: str) -> _Drawn:
    rows = choice.rows()
    return pyramid, pyramid.draw(rows, renderer), choice, rows


def _in_nm(field: Localizations, pixel_nm: float) -> dict[str, Any]:
    """Lay the image where a stack at the origin would be."""
    place = rendered_placement(field.pixel_nm, pixel_nm)
    return {name: getattr(place, name) for name in ("scale", "translate", "units", "axis_labels")}
