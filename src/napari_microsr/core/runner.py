"""The one tile loop: read ahead, compute, write behind."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.core.sink import Sink
from napari_microsr.core.tiles import Tile, TilePlan, read_windows

Array = NDArray[Any]


class TileProcess(Protocol):
    """What turns windows into finished output tiles, one array per sink."""

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
            One per sink, in the sink's dtype, without the halo.
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

    One thread reads a batch ahead and one writes a batch behind, so that files and network work at the
    same time while memory holds three batches whatever the image's size.

    Raises
    ------
    Cancelled
        From `progress.advance`, after the tiles computed so far have been written.
    MicroSRError
        From reading or writing, likewise.
    """
    total = sum(map(len, batches))
    todo = missing(batches, plan, sinks)
    done = total - sum(map(len, todo))
    progress.advance("tiles", done, total)
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:

        def read(batch: range) -> Future[Array]:
            return reader.submit(read_windows, source, plan, [plan.tile(i) for i in batch])

        written: Future[None] | None = None
        ahead = read(todo[0]) if todo else None
        for number, batch in enumerate(todo):
            assert ahead is not None
            windows = ahead.result()
            ahead = read(todo[number + 1]) if number + 1 < len(todo) else None
            tiles = [plan.tile(i) for i in batch]
            outputs = process(windows, source.channel_of(tiles[0].plane))
            if written is not None:
                written.result()
            written = writer.submit(_write, sinks, plan, tiles, outputs)
            done += len(batch)
            progress.advance("tiles", done, total)
        if written is not None:
            written.result()


def missing(batches: Sequence[range], plan: TilePlan, sinks: Sequence[Sink]) -> list[range]:
    """Return the batches that some sink does not hold whole."""
    return [batch for batch in batches if not all(s.holds(plan.tile(i)) for i in batch for s in sinks)]


def _write(sinks: Sequence[Sink], plan: TilePlan, tiles: Sequence[Tile], outputs: tuple[Array, ...]) -> None:
    for sink, blocks in zip(sinks, outputs, strict=True):
        for tile, block in zip(tiles, blocks, strict=True):
            if not sink.holds(tile):
                sink.write(tile, block[:, : tile.height * plan.factor, : tile.width * plan.factor])
