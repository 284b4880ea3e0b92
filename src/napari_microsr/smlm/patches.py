"""One patch of a frame for training: PSF, emitters, background and camera, all drawn anew."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]
#: Columns of a target, one row per emitter; present is 1 or 0.
TARGET_COLUMNS = ("present", "x", "y", "log_photons", "log_sigma")
#: Emitters beyond the patch whose light reaches into it, in PSF sigmas.
MARGIN_SIGMAS = 3.0
#: Emitters below this many times the noise under them are light, but nothing to be found.
FAINTEST = 2.0


@dataclass(frozen=True)
class TrainingRanges:
    """From which frames are drawn; a network answers for these ranges and no others.

    Attributes
    ----------
    sigma_px, photons, background, density_um2, read_noise : tuple of float
        Smallest and largest: PSF sigma, photons per emitter and per pixel (detected, divided by the camera's
        excess noise factor), emitters per square micrometre and rms electrons.
    psf_nm : float
        Sigma of a usual PSF: with `sigma_px` it tells how large a pixel is, and the density per pixel.
    typical : float
        Share of frames near the middle of the ranges: sigma 0.95-1.2 px, background 8-50, photons 80-2050;
        those of an EM camera half as bright.
    em : float
        Share of frames with the noise of an EM register.
    structured : float
        Share of frames whose background has a slope and blobs.
    """

    sigma_px: tuple[float, float] = (0.8, 1.8)
    photons: tuple[float, float] = (50.0, 10000.0)
    background: tuple[float, float] = (0.2, 250.0)
    density_um2: tuple[float, float] = (0.0, 8.0)
    read_noise: tuple[float, float] = (0.0, 3.0)
    psf_nm: float = 106.0
    typical: float = 0.5
    em: float = 0.2
    structured: float = 0.5


class Patch:
    """One patch: its PSF, emitters, background and camera.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all that is drawn.
    ranges : TrainingRanges
        From which.
    side : int
        In pixels; a multiple of 4.
    """

    def __init__(self, rng: np.random.Generator, ranges: TrainingRanges, side: int) -> None:
        self.rng, self.side = rng, side
        typical = rng.random() < ranges.typical
        self.sigma_px = rng.uniform(0.95, 1.2) if typical else _log_uniform(rng, *ranges.sigma_px)
        self.em = rng.random() < ranges.em
        # Photons come divided by the excess noise factor: the usual frame of an EM camera is half as bright.
        self.scale = 0.5 if self.em else 1.0
        usual = self.scale * _log_uniform(rng, 8.0, 50.0)
        level = usual if typical else _log_uniform(rng, *ranges.background)
        self.background = self._background(level, rng.random() < ranges.structured)
        read = ranges.read_noise
        self.read_noise = 0.0 if rng.random() < 0.4 else rng.uniform(*read)
        self._draw_emitters(ranges, typical)

    def _background(self, level: float, structured: bool) -> Array:
        rng, at = self.rng, np.arange(self.side) / self.side - 0.5
        shape = np.ones((self.side, self.side))
        if structured:
            slope = rng.uniform(0, 1.6) * np.exp(2j * np.pi * rng.random())
            shape += slope.real * at[:, None] + slope.imag * at
            for _ in range(rng.integers(0, 4)):
                y, x = rng.uniform(-0.6, 0.6, 2)
                width = _log_uniform(rng, 3.0, 12.0) * self.sigma_px / self.side
                bump = np.exp(-((at[:, None] - y) ** 2 + (at - x) ** 2) / (2 * width**2))
                shape += rng.uniform(-0.5, 1.5) * bump
        return level * shape.clip(0.05)

    def _draw_emitters(self, ranges: TrainingRanges, typical: bool) -> None:
        rng, margin = self.rng, MARGIN_SIGMAS * self.sigma_px
        pixel_um = 1e-3 * ranges.psf_nm / self.sigma_px
        density = rng.uniform(*ranges.density_um2) * (rng.random() > 0.05)
        if rng.random() < 0.25:
            density *= rng.random() ** 2
        n = rng.poisson(density * (pixel_um * (self.side + 2 * margin)) ** 2)
        # Pixel centres are integers.
        self.y, self.x = rng.uniform(-0.5 - margin, self.side - 0.5 + margin, (2, n))
        if typical:
            photons = self.scale * rng.uniform(80.0, 2050.0, n)
        else:
            brightest = _log_uniform(rng, 8 * ranges.photons[0], ranges.photons[1])
            photons = brightest * rng.uniform(0.04, 1.0, n)
        self.photons = photons.clip(*ranges.photons)
        # Some stacks have one PSF, in others depth and drift of the focus widen it molecule by molecule.
        self.sigma = self.sigma_px * (1 + rng.uniform(0, 0.2) * rng.uniform(-1, 1, n))
        self.told_sigma_px = self.sigma_px * rng.uniform(0.87, 1.15)

    def frame(self) -> NDArray[np.float32]:
        """Return the three input planes (3, H, W)."""
        rng = self.rng
        # A part of the light of a real PSF lies in a wide skirt that a Gaussian does not have.
        skirt = rng.uniform(0, 0.2) if rng.random() < 0.4 else 0.0
        mean = self.background + self._spots((1 - skirt) * self.photons, self.sigma)
        if skirt:
            mean = mean + self._spots(skirt * self.photons, 2.2 * self.sigma)
        if self.em:
            # Two photons of an EM camera carry as much as one of another: the variance is twice the mean.
            photons = rng.gamma(np.maximum(rng.poisson(2 * mean), 1e-9)) / 2
        else:
            photons = rng.poisson(mean).astype(np.float64)
        pixels = rng.lognormal(0, 0.3, mean.shape) if rng.random() < 0.3 else np.ones_like(mean)
        noise = self.read_noise * pixels
        photons += rng.normal(size=mean.shape) * noise
        log_sigma = np.full_like(mean, np.log(self.told_sigma_px))
        return np.stack([photons, noise**2, log_sigma]).astype(np.float32)

    def _spots(self, photons: Array, sigma: Array) -> Array:
        edges = np.arange(self.side + 1) - 0.5
        width = np.sqrt(2) * sigma[:, None]
        light_y = np.diff(erf((edges - self.y[:, None]) / width), axis=1) / 2
        light_x = np.diff(erf((edges - self.x[:, None]) / width), axis=1) / 2
        spots: Array = (photons[:, None] * light_y).T @ light_x
        return spots

    def target(self, rows: int) -> NDArray[np.float32]:
        """Return the emitters to be found and the background, see `losses.emitter_loss`."""
        low, high = -0.5, self.side - 0.5
        noise = np.sqrt(4 * np.pi * self.sigma**2 * (np.median(self.background) + self.read_noise**2 + 0.1))
        wanted = (self.x > low) & (self.x < high) & (self.y > low) & (self.y < high)
        wanted &= self.photons > FAINTEST * noise
        columns = [np.ones_like(self.x), self.x, self.y, np.log(self.photons), np.log(self.sigma)]
        emitters = np.stack(columns, 1)[wanted][:rows]
        target = np.zeros((2, rows, len(TARGET_COLUMNS)), np.float32)
        target[0, : len(emitters)] = emitters
        blocks = np.log(self.background).reshape(self.side // 4, 4, self.side // 4, 4).mean((1, 3))
        target[1, : blocks.size, 0] = blocks.ravel()
        return target


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
