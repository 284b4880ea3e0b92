"""Localise a stack that does not fit into memory: block by block, a reader ahead, several frames at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.finders import Finder, Rows
from napari_microsr.smlm.localizations import Localizations

#: Told of each block: its first frame, the one after its last, its rows.
Found = Callable[[int, int, Localizations], None]


def localize_frames(
    source: ImageSource,
    frames: range,
    camera: Camera,
    finder: Finder,
    *,
    pixel_nm: float,
    block: int,
    progress: Progress,
    total: range,
) -> Iterator[tuple[int, int, Localizations]]:
    """Yield the rows of block after block.

    Each frame is computed by itself, so that the rows do not depend on the size of a block.

    Parameters
    ----------
    source : ImageSource
        The stack.
    frames : range
        Which frames.
    camera : Camera
        Counts to photons.
    finder : Finder
        What finds emitters in a frame.
    pixel_nm : float
        Size of a pixel.
    block : int
        Frames read and computed together.
    progress : Progress
        Told after every few frames; may cancel.
    total : range
        The frames of the whole run, of which `frames` are left.

    Yields
    ------
    start, stop : int
        The frames of the block are start to stop - 1.
    table : Localizations
        In the order of frame, y, x.
    """
    field: dict[str, Any] = {
        "pixel_nm": pixel_nm,
        "shape_yx": (source.height, source.width),
        "n_frames": source.n_planes,
    }
    blocks = [frames[start : start + block] for start in range(0, len(frames), block)]
    reader = ThreadPoolExecutor(1, "read-frames")
    workers = ThreadPoolExecutor(finder.workers, "find", finder.begin_thread)
    try:
        ahead = reader.submit(read_frames, source, blocks[0]) if blocks else None
        for number, wanted in enumerate(blocks):
            assert ahead is not None
            photons = camera.to_photons(ahead.result())
            if number + 1 < len(blocks):
                ahead = reader.submit(read_frames, source, blocks[number + 1])
            rows: list[Rows] = []
            for found in workers.map(finder, photons):
                rows.append(found)
                progress.advance("frames", wanted.start - total.start + len(rows), len(total))
            yield wanted.start, wanted.stop, make_table(wanted, rows, field)
    finally:
        # After a cancel nobody waits for the frames that have not begun.
        reader.shutdown(wait=True, cancel_futures=True)
        workers.shutdown(wait=True, cancel_futures=True)


def read_frames(source: ImageSource, frames: range) -> NDArray[Any]:
    """Read frames (n, H, W) in the stack's own type.

    Raises
    ------
    InputError
        If the file is damaged, or pixels are not finite numbers.
    """
    y, x = slice(0, source.height), slice(0, source.width)
    counts = np.concatenate([source.read(frame, y, x) for frame in frames])
    if counts.dtype.kind == "f":
        faulty = ~np.isfinite(counts).all((1, 2))
        if faulty.any():
            frame = frames[int(np.argmax(faulty))]
            raise InputError(
                f"Frame {frame} of {source.name} has pixels that are not finite numbers.",
                "Replace NaN and infinity, for example with the camera's offset.",
            )
    return counts


def make_table(frames: range, rows: Sequence[Rows], field: dict[str, Any]) -> Localizations:
    """Join the rows of frames, in the order of frame, y, x; `field` describes the stack."""
    sizes = [len(found["x"]) for found in rows]
    columns: dict[str, Any] = {name: np.concatenate([found[name] for found in rows]) for name in rows[0]}
    table = Localizations.from_columns(frame=np.repeat(frames, sizes), **columns, **field)
    return table.sorted()
