"""Super-resolved images of localisations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.psf import CUT_SIGMA, expected_photons

Image = NDArray[np.float32]
#: Narrower than this [rendered px] a Gaussian is a point; wider ones, which only a failed fit gives, are cut.
SIGMA_LIMITS = (0.05, 50.0)


@dataclass(frozen=True)
class Canvas:
    """The pixels of a rendered image: a window on the field of the camera.

    Attributes
    ----------
    pixel_nm : float
        Size of a rendered pixel.
    height, width : int
        Of the window.
    top, left : int
        Its first pixel, counted from the corner of the field.

    Raises
    ------
    JobError
        If the pixel size is not positive.
    """

    pixel_nm: float
    height: int
    width: int
    top: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pixel_nm) and self.pixel_nm > 0):
            raise JobError(
                f"A rendered pixel of {self.pixel_nm} nm is impossible.",
                "Give its size in nm, for example 10.",
            )

    @classmethod
    def over(cls, table: Localizations, pixel_nm: float) -> "Canvas":
        """Cover the field of a table, to the end of its last pixel."""
        if not (np.isfinite(pixel_nm) and pixel_nm > 0):
            return cls(pixel_nm, 0, 0)
        height, width = (int(np.ceil(round(n * table.pixel_nm / pixel_nm, 6))) for n in table.shape_yx)
        return cls(pixel_nm, height, width)

    def places(self, table: Localizations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return y and x of the molecules in pixels of the window, centres at integers."""
        return (
            table.y_nm / self.pixel_nm - 0.5 - self.top,
            table.x_nm / self.pixel_nm - 0.5 - self.left,
        )

    def around(self, table: Localizations, margin_px: float) -> NDArray[np.bool_]:
        """Say which molecules lie in the window or within a margin around it."""
        y, x = self.places(table)
        return (np.abs(y - (self.height - 1) / 2) <= self.height / 2 + margin_px) & (
            np.abs(x - (self.width - 1) / 2) <= self.width / 2 + margin_px
        )


def histogram(table: Localizations, canvas: Canvas) -> Image:
    """Count the molecules of each pixel.

    Returns
    -------
    numpy.ndarray of float32, shape (height, width)
        Those outside the window are left out.
    """
    y, x = canvas.places(table)
    row, column = (np.floor(place + 0.5) for place in (y, x))
    inside = (row >= 0) & (row < canvas.height) & (column >= 0) & (column < canvas.width)
    if not inside.all():
        row, column = row[inside], column[inside]
    place = (row * canvas.width + column).astype(np.int64)
    counts = np.bincount(place, minlength=canvas.height * canvas.width)
    image: Image = counts.reshape(canvas.height, canvas.width).astype(np.float32)
    return image


def gaussian(table: Localizations, canvas: Canvas) -> Image:
    """Draw each molecule as a Gaussian of its uncertainty, integrated over the pixels; its sum is 1.

    Raises
    ------
    InputError
        If the table has no uncertainties.
    """
    sigma = _sigma(table, canvas)
    near = canvas.around(table, float(CUT_SIGMA * sigma.max(initial=0)))
    y, x = (place[near] for place in canvas.places(table))
    shape = (canvas.height, canvas.width)
    frame, one = np.zeros(len(x), int), np.ones(len(x))
    image: Image = expected_photons(frame, x, y, one, sigma[near], n_frames=1, shape_yx=shape)[0]
    return image


def average_shifted_histogram(table: Localizations, canvas: Canvas, shifts: int = 4) -> Image:
    """Average histograms of wider bins that are shifted by one pixel each.

    Scott, Annals of Statistics 13, 1024 (1985). Bins are `shifts` pixels wide; the mean of all their
    shifted histograms is the fine histogram, weighted with a triangle along both axes.
    """
    margin = shifts - 1
    wide = Canvas(
        canvas.pixel_nm,
        canvas.height + 2 * margin,
        canvas.width + 2 * margin,
        canvas.top - margin,
        canvas.left - margin,
    )
    image = histogram(table, wide)
    triangle = (1 - np.abs(np.arange(-margin, margin + 1)) / shifts) / shifts
    for axis in (0, 1):
        image = convolve1d(image, triangle, axis=axis, mode="constant")
    inner: Image = image[margin : margin + canvas.height, margin : margin + canvas.width]
    return np.ascontiguousarray(inner)


def density(table: Localizations, canvas: Canvas) -> Image:
    """Return the mean number of molecules per µm² and frame; it wants pixels of about 1000 nm.

    Returns
    -------
    numpy.ndarray of float32, shape (height, width)
        Pixels that stand out over the field have the density of whole pixels.
    """
    image: Image = histogram(table, canvas) / np.float32(
        (canvas.pixel_nm / 1000) ** 2 * max(table.n_frames, 1)
    )
    return image


#: What an image can show, by the name in a job.
RENDERERS: dict[str, Callable[[Localizations, Canvas], Image]] = {
    "histogram": histogram,
    "gaussian": gaussian,
    "ash": average_shifted_histogram,
    "density": density,
}


def reach_px(table: Localizations, canvas: Canvas, renderer: str) -> float:
    """Return how many rendered pixels outside a window a molecule can still change it."""
    if renderer == "gaussian":
        return float(CUT_SIGMA * _sigma(table, canvas).max(initial=0)) + 1
    return 4.0 if renderer == "ash" else 0.5


def _sigma(table: Localizations, canvas: Canvas) -> NDArray[Any]:
    """Uncertainty in rendered pixels; rows without one count as the median of the others."""
    sigma: NDArray[Any] = table.uncertainty_nm / canvas.pixel_nm
    known = np.isfinite(sigma)
    if len(sigma) and not known.any():
        raise InputError(
            "The table has no uncertainties, which the Gaussian renderer draws.",
            "Choose the renderer histogram or ash.",
        )
    if not known.all():
        sigma = np.where(known, sigma, np.median(sigma[known]))
    clipped: NDArray[Any] = np.clip(sigma, *SIGMA_LIMITS)
    return clipped
