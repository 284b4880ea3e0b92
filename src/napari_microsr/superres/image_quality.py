"""How blurred and how noisy an image is, estimated from the image alone."""

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.superres.normalise import measure

Array = NDArray[Any]
#: What benchmarks/image_quality.py fitted on sharp images that were blurred and made noisy.
CONSTANTS = Path(__file__).with_name("image_quality.json")
#: Side of the squares whose band energies are compared.
SQUARE_PX = 16
#: An image, or a block of it, of less than this says too little.
SMALLEST_PX = 64
#: Pixels that are looked at, and how many blocks of them, those of the most contrast, are measured.
SAMPLE_PX = 2_000_000
BLOCKS = 10
#: Widths of the Gaussians between which the bands lie, in pixels.
SCALES_PX = (0.8, 1.6, 3.2)
PERCENTS = (10, 50, 90)
#: The second difference along both axes, of gain 1 for white noise (Immerkær, CVIU 64 (1996) 300, eq. 1).
_FINEST = np.outer((1, -2, 1), (1, -2, 1)) / 6.0
#: Share of clipped pixels above which a square says nothing of noise.
_CLIPPED = 0.1
#: Standard deviation below which a block says nothing at all.
_CONTRAST = 0.01
_FLOOR = 1e-3
#: Added to the noise before its logarithm is fitted.
NOISE_FLOOR = 0.003
#: The constants hold up to here.
LARGEST_BLUR_PX, LARGEST_NOISE = 3.0, 0.15


@dataclass(frozen=True)
class Quality:
    """What keeps an image from being sharp and clean.

    Attributes
    ----------
    blur_px : float
        Standard deviation of a Gaussian blur in pixels of the image; 0 is as sharp as a sharp image that was
        reduced by 2.
    noise : float
        Standard deviation of white noise as a share of the image's intensity range (network units).
    """

    blur_px: float
    noise: float

    def __str__(self) -> str:
        return f"blur {self.blur_px:.2g} px, noise {100 * self.noise:.2g} % of the intensity range"


def estimate(source: ImageSource) -> Quality | None:
    """Estimate blur and noise of an image from a sample of its blocks.

    The energies of four bands, in squares of little, middling and much detail, are put into a polynomial of
    the second degree. It was fitted on real images with known blur and noise, separately for colour and
    single channels, and is rounded to what it can tell: 0.05 px and 0.1 %.

    Parameters
    ----------
    source : ImageSource
        The image.

    Returns
    -------
    Quality or None
        None for an image that is too small or too empty to tell.
    """
    found = features(source)
    if found is None:
        return None
    fitted = _constants()["rgb" if source.rgb else "single"]
    terms = polynomial((found - fitted["mean"]) / fitted["spread"])
    blur_px = float(np.clip(terms @ fitted["blur_px"], 0, LARGEST_BLUR_PX))
    noise = float(np.clip(10 ** (terms @ fitted["log_noise"]) - NOISE_FLOOR, 0, LARGEST_NOISE))
    return Quality(round(20 * blur_px) / 20, round(noise, 3))


def given_or_estimated(source: ImageSource, blur_px: float | None, noise: float | None) -> Quality | None:
    """Return blur and noise as they are known, and the estimate of what is None."""
    if blur_px is not None and noise is not None:
        return Quality(blur_px, noise)
    found = estimate(source)
    if found is None:
        return None
    return Quality(found.blur_px if blur_px is None else blur_px, found.noise if noise is None else noise)


def features(source: ImageSource) -> NDArray[np.float64] | None:
    """Return the logarithms of the band energies that `estimate` judges by, 12 numbers; None as there."""
    known = measure(source, "range" if source.rgb else "percentile")
    blocks: list[tuple[float, int, Array]] = []
    for channel, block in source.sample(SAMPLE_PX):
        if min(block.shape[1:]) < SMALLEST_PX or not np.isfinite(block).all():
            continue
        low, high = known.low[channel], known.high[channel]
        units = (block.astype(np.float32) - low) / (high - low)
        blocks.append((float(units.std()), channel, units))
        blocks = sorted(blocks, key=lambda it: -it[0])[:BLOCKS]
    if not blocks or blocks[0][0] < _CONTRAST:
        return None
    energies = defaultdict(list)
    for _, channel, units in blocks:
        for sample, plane in enumerate(units):
            energies[channel, sample].append(_band_energies(plane, clips=source.rgb))
    planes = (np.concatenate(found, axis=1) for found in energies.values())
    rows = [np.log10(np.percentile(plane, PERCENTS, axis=1).T + _FLOOR).ravel() for plane in planes]
    result: NDArray[np.float64] = np.mean(rows, axis=0)
    return result


def polynomial(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, the values, and all their products by two; values are cut off at 4 standard deviations."""
    z = np.clip(values, -4, 4)
    rows, cols = np.triu_indices(len(z))
    return np.concatenate([[1.0], z, z[rows] * z[cols]])


def _band_energies(plane: NDArray[np.float32], *, clips: bool) -> Array:
    """Return the root mean square of four bands, the finest first, in each square: (4, squares)."""
    from scipy.ndimage import convolve, gaussian_filter

    smooth = [plane, *(gaussian_filter(plane, scale, truncate=3) for scale in SCALES_PX)]
    bands = [convolve(plane, _FINEST.astype(np.float32))]
    bands += [fine - coarse for fine, coarse in pairwise(smooth)]
    energies = np.stack([np.sqrt(_squares(band**2)) for band in bands])
    if clips:
        # White glass and black ink are cut off by the camera, and their noise with them.
        kept = _squares(((plane <= 0.002) | (plane >= 0.998)).astype(np.float32)) < _CLIPPED
        if kept.sum() >= 4:
            energies = energies[:, kept]
    return energies


def _squares(plane: Array) -> Array:
    """Return the mean of each whole square."""
    height, width = (side // SQUARE_PX for side in plane.shape)
    whole = plane[: height * SQUARE_PX, : width * SQUARE_PX]
    mean: Array = whole.reshape(height, SQUARE_PX, width, SQUARE_PX).mean(axis=(1, 3)).ravel()
    return mean


@cache
def _constants() -> dict[str, dict[str, NDArray[np.float64]]]:
    content = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    return {kind: {name: np.array(values) for name, values in it.items()} for kind, it in content.items()}
