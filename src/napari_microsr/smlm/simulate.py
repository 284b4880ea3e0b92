"""Simulated frames with their truth: emitters, background and camera."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import JobError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.psf import Psf, expected_photons

Range = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What a frame shows. Ranges are (lowest, highest).

    The defaults are those of DSIR's training data: 80 to 2050 photons, a PSF 200 to 300 nm wide at half
    height, 2 emitters per µm² on a background of 20.

    Attributes
    ----------
    density_um2 : tuple of float
        Emitters per µm², drawn uniformly for each frame; their number is Poisson.
    photons : tuple of float
        Photons of an emitter in a frame.
    photons_distribution : str
        How they are drawn for each emitter.
    sigma_px : tuple of float
        Standard deviation of the PSF [px], drawn uniformly for each frame.
    sigma_spread : float
        Each emitter's differs from its frame's by up to this share, uniformly.
    background : tuple of float
        Photons per pixel, drawn log-uniformly for each frame.
    gradient : float
        The background rises across the field, in a random direction, by up to this share of its mean, 0 to 2.
    pixel_nm : float
        Size of a pixel.
    margin_px : float
        Emitters lie also in a margin around the field. They shed light, and are no part of the truth.
    psf : str
        See `expected_photons`.
    defocus : float
        See `expected_photons`.
    """

    density_um2: Range = (2.0, 2.0)
    photons: Range = (80.0, 2050.0)
    photons_distribution: Literal["uniform", "log-uniform"] = "uniform"
    sigma_px: Range = (250 / 235.482, 250 / 235.482)
    sigma_spread: float = 0.2
    background: Range = (20.0, 20.0)
    gradient: float = 0.0
    pixel_nm: float = 100.0
    margin_px: float = 0.0
    psf: Psf = "gaussian"
    defocus: float = 0.0

    def __post_init__(self) -> None:
        ranges = {
            "density_um2": (self.density_um2, 0.0),
            "photons": (self.photons, 1e-6),
            "sigma_px": (self.sigma_px, 1e-3),
            "background": (self.background, 0.0),
        }
        for name, ((low, high), least) in ranges.items():
            if not least <= low <= high < np.inf:
                raise JobError(
                    f"The range {low} to {high} of {name} is impossible.",
                    f"Give the lowest, not below {least:g}, and the highest.",
                )
        if not (0 <= self.gradient <= 2 and 0 <= self.sigma_spread < 1 and self.margin_px >= 0):
            raise JobError(
                "gradient, sigma_spread or margin_px is impossible.",
                "Give a gradient of 0 to 2, a sigma_spread of 0 to less than 1 and no negative margin.",
            )


class Simulation(NamedTuple):
    """Frames and all that is known of them.

    Attributes
    ----------
    photons : numpy.ndarray of float32, shape (n, H, W)
        What the camera measured, as photons.
    truth : Localizations
        The emitters in the field; what a fit estimates of its own (`_err`, `probability`) is NaN.
    background : numpy.ndarray of float32, shape (n, H, W)
        Expected photons per pixel without emitters.
    """

    photons: NDArray[np.float32]
    truth: Localizations
    background: NDArray[np.float32]


def simulate_frames(
    rng: np.random.Generator,
    n: int,
    shape_yx: tuple[int, int],
    scene: Scene | None = None,
    camera: Camera | None = None,
) -> Simulation:
    """Simulate independent frames, each with emitters of its own.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all that is random; the same state gives the same frames.
    n : int
        Frames.
    shape_yx : tuple of int
        Height and width [px].
    scene : Scene, optional
        What they show.
    camera : Camera, optional
        What measures them: an ideal one if not given. Its maps may have the shape (n, 1, 1): another
        camera for each frame.

    Returns
    -------
    Simulation
        Photons, truth, background.
    """
    scene = scene or Scene()
    background = draw_background(rng, n, shape_yx, scene)
    emitters = draw_emitters(rng, n, shape_yx, scene)
    photons = expose(rng, emitters, background, scene, camera or Camera())
    height, width = shape_yx
    inside = (np.abs(emitters.x - (width - 1) / 2) <= width / 2) & (
        np.abs(emitters.y - (height - 1) / 2) <= height / 2
    )
    truth = emitters if scene.margin_px == 0 else emitters.select(inside)
    return Simulation(photons, with_background(truth, background), background)


def draw_background(
    rng: np.random.Generator, n: int, shape_yx: tuple[int, int], scene: Scene
) -> NDArray[np.float32]:
    """Draw the background of each frame, shape (n, H, W): a level and a slope."""
    height, width = shape_yx
    level = log_uniform(rng, scene.background, n)
    if scene.gradient == 0:
        return np.broadcast_to(level[:, None, None], (n, height, width)).astype(np.float32)
    angle, rise = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, scene.gradient, n)
    ramp_y, ramp_x = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in (height, width))
    sine, cosine = np.sin(angle), np.cos(angle)
    ramp = sine[:, None, None] * ramp_y[:, None] + cosine[:, None, None] * ramp_x
    ramp /= (np.abs(sine) + np.abs(cosine))[:, None, None]  # -1 in one corner, 1 in the opposite one
    slope: NDArray[np.float32] = (level[:, None, None] * (1 + rise[:, None, None] / 2 * ramp)).astype(
        np.float32
    )
    return slope


def draw_emitters(rng: np.random.Generator, n: int, shape_yx: tuple[int, int], scene: Scene) -> Localizations:
    """Draw emitters uniformly over field and margin, new ones in each frame."""
    sizes = np.array(shape_yx) + 2 * scene.margin_px
    area_um2 = sizes.prod() * (scene.pixel_nm / 1000) ** 2
    frame = np.repeat(np.arange(n), rng.poisson(rng.uniform(*scene.density_um2, n) * area_um2))
    count = len(frame)
    y, x = (rng.uniform(-0.5, size - 0.5, count) - scene.margin_px for size in sizes)
    sigma = rng.uniform(*scene.sigma_px, n)[frame] * draw_spread(rng, scene, count)
    return Localizations.from_columns(
        frame=frame,
        x=x,
        y=y,
        photons=draw_photons(rng, scene, count),
        sigma_px=sigma,
        pixel_nm=scene.pixel_nm,
        shape_yx=shape_yx,
        n_frames=n,
    )


def draw_photons(rng: np.random.Generator, scene: Scene, count: int) -> NDArray[np.float64]:
    """Draw the photons of emitters, shape (count,)."""
    if scene.photons_distribution == "log-uniform":
        return log_uniform(rng, scene.photons, count)
    return rng.uniform(*scene.photons, count)


def draw_spread(rng: np.random.Generator, scene: Scene, count: int) -> NDArray[np.float64]:
    """Draw by what factor each emitter's PSF is wider than its frame's, shape (count,)."""
    return rng.uniform(1 - scene.sigma_spread, 1 + scene.sigma_spread, count)


def expose(
    rng: np.random.Generator,
    emitters: Localizations,
    background: NDArray[np.float32],
    scene: Scene,
    camera: Camera,
) -> NDArray[np.float32]:
    """Return what the camera measures of emitters on a background, in photons, shape (n, H, W)."""
    return camera.to_photons(camera.expose(rng, expected_frames(emitters, background, scene)))


def expected_frames(
    emitters: Localizations, background: NDArray[np.float32], scene: Scene
) -> NDArray[np.float32]:
    """Return the photons per pixel that emitters and background give on average."""
    return background + expected_photons(
        emitters.frame,
        emitters.x,
        emitters.y,
        emitters.photons,
        emitters.sigma_px,
        n_frames=len(background),
        shape_yx=emitters.shape_yx,
        psf=scene.psf,
        defocus=scene.defocus,
    )


def with_background(truth: Localizations, background: NDArray[np.float32]) -> Localizations:
    """Return the emitters with the background of the pixel that each lies in."""
    height, width = truth.shape_yx
    row = np.clip(np.rint(truth.y), 0, height - 1).astype(np.int64)
    column = np.clip(np.rint(truth.x), 0, width - 1).astype(np.int64)
    return truth.replace(background=background[truth.frame, row, column])


def log_uniform(rng: np.random.Generator, limits: Range, count: int) -> NDArray[np.float64]:
    """Draw numbers whose logarithms are uniform; a range from 0 to 0 gives 0."""
    low, high = limits
    if low == high:
        return np.full(count, low, np.float64)
    if low <= 0:
        raise JobError(f"A log-uniform range cannot begin at {low}.", "Give a lowest value above 0.")
    drawn: NDArray[np.float64] = np.exp(rng.uniform(np.log(low), np.log(high), count))
    return drawn
