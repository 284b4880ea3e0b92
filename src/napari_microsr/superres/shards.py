"""Super-resolution shard by shard on the workers of a cluster."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from napari_microsr.core.journal import Block
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.runner import missing, run_tiles
from napari_microsr.core.shard_writer import ShardWriter
from napari_microsr.core.sink import ZarrSink
from napari_microsr.core.spread import Kept, spread
from napari_microsr.superres.run import UpscaleRun
from napari_microsr.superres.skip import Process

# Batches in one task: enough to hide the scheduler, few enough to cancel soon.
BATCHES_PER_TASK = 4


@dataclass(frozen=True)
class Tiles:
    """A task: compute some batches of tiles and write their shards."""

    batches: tuple[range, ...]


@dataclass(frozen=True)
class Coarser:
    """A task: make a shard of a coarser level from those below it."""

    store: int
    place: Block


class Workplace:
    """What a worker's process has of a run: its network, loaded with the first task, and its stores."""

    def __init__(self, run: UpscaleRun, writers: Sequence[ShardWriter]) -> None:
        self._run, self._writers = run, tuple(writers)
        self._lock = Lock()
        self._process: Process | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Workplace, (self._run, self._writers)

    def do(self, task: Tiles | Coarser) -> list[str]:
        """Do a task; return warnings for the user."""
        if isinstance(task, Coarser):
            self._writers[task.store].write_coarser(task.place)
            return []
        progress = SilentProgress()
        with self._ready() as process:
            run_tiles(self._run.source, self._run.plan, process, self._writers, progress, task.batches)
        return progress.warnings

    def _ready(self) -> Process:
        with self._lock:
            if self._process is None:
                self._process = self._run.process(SilentProgress())
            return self._process


def _do(workplace: Workplace, task: Tiles | Coarser) -> list[str]:
    return workplace.do(task)


def distribute(
    run: UpscaleRun, sinks: Sequence[ZarrSink], batches: Sequence[range], progress: Progress, client: Any
) -> None:
    """Compute on a cluster what the sinks do not hold yet, pyramid included.

    The journal stays here; a worker writes whole shards itself, so that no pixel crosses the network to this
    program and no two tasks write one shard.

    Raises
    ------
    Cancelled
        From `progress.advance`.
    MicroSRError
        The first that a worker raised.
    """
    todo = missing(batches, run.plan, sinks)
    total = sum(map(len, batches))
    ready = total - sum(map(len, todo))

    def done(task: Tiles | Coarser, warnings: list[str]) -> Iterator[Coarser]:
        nonlocal ready
        for message in warnings:
            progress.warn(message)
        if isinstance(task, Coarser):
            yield from _above(task.store, sinks[task.store].adopt([task.place]))
            return
        tiles = [run.plan.tile(index) for batch in task.batches for index in batch]
        ready += len(tiles)
        for number, sink in enumerate(sinks):
            yield from _above(number, sink.adopt([(0, tile.plane, tile.row, tile.col) for tile in tiles]))

    tasks = [Tiles(tuple(todo[i : i + BATCHES_PER_TASK])) for i in range(0, len(todo), BATCHES_PER_TASK)]
    pending = [task for number, sink in enumerate(sinks) for task in _above(number, sink.unbuilt())]
    spread(
        Kept(client, Workplace(run, [sink.writer() for sink in sinks])),
        _do,
        [*pending, *tasks],
        done,
        lambda: progress.advance("tiles", ready, total),
        progress,
    )


def _above(store: int, places: Iterable[Block]) -> Iterator[Coarser]:
    return (Coarser(store, place) for place in places)
