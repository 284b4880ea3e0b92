"""The image that DSIR's network makes of a region of a stack: the sum of its answers to all frames."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from napari_microsr.core.device import Device
from napari_microsr.core.image import ImageSource
from napari_microsr.smlm.networks.dsir import FACTOR, SMALLEST_SD, DsirAutoencoder, magnify
from napari_microsr.smlm.stream import read_frames

#: Camera pixels around a region that the network's answer depends on; it sees 2 of them.
HALO_PX = 4
#: Rows of a frame that are magnified at once to take the mean and standard deviation of a frame.
STRIP_PX = 64

Image = NDArray[np.float32]


class DsirStack:
    """Frames that are drawn region by region, as if each had been given to the network as a whole.

    Parameters
    ----------
    network : DsirAutoencoder
        In use, not in training.
    device : Device
        Where it runs.
    source : ImageSource
        The stack.
    frames : range
        Which frames.
    """

    def __init__(self, network: DsirAutoencoder, device: Device, source: ImageSource, frames: range) -> None:
        self._network, self._device = network.eval().to(device.name), device
        self._source, self.frames = source, frames
        # The network sees frames of mean 0 and standard deviation 1, which a region does not know.
        self._moments: dict[int, tuple[float, float]] = {}

    def draw(self, y: slice, x: slice, told: Callable[[], None]) -> Image:
        """Return the image of a region.

        Parameters
        ----------
        y, x : slice
            In camera pixels.
        told : callable
            Called after each frame; may cancel.

        Returns
        -------
        numpy.ndarray of float32
            Eight pixels for one of the camera, along both axes.
        """
        top, left = max(0, y.start - HALO_PX), max(0, x.start - HALO_PX)
        window = (slice(top, y.stop + HALO_PX), slice(left, x.stop + HALO_PX))
        inner = tuple(
            slice(FACTOR * (part.start - first), FACTOR * (part.stop - first))
            for part, first in ((y, top), (x, left))
        )
        image = np.zeros((FACTOR * (y.stop - y.start), FACTOR * (x.stop - x.start)), np.float32)
        for number in self.frames:
            frame = read_frames(self._source, range(number, number + 1))[0].astype(np.float32)
            if number not in self._moments:
                self._moments[number] = moments(frame)
            mean, deviation = self._moments[number]
            pixels = torch.from_numpy(np.ascontiguousarray(frame[window]))[None, None].to(self._device.name)
            with self._device.inference(False):
                seen = self._network((magnify(pixels) - mean) / deviation)[0, 0]
            image += seen.cpu().numpy()[inner]
            told()
        return image


def moments(frame: Image) -> tuple[float, float]:
    """Return mean and standard deviation of a magnified frame, which as a whole may not fit into memory."""
    total = square = 0.0
    height, width = frame.shape
    for top in range(0, height, STRIP_PX):
        bottom = min(top + STRIP_PX, height)
        first = max(0, top - 1)
        strip = torch.from_numpy(np.ascontiguousarray(frame[first : bottom + 1]))[None, None]
        fine = magnify(strip)[0, 0, FACTOR * (top - first) : FACTOR * (bottom - first)].double()
        total += float(fine.sum())
        square += float((fine**2).sum())
    mean = total / (FACTOR**2 * height * width)
    variance = square / (FACTOR**2 * height * width) - mean**2
    return mean, max(float(np.sqrt(max(variance, 0.0))), SMALLEST_SD)


def shares(first: int, count: int, size: float) -> tuple[slice, NDArray[np.float32]]:
    """Return which fine pixels lie below coarser or finer ones, and how much of each below which.

    Parameters
    ----------
    first, count : int
        The pixels.
    size : float
        Of a pixel, in fine pixels.

    Returns
    -------
    slice
        Of the fine pixels.
    numpy.ndarray of float32, shape (count, fine pixels)
        Overlaps. The light of a fine pixel is divided among the pixels above it, so that none is lost.
    """
    edges = size * np.arange(first, first + count + 1)
    fine = np.arange(int(np.floor(edges[0] + 1e-9)), int(np.ceil(edges[-1] - 1e-9)))
    overlap = np.minimum(edges[1:, None], fine + 1) - np.maximum(edges[:-1, None], fine)
    return slice(int(fine[0]), int(fine[-1]) + 1), overlap.clip(0, 1).astype(np.float32)
