"""Find emitters with a network, tile by tile."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_microsr.core.device import Device
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.crlb import closed_form
from napari_microsr.smlm.detect import Emitters, find_emitters
from napari_microsr.smlm.finders import Rows, equalise, spot_rows
from napari_microsr.smlm.networks.emitters import PLANES, Emitters2d
from napari_microsr.smlm.refine import FitSettings, Spots, refine

#: Side of a tile: larger frames are cut, so that memory does not grow with them.
TILE_PX = 256
#: Pixels around a tile that its emitters depend on; the network sees 36.
HALO_PX = 40
#: A few steps from where the network stands.
POLISH = FitSettings(steps=3, neighbours=3, width_sd=0.08, background_sd=0.05)
#: A fit is taken where it moved a spot by less than this many of the network's errors.
AGREEING = 1.0
#: Natural logarithm of more light than any camera holds.
LARGEST_LOG = 25.0
#: Spots whose error is larger than this share of the PSF's sigma, and than this many times that of a single
#: molecule of their light, are most likely several in one, and left out.
MIXED_SIGMAS, MIXED_BOUNDS = 0.35, 1.5


class NetworkFinder:
    """The emitter network on one device.

    Parameters
    ----------
    network : Emitters2d
        With its weights.
    device : Device
        Where it runs.
    camera : Camera
        Of the frames.
    sigma_px : float
        Of the PSF.
    threshold : float
        Smallest probability.
    refined : bool
        Climb the joint likelihood from what the network found.
    keep_mixed : bool
        Keep also what is most likely several molecules in one.
    reduced : bool
        Run in the device's 16-bit type.
    """

    def __init__(
        self,
        network: Emitters2d,
        device: Device,
        camera: Camera,
        sigma_px: float,
        threshold: float,
        *,
        refined: bool = False,
        keep_mixed: bool = False,
        reduced: bool = True,
    ) -> None:
        layout = torch.channels_last if device.channels_last else torch.contiguous_format
        network = network.eval().to(device.name)
        self._network = network.to(memory_format=layout)  # type: ignore[call-overload]
        self._device, self._camera, self._layout = device, camera, layout
        self._log_sigma = float(np.log(sigma_px))
        self._threshold, self._refined, self._keep_mixed = threshold, refined, keep_mixed
        self._reduced = reduced and device.reduced is not None
        self.workers = device.workers
        self._cores = torch.get_num_threads()

    def begin_thread(self) -> None:
        """Share the processor's cores among the threads that compute."""
        torch.set_num_threads(max(1, self._cores // self.workers))

    def __call__(self, photons: NDArray[np.float32]) -> Rows:
        """Find the emitters of a frame."""
        frame, read = equalise(photons, self._camera)
        emitters = find_emitters(self.planes(frame, read), self._threshold)
        spots = to_spots(emitters)
        if not self._keep_mixed:
            emitters = emitters.select(~mixed(spots, float(np.mean(read))))
            spots = to_spots(emitters)
        if self._refined:
            spots = surer(spots, refine(frame, read, spots, POLISH))
        return spot_rows(spots, emitters.values[0].astype(np.float64), self._camera)

    def planes(self, frame: NDArray[np.float64], read: NDArray[np.float64]) -> torch.Tensor:
        """Return the network's planes (10, H, W) of a frame, float32."""
        height, width = frame.shape
        log_sigma = np.full_like(frame, self._log_sigma)
        inputs = np.stack([frame, read, log_sigma]).astype(np.float32)
        # The network halves the frame once.
        inputs = np.pad(inputs, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        result = torch.empty(len(PLANES), height, width, device=self._device.name)
        with self._device.inference(self._reduced):
            for y in _tiles(height):
                for x in _tiles(width):
                    result[:, y, x] = self._tile(inputs, y, x)
        return result

    def _tile(self, inputs: NDArray[np.float32], y: slice, x: slice) -> torch.Tensor:
        top, left = max(0, y.start - HALO_PX), max(0, x.start - HALO_PX)
        window = inputs[None, :, top : y.stop + y.stop % 2 + HALO_PX, left : x.stop + x.stop % 2 + HALO_PX]
        pixels = torch.from_numpy(np.ascontiguousarray(window)).to(self._device.name)
        planes: torch.Tensor = self._network(pixels.contiguous(memory_format=self._layout))[0]
        return planes[:, y.start - top : y.stop - top, x.start - left : x.stop - left]


def to_spots(emitters: Emitters) -> Spots:
    """Return what the network found, in pixels and in photons whose variance is their mean."""
    values = emitters.values.astype(np.float64)
    # Frames with a wrong offset get answers without any sense: nothing may overflow before the user is told.
    values[3:6] = values[3:6].clip(-LARGEST_LOG, LARGEST_LOG)
    photons = np.exp(values[3])
    return Spots(
        x=emitters.column + values[1],
        y=emitters.row + values[2],
        photons=photons,
        sigma_px=np.exp(values[4]),
        background=np.exp(values[5]),
        x_err=values[6],
        y_err=values[7],
        photons_err=values[8] * photons,
    )


def mixed(spots: Spots, read_variance: float) -> NDArray[np.bool_]:
    """Mark spots whose error is too large for their light: most likely several molecules in one."""
    assert spots.x_err is not None
    assert spots.y_err is not None
    error = np.hypot(spots.x_err, spots.y_err)
    bound = np.sqrt(2) * closed_form(spots.photons, spots.background + read_variance, spots.sigma_px)
    large: NDArray[np.bool_] = (error > MIXED_SIGMAS * spots.sigma_px) & (error > MIXED_BOUNDS * bound)
    return large


def surer(guess: Spots, fitted: Spots) -> Spots:
    """Return the fitted spots where the fit claims to be surer than the guess and agrees with it.

    Where spots are crowded the likelihood is flat and its maximum far off; the network has learnt how
    emitters are spread and does better there. The errors stay the network's: the bound knows nothing of
    spots that are two.
    """
    assert guess.x_err is not None
    assert guess.y_err is not None
    assert fitted.x_err is not None
    assert fitted.y_err is not None
    expected = np.hypot(guess.x_err, guess.y_err)
    better = np.hypot(fitted.x - guess.x, fitted.y - guess.y) < AGREEING * expected
    better &= np.hypot(fitted.x_err, fitted.y_err) < expected
    taken = ("x", "y", "photons", "sigma_px", "background")
    return replace(
        guess, **{name: np.where(better, getattr(fitted, name), getattr(guess, name)) for name in taken}
    )


def _tiles(size: int) -> Iterator[slice]:
    for start in range(0, size, TILE_PX):
        yield slice(start, min(start + TILE_PX, size))
