"""Tiles of a slide that show nothing: enlarged by interpolation instead of by the network."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import JobError
from napari_microsr.superres.background import shows_something
from napari_microsr.superres.process import NetworkProcess

Array = NDArray[Any]
#: Side of the blocks that are looked at one by one: a little tissue in the corner of a tile counts.
BLOCK_PX = 32


class SkippingProcess:
    """A `TileProcess` that spares the network the windows in which nothing is.

    Parameters
    ----------
    process : NetworkProcess
        For windows that show something.
    plain : NetworkProcess
        The same with interpolation as its network, for the others; compared with no other model.
    compared : bool
        Whether `process` also returns how far several models disagree: there, not at all.
    """

    def __init__(self, process: NetworkProcess, plain: NetworkProcess, *, compared: bool) -> None:
        self._process, self._plain, self._compared = process, plain, compared
        self.workers = process.workers

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(*error)

    def begin_thread(self) -> None:
        """Set up a thread that will compute."""
        self._process.begin_thread()

    def __call__(self, windows: Array, channel: int) -> tuple[Array, ...]:
        """Process a batch of windows; see `TileProcess`."""
        shown = np.array([shows_tissue(window) for window in windows])
        if shown.all():
            return self._process(windows, channel)
        plain = self._plain(windows[~shown], channel)
        if self._compared:
            plain = (*plain, np.zeros(plain[0].shape, np.float32))
        if not shown.any():
            return plain
        outputs = []
        for seen, unseen in zip(self._process(windows[shown], channel), plain, strict=True):
            output = np.empty((len(windows), *seen.shape[1:]), seen.dtype)
            output[shown], output[~shown] = seen, unseen
            outputs.append(output)
        return tuple(outputs)


def check_glass(source: ImageSource) -> None:
    """Refuse images of which nobody knows what empty looks like.

    Raises
    ------
    JobError
        If the image is not RGB of 8 bits.
    """
    if not (source.rgb and source.dtype == np.uint8):
        raise JobError(
            f"Background is told from tissue in 8-bit RGB images, and {source.name} is none.",
            "Leave skip_background out.",
        )


def shows_tissue(window: Array) -> bool:
    """Say whether any block of an RGB window, shape (3, H, W), is more than empty glass."""
    height, width = window.shape[1:]
    return any(
        shows_something(window[:, y : y + BLOCK_PX, x : x + BLOCK_PX].transpose(1, 2, 0), 0.0)
        for y in range(0, height, BLOCK_PX)
        for x in range(0, width, BLOCK_PX)
    )


#: What computes the tiles of a run.
Process = NetworkProcess | SkippingProcess
