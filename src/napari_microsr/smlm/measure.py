"""What a stack tells about itself: whether it can be localised, its offset, its PSF, its range of light."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, JobError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.finders import equalise
from napari_microsr.smlm.fit import fit_frame
from napari_microsr.smlm.stream import read_frames

SAMPLED_FRAMES = 24
#: Saturated pixels: the fewest places, how many times as many as of a value below, and how many values below.
FEWEST_PLACES, TIMES_BELOW, VALUES_BELOW = 4, 3, 10
#: Converters of cameras end at these counts; there two places are enough.
FULL_WELLS = tuple(2**bits - 1 for bits in (10, 12, 14, 16))
#: Only spots so significant show the PSF, and only so many of them.
CLEAR, FEWEST = 12.0, 10


@dataclass(frozen=True)
class Ranges:
    """For what a method is made; smallest and largest.

    Attributes
    ----------
    sigma_px : tuple of float
        PSF sigma.
    photons : tuple of float
        Of an emitter in a frame.
    background : tuple of float
        Photons per pixel.
    """

    sigma_px: tuple[float, float]
    photons: tuple[float, float]
    background: tuple[float, float]


def check_stack(source: ImageSource) -> None:
    """Refuse an image that is no stack of camera frames.

    Raises
    ------
    InputError
        If it is RGB or has more than one axis of frames.
    """
    if source.rgb:
        raise InputError(
            f"{source.name} is an RGB image, not frames of a camera.", "Give the stack as it was recorded."
        )
    if sum(size > 1 for size in source.plane_shape) > 1:
        sizes = " × ".join(map(str, source.plane_shape))
        raise InputError(
            f"{source.name} has frames along several axes ({source.plane_axes}: {sizes}).",
            "Give one channel, or one position, as a stack of its own.",
        )


def sample_frames(source: ImageSource, frames: range, most: int = SAMPLED_FRAMES) -> NDArray[Any]:
    """Read frames at equal distances, at most `most` (n, H, W)."""
    number = min(most, len(frames))
    chosen = np.linspace(0, len(frames) - 1, number).round().astype(int)
    return np.concatenate([read_frames(source, frames[i : i + 1]) for i in chosen])


def measure_sigma(photons: NDArray[np.float32], camera: Camera) -> float | None:
    """Return the PSF's sigma in pixels from clear spots; None where there are too few.

    Of dense spots many are two in one and wider. The middle of the shortest interval that holds half of the
    widths (the shorth: Andrews et al., Robust Estimates of Location, 1972) stays with the single ones.
    """
    widths: list[float] = []
    for frame in photons:
        equal, read = equalise(frame, camera)
        spots, significance = fit_frame(equal, read, 1.2, 8.0)
        widths.extend(spots.sigma_px[significance > CLEAR])
    if len(widths) < FEWEST:
        return None
    ordered = np.sort(widths)
    half = len(ordered) // 2
    start = int(np.argmin(ordered[half:] - ordered[:-half]))
    return float((ordered[start] + ordered[start + half]) / 2)


def saturates(counts: NDArray[Any]) -> bool:
    """Say whether the highest count of frames (n, H, W) is where the camera ends, not where the light does.

    The brighter, the rarer: where the highest value is far more frequent than the values below it, it stands
    for all that should be brighter. So a camera of 12 bits is noticed in a file of 16.
    """
    highest = counts.max()
    places = int((counts == highest).any(0).sum())
    if counts.dtype.kind == "u" and highest == np.iinfo(counts.dtype).max:
        return True
    if highest in FULL_WELLS and places > 1:
        return True
    # Enough of the brightest pixels to look at, not all.
    brightest = counts[counts > np.quantile(counts, 0.99)] if counts.size > 10_000 else counts
    _, frequency = np.unique(brightest, return_counts=True)
    below = frequency[-1 - VALUES_BELOW : -1]
    return bool(
        places >= FEWEST_PLACES and len(below) == VALUES_BELOW and frequency[-1] > TIMES_BELOW * below.max()
    )


def check_offset(photons: NDArray[np.float32], camera: Camera) -> None:
    """Refuse frames (n, H, W) most of whose pixels would have less than no light.

    Raises
    ------
    JobError
        If the offset must be wrong: every position and every photon number would be.
    """
    middle = float(np.median(photons))
    if middle < -1 - float(np.sqrt(np.mean(camera.read_variance))):
        raise JobError(
            f"With an offset of {np.mean(camera.offset):g} counts most pixels have less than no light "
            f"({middle:.0f} photons).",
            "Give the counts of a dark pixel as the offset, or leave it empty to have it estimated.",
        )


def doubts(
    counts: NDArray[Any], photons: NDArray[np.float32], sigma_px: float, ranges: Ranges, name: str
) -> list[str]:
    """Say what speaks against the frames or the numbers given for them, one sentence each.

    Parameters
    ----------
    counts, photons : numpy.ndarray, shape (n, H, W)
        Sampled frames before and after the camera's correction.
    sigma_px : float
        Of the PSF.
    ranges : Ranges
        For what the method is made.
    name : str
        Of the method.
    """
    said = []
    if counts.min() == counts.max():
        said.append(f"All pixels are {counts.flat[0]}: there is nothing to localise.")
    elif saturates(counts):
        highest = counts.max()
        said.append(
            f"{100 * np.mean(counts == highest):.2g} % of the pixels have the highest count, {highest:g}: "
            "the camera is saturated there, and positions are wrong."
        )
    dark, level = np.quantile(photons, (0.01, 0.3))
    if dark < -3 * np.sqrt(max(level, 1.0)) - 1:
        said.append(f"The darkest pixels have {dark:.0f} photons: the offset seems too large.")
    for what, value, (low, high), unit in (
        ("a PSF sigma", sigma_px, ranges.sigma_px, "px"),
        ("a background", float(level), ranges.background, "photons per pixel"),
    ):
        if not low <= value <= high:
            said.append(
                f"{name} is made for {what} of {low:g} to {high:g} {unit}, and here it is {value:.3g}."
            )
    return said


def photon_doubts(photons: NDArray[np.float32], ranges: Ranges, name: str) -> list[str]:
    """Say whether the emitters found are as bright as the method is made for."""
    low, high = ranges.photons
    if len(photons) < 20 or low <= np.median(photons) <= high:
        return []
    return [
        f"{name} is made for emitters of {low:g} to {high:g} photons, and the median here is "
        f"{np.median(photons):.0f}: check offset and gain."
    ]
