"""How close an image is to the truth.

The functions take whole images; `MEASURES` are the same block by block, for images of any size.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.superres.metrics import perceptual, spectra, structure
from napari_microsr.superres.metrics.errors import Errors
from napari_microsr.superres.metrics.window import Measure, Pair

Image = NDArray[np.generic]


@dataclass(frozen=True)
class Figure:
    """What a figure is called, and which is the better one.

    Attributes
    ----------
    title : str
        With its unit.
    better : {"higher", "lower"}
        Which value is.
    smallest_px : int
        Smallest side of an image that has it.
    digits : int
        After the point, in tables.
    meaning : str
        One sentence.
    """

    title: str
    better: Literal["higher", "lower"]
    smallest_px: int
    digits: int
    meaning: str


FIGURES: dict[str, Figure] = {
    "psnr_db": Figure(
        "PSNR (dB)", "higher", 1, 2, "Peak signal to noise: 10 lg(range² / mean squared error)."
    ),
    "ssim": Figure("SSIM", "higher", structure.SIDE_PX, 4, "Structural similarity in windows of 7 pixels."),
    "ms_ssim": Figure(
        "MS-SSIM",
        "higher",
        structure.SMALLEST_PX,
        4,
        "Structural similarity of the brightness at five scales.",
    ),
    "relative_mse": Figure(
        "rel. MSE", "lower", 1, 5, "Sum of squared errors over the sum of the truth's squares, as PlacentaSR."
    ),
    "gmsd": Figure("GMSD", "lower", perceptual.GMSD_PX, 4, "How unevenly the gradients agree."),
    "haarpsi": Figure(
        "HaarPSI", "higher", perceptual.HAARPSI_PX, 4, "Perceptual similarity of Haar wavelets."
    ),
    "spectrum_db": Figure(
        "spectrum (dB)", "lower", spectra.SMALLEST_PX, 2, "Mean distance of the two power spectra."
    ),
    "frc_px": Figure(
        "FRC (px)",
        "lower",
        spectra.SMALLEST_PX,
        2,
        "Finest detail that agrees with the truth (1/7); 2 is the limit.",
    ),
}


def make_measures(height: int, width: int) -> list[Measure]:
    """Return the measures that an image of this size is large enough for; see `FIGURES`."""
    size = min(height, width)
    measures: list[Measure] = [Errors()]
    for smallest, make in (
        (structure.SIDE_PX, structure.Ssim),
        (structure.SMALLEST_PX, structure.MultiScaleSsim),
        (perceptual.GMSD_PX, perceptual.Gmsd),
        (perceptual.HAARPSI_PX, perceptual.HaarPsi),
    ):
        if size >= smallest:
            measures.append(make())
    if size >= spectra.SMALLEST_PX:
        measures.append(spectra.Spectra(spectra.tile_px(height), spectra.tile_px(width)))
    return measures


def crop_rim(image: Image, rim: int) -> Image:
    """Return (H, W[, C]) without `rim` pixels at each side, which edge handling dominates."""
    if min(image.shape[:2]) <= 2 * rim:
        raise InputError(
            f"An image of {image.shape[0]} x {image.shape[1]} pixels has no inside of a rim of {rim} pixels.",
            "Compare larger images.",
        )
    return image[rim:-rim, rim:-rim] if rim else image


def psnr(image: Image, truth: Image, data_range: float = 255.0) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and channels.

    Infinite for identical images. Like all figures here it is NaN where a pixel is not finite.

    Parameters
    ----------
    image, truth : numpy.ndarray, shape (H, W[, C])
        Of any real type.
    data_range : float
        Difference of white and black.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    return _whole(Errors(), "psnr_db", image, truth, data_range)


def relative_mse(image: Image, truth: Image) -> float:
    """Return sum((image - truth)^2) / sum(truth^2), as PlacentaSR does.

    It depends on where black lies: twice the offset of a camera makes it smaller.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    return _whole(Errors(), "relative_mse", image, truth, 255.0)


def ssim(image: Image, truth: Image, data_range: float = 255.0) -> float:
    """Return the mean structural similarity of (H, W[, C]).

    Window 7 x 7, mean over channels, the value of scikit-image (Wang et al., IEEE Trans. Image Process. 13
    (2004) 600).

    Raises
    ------
    InputError
        If the shapes differ or a side is below 7 pixels.
    """
    return _whole(structure.Ssim(), "ssim", image, truth, data_range)


def ms_ssim(image: Image, truth: Image, data_range: float = 255.0) -> float:
    """Return the structural similarity of the luminance at five scales.

    Wang, Simoncelli and Bovik, 37th Asilomar Conf. Signals, Systems and Computers (2003) 1398.

    Raises
    ------
    InputError
        If the shapes differ or a side is below 176 pixels.
    """
    return _whole(structure.MultiScaleSsim(), "ms_ssim", image, truth, data_range)


def gmsd(image: Image, truth: Image, data_range: float = 255.0) -> float:
    """Return the gradient magnitude similarity deviation, 0 for identical images.

    Xue et al., IEEE Trans. Image Process. 23 (2014) 684.

    Raises
    ------
    InputError
        If the shapes differ or a side is below 8 pixels.
    """
    return _whole(perceptual.Gmsd(), "gmsd", image, truth, data_range)


def haarpsi(image: Image, truth: Image, data_range: float = 255.0) -> float:
    """Return the Haar wavelet-based perceptual similarity index, 1 for identical images.

    Reisenhofer et al., Signal Process. Image Commun. 61 (2018) 33. NaN where neither image has structure.

    Raises
    ------
    InputError
        If the shapes differ or a side is below 16 pixels.
    """
    return _whole(perceptual.HaarPsi(), "haarpsi", image, truth, data_range)


def _whole(measure: Measure, name: str, image: Image, truth: Image, data_range: float) -> float:
    """Measure an image as one block."""
    if image.shape != truth.shape:
        raise InputError(
            f"The images differ in shape: {image.shape} and {truth.shape}.",
            "Compare images of the same size and channels.",
        )
    height, width = image.shape[:2]
    figure = FIGURES[name]
    if min(height, width) < figure.smallest_px:
        raise InputError(
            f"{figure.title} needs images of at least {figure.smallest_px} x {figure.smallest_px} pixels, "
            f"not {height} x {width}.",
            "Compare larger images.",
        )
    a, b = (_planes(values) for values in (image, truth))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    measure.add(Pair(a, b, height, width, 0.0, data_range))
    return measure.figures()[name]


def _planes(image: Image) -> NDArray[Any]:
    """Return (H, W[, C]) as (C, H, W)."""
    return np.moveaxis(np.atleast_3d(image).astype(np.float64), 2, 0)
