"""A microscope that is simulated: what lens, lamp and camera make of the pixels of a specimen.

An image is real scan pixels, blurred by the objective and by defocus, resampled at any angle and pixel size,
and recorded with a colour cast, gamma, vignette, noise and JPEG compression. The resampling is bicubic, by
OpenCV where it is installed and by scipy's splines where not: slower, and the same within the noise.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil, hypot

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from napari_microsr.registration.geometry import Matrix, apply

Pixels = NDArray[np.uint8]

WAVELENGTH_UM = 0.55
_NOISE = 1_000_000


@dataclass(frozen=True)
class Objective:
    """An objective with a camera behind it.

    Attributes
    ----------
    um : float
        Nominal size of a pixel in the specimen.
    na : float
        Numerical aperture.
    """

    um: float
    na: float

    def blur_um(self, defocus_um: float = 0.0) -> float:
        """Return the sigma of the Gaussian that stands for the PSF: 0.21 λ/NA, and the defocus."""
        return hypot(0.21 * WAVELENGTH_UM / self.na, defocus_um)


FOUR = Objective(0.6, 0.10)
TEN = Objective(0.24, 0.25)
FORTY = Objective(0.06, 0.65)


@dataclass(frozen=True)
class Light:
    """What lamp and camera make of an image: out = 255 (in/255)^gamma · gain · (1 - vignette r²) + noise.

    Attributes
    ----------
    gain : tuple of float
        Per channel.
    gamma, vignette, noise : float
        Exponent; loss of light at r = 1, the corner of a centred vignette; standard deviation in grey levels.
    centre_yx : tuple of float
        Where the vignette is centred, as a share of height and width.
    jpeg : int
        Quality of the compression.
    channels : tuple of int
        Which channel of the specimen each channel of the camera shows.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    vignette: float = 0.0
    centre_yx: tuple[float, float] = (0.5, 0.5)
    noise: float = 0.0
    jpeg: int = 90
    channels: tuple[int, int, int] = (0, 1, 2)


def mild(rng: Generator) -> Light:
    """Draw what a well-kept microscope gives: hardly any colour cast, little noise."""
    return Light(_three(rng, 0.96, 1.03), rng.uniform(0.95, 1.05), 0.15, (0.5, 0.5), 1.5, 90)


def strong(rng: Generator) -> Light:
    """Draw a camera with its own white balance, gamma, vignette and noise."""
    centre = (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6))
    vignette, noise = rng.uniform(0.05, 0.3), rng.uniform(2, 6)
    gamma, jpeg = rng.uniform(0.75, 1.35), int(rng.integers(75, 93))
    return Light(_three(rng, 0.85, 1.08), gamma, vignette, centre, noise, jpeg)


def wild(rng: Generator) -> Light:
    """Draw colours that have little to do with the specimen's: channels swapped, strong gamma, much noise."""
    centre = (rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7))
    gamma, jpeg = float(np.exp(rng.uniform(np.log(0.5), np.log(2)))), int(rng.integers(75, 93))
    a, b, c = (int(i) for i in rng.permutation(3))
    return Light(_three(rng, 0.6, 1.1), gamma, rng.uniform(0.3, 0.6), centre, 15, jpeg, (a, b, c))


def _three(rng: Generator, low: float, high: float) -> tuple[float, float, float]:
    a, b, c = rng.uniform(low, high, 3)
    return float(a), float(b), float(c)


def observe(
    specimen: Pixels,
    um: float,
    to_specimen: Matrix,
    shape_yx: tuple[int, int],
    blur_um: float,
    light: Light,
    rng: Generator,
    *,
    reflect: bool = True,
) -> Pixels:
    """Return what the camera records.

    Parameters
    ----------
    specimen : array of shape (height, width, 3), uint8
        As sharp as there is.
    um : float
        Size of its pixels.
    to_specimen : array of shape (3, 3)
        Pixel (y, x, 1) of the image to pixel of the specimen.
    shape_yx : tuple of int
        Height and width of the image.
    blur_um : float
        Sigma of the blur, see `Objective.blur_um`.
    light, rng
        What lamp and camera do, and their noise.
    reflect : bool
        Whether the specimen is reflected at its edges; its outermost pixels are repeated otherwise.

    Returns
    -------
    array of shape (height, width, 3), uint8
    """
    sigma = blur_um / um
    patch, origin = _surroundings(specimen, to_specimen, shape_yx, ceil(4 * sigma) + 3, reflect)
    shifted = to_specimen.copy()
    shifted[:2, 2] -= origin
    resample = _resample_opencv if find_spec("cv2") else _resample_scipy
    return _record(resample(patch, sigma, shifted, shape_yx), light, rng)


def _surroundings(
    pixels: Pixels, matrix: Matrix, shape_yx: tuple[int, int], margin: int, reflect: bool
) -> tuple[Pixels, NDArray[np.int64]]:
    """Cut out what an image shows and a margin, with the first row and column of the cut."""
    h, w = shape_yx
    seen = apply(matrix, np.array([[0, 0], [0, w - 1], [h - 1, 0], [h - 1, w - 1]], dtype=np.float64))
    first = np.floor(seen.min(0)).astype(np.int64) - margin
    last = np.ceil(seen.max(0)).astype(np.int64) + margin
    rows, cols = (
        _inside(np.arange(a, b + 1), n, reflect)
        for a, b, n in zip(first, last, pixels.shape[:2], strict=True)
    )
    return pixels[np.ix_(rows, cols)], first


def _inside(index: NDArray[np.int64], size: int, reflect: bool) -> NDArray[np.int64]:
    if not reflect:
        return np.clip(index, 0, size - 1)
    folded = index % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _resample_opencv(patch: Pixels, sigma: float, matrix: Matrix, shape_yx: tuple[int, int]) -> Pixels:
    import cv2

    swap = [1, 0, 2]  # OpenCV counts (x, y, 1)
    blurred = cv2.GaussianBlur(patch, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved: Pixels = cv2.warpAffine(blurred, matrix[np.ix_(swap, swap)][:2], shape_yx[::-1], flags=how)
    return moved


def _resample_scipy(patch: Pixels, sigma: float, matrix: Matrix, shape_yx: tuple[int, int]) -> Pixels:
    from scipy import ndimage

    moved = np.empty((*shape_yx, 3), np.uint8)
    for channel in range(3):
        plane = ndimage.gaussian_filter(patch[..., channel].astype(np.float32), sigma, mode="nearest")
        smooth = ndimage.affine_transform(plane, matrix[:2, :2], matrix[:2, 2], shape_yx, mode="nearest")
        moved[..., channel] = np.clip(np.rint(smooth), 0, 255)
    return moved


def _record(image: Pixels, light: Light, rng: Generator) -> Pixels:
    """Let lamp and camera do their part."""
    from imagecodecs import jpeg8_decode, jpeg8_encode

    h, w = image.shape[:2]
    tone = 255 * (np.arange(256) / 255) ** light.gamma
    table = np.stack([tone * gain for gain in light.gain]).astype(np.float32)
    y = ((np.arange(h) - light.centre_yx[0] * (h - 1)) ** 2)[:, None]
    x = (np.arange(w) - light.centre_yx[1] * (w - 1)) ** 2
    shade = (1 - light.vignette * (y + x) / ((h / 2) ** 2 + (w / 2) ** 2)).astype(np.float32)
    seen = np.empty_like(image)
    # One drawing of noise serves many times, each time from another value on. Half a grey level rounds.
    noise = rng.standard_normal(_NOISE + w, dtype=np.float32) * np.float32(light.noise) + np.float32(0.5)
    height = max(1, _NOISE // 4 // w)
    for channel, source in enumerate(light.channels):
        for top in range(0, h, height):
            rows = slice(top, top + height)
            lit = table[channel][image[rows, :, source]]
            lit *= shade[rows]
            start = rng.integers(len(noise) - lit.size + 1)
            lit += noise[start : start + lit.size].reshape(lit.shape)
            seen[rows, :, channel] = np.clip(lit, 0, 255, out=lit)
    compressed: Pixels = jpeg8_decode(jpeg8_encode(seen, level=light.jpeg))
    return compressed
