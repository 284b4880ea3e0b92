"""The one tile loop: read ahead, compute, write behind."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.core.sink import Sink
from napari_microsr.core.tiles import Tile, TilePlan, read_windows

Array = NDArray[Any]
Computed = tuple[list[Tile], tuple[Array, ...] | None]
POLL_SECONDS = 0.1


class TileProcess(Protocol):
    """What turns windows into finished output tiles, one array per sink.

    Attributes
    ----------
    workers : int
        How many threads may compute at once.
    """

    workers: int

    def begin_thread(self) -> None:
        """Set up a thread that will compute."""

    def __call__(self, windows: Array, channel: int) -> tuple[Array, ...]:
        """Process a batch of windows.

        Parameters
        ----------
        windows : numpy.ndarray, shape (N, C, tile + 2 halo, tile + 2 halo)
            In the source's dtype.
        channel : int
            Which channel of the image they show (0 for RGB).

        Returns
        -------
        tuple of numpy.ndarray, shape (N, C, factor * tile, factor * tile)
            One per sink, in the sink's dtype, without the halo. The factor is the sink's: maps of a result
            may lie on the input's grid.
        """


def run_tiles(
    source: ImageSource,
    plan: TilePlan,
    process: TileProcess,
    sinks: Sequence[Sink],
    progress: Progress,
    batches: Sequence[range],
) -> None:
    """Process the batches that the sinks do not hold yet.

    `process.workers` threads compute, one more reads ahead, and one writes behind, so that files and
    network work at the same time while memory holds a few batches whatever the image's size.

    Raises
    ------
    Cancelled
        From `progress.advance`, after the tiles handed over so far have been written.
    MicroSRError
        From reading or writing, likewise.
    """
    total = sum(map(len, batches))
    todo = missing(batches, plan, sinks)
    done = total - sum(map(len, todo))
    progress.advance("tiles", done, total)
    stopped = Event()

    def read(batch: range) -> tuple[list[Tile], Array]:
        tiles = [plan.tile(index) for index in batch]
        return tiles, read_windows(source, plan, tiles)

    def compute(ready: Future[tuple[list[Tile], Array]]) -> Computed:
        tiles, windows = ready.result()
        if stopped.is_set():
            return tiles, None
        progress.advance("tiles", done, total)  # no tile begins after a cancel
        return tiles, process(windows, source.channel_of(tiles[0].plane))

    def submit(batch: range) -> Future[Computed]:
        return pool.submit(compute, reader.submit(read, batch))

    # Only as many threads as compute at once: each has a heap of its own, which keeps a tile's memory.
    pool = ThreadPoolExecutor(process.workers, "compute", process.begin_thread)
    with ThreadPoolExecutor(1, "write") as writer, ThreadPoolExecutor(1, "read") as reader:
        ahead = deque(submit(batch) for batch in todo[: process.workers + 1])
        written: Future[None] | None = None
        try:
            for number, batch in enumerate(todo):
                while not wait([ahead[0]], POLL_SECONDS).done:
                    progress.advance("tiles", done, total)  # a cancel must not wait for the next tile
                tiles, outputs = ahead.popleft().result()
                if number + len(ahead) + 1 < len(todo):
                    ahead.append(submit(todo[number + len(ahead) + 1]))
                if written is not None:
                    written.result()
                written = writer.submit(_write, sinks, plan, tiles, outputs)
                done += len(batch)
                progress.advance("tiles", done, total)
            if written is not None:
                written.result()
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            for future in ahead:  # the tiles in hand when the user cancelled
                if not future.cancelled() and future.exception() is None:
                    tiles, outputs = future.result()
                    writer.submit(_write, sinks, plan, tiles, outputs)


def missing(batches: Sequence[range], plan: TilePlan, sinks: Sequence[Sink]) -> list[range]:
    """Return the batches that some sink does not hold whole."""
    return [batch for batch in batches if not all(s.holds(plan.tile(i)) for i in batch for s in sinks)]


def _write(
    sinks: Sequence[Sink], plan: TilePlan, tiles: Sequence[Tile], outputs: tuple[Array, ...] | None
) -> None:
    """Write computed tiles; `outputs` is None for those that were read when the run stopped."""
    for sink, blocks in zip(sinks, outputs or (), strict=outputs is not None):
        factor = blocks.shape[2] // plan.tile_height  # the plan's, or 1 of a map on the input's grid
        for tile, block in zip(tiles, blocks, strict=True):
            if not sink.holds(tile):
                sink.write(tile, block[:, : tile.height * factor, : tile.width * factor])
