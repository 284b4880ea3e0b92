"""Where finished tiles go: an OME-Zarr store that survives a kill, or memory."""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.journal import Block, Journal, read_header
from napari_microsr.core.ome_zarr import Layout, Store
from napari_microsr.core.output import check_output, writing
from napari_microsr.core.tiles import Tile, TilePlan
from napari_microsr.errors import OutputError

JOURNAL = "microsr-journal.txt"
LOCK = "microsr.lock"
PREVIEW_SECONDS = 1.0


class Sink(Protocol):
    """What the tile loop writes into."""

    def holds(self, tile: Tile) -> bool:
        """Say whether the tile is written already."""

    def write(self, tile: Tile, block: NDArray[Any]) -> None:
        """Write the output pixels of one tile, shape (C, factor * height, factor * width)."""


class MemorySink:
    """A result that stays in memory, for tests and small images.

    Attributes
    ----------
    array : numpy.ndarray, shape (planes, C, factor * Y, factor * X)
        The result.
    """

    def __init__(self, source: ImageSource, plan: TilePlan, dtype: np.dtype[Any]) -> None:
        self._plan = plan
        self._held: set[int] = set()
        size = (plan.height * plan.factor, plan.width * plan.factor)
        self.array = np.zeros((source.n_planes, source.channels, *size), dtype)

    def holds(self, tile: Tile) -> bool:
        """Say whether the tile is written already."""
        return tile.index in self._held

    def write(self, tile: Tile, block: NDArray[Any]) -> None:
        """Write the output pixels of one tile."""
        y, x = tile.y * self._plan.factor, tile.x * self._plan.factor
        self.array[tile.plane, :, y : y + block.shape[1], x : x + block.shape[2]] = block
        self._held.add(tile.index)


class ZarrSink:
    """An OME-Zarr 0.5 store, one shard per tile, with a pyramid that grows as the tiles arrive.

    The store is written to `PATH.partial` with a journal and renamed when it is complete. Each shard is
    written once, by one process; a coarser shard is made as soon as the (up to) four below it are done,
    by reading them back, so that memory holds one shard per level at most.

    Parameters
    ----------
    path : pathlib.Path
        The store to make, `NAME.ome.zarr`.
    layout : Layout
        Shapes, axes, placement and metadata of the store.
    fingerprint : dict
        All that the pixels depend on. An unfinished store with another one is never mixed with this run.
    restart : bool
        Replace an unfinished or a finished store; a finished one is kept until the new one is complete.

    Raises
    ------
    OutputError
        If a finished store is in the way, an unfinished one belongs to another run or is being written by
        another process, or the folder cannot be written.
    """

    def __init__(
        self, path: Path, layout: Layout, fingerprint: dict[str, Any], *, restart: bool = False
    ) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.layout = layout
        self._live = False
        self._previewed = 0.0
        check_output(path, restart=restart)
        self._lock = FileLock(self.partial / LOCK, timeout=0)
        with writing(path):
            self.partial.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self._open(json.loads(json.dumps(fingerprint)), restart)
            except BaseException:
                self._lock.release()
                raise

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self.partial} is being written by another run.",
                "Wait for that run to finish, cancel it, or give another output.",
            ) from error

    def _open(self, fingerprint: dict[str, Any], restart: bool) -> None:
        path = self.partial / JOURNAL
        if not path.exists() and any(entry.name != LOCK for entry in self.partial.iterdir()):
            raise OutputError(f"{self.partial} holds files of another program.", "Move that folder away.")
        self.journal = Journal(path, fingerprint)
        changes = _differences(self.journal.header, fingerprint)
        if changes and self.journal.blocks and not restart:
            raise OutputError(
                f"{self.partial} holds an unfinished run with other settings ({changes}).",
                "Give the same settings to resume it, or restart to discard it.",
            )
        if restart or not self.journal.blocks:
            _empty(self.partial)
            path.unlink()  # last, so that a kill leaves the folder recognisable as ours
            self.journal = Journal(path, fingerprint)
        self._sweep()
        self.store = Store(self.partial, self.layout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def holds(self, tile: Tile) -> bool:
        """Say whether the journal proves the tile."""
        return (0, tile.plane, tile.row, tile.col) in self.journal.blocks

    def write(self, tile: Tile, block: NDArray[Any]) -> None:
        """Write one tile's shard, note it, and make the coarser shards that it completes.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written; what was written stays resumable.
        """
        place = (0, tile.plane, tile.row, tile.col)
        with writing(self.path):
            self.store.write(place, block)
            self.journal.add([place])
            self._build_coarser(place)

    def writer(self) -> "ShardWriter":
        """Return what a worker in another process writes shards with."""
        return ShardWriter(self.partial, self.layout, self.journal.header)

    def adopt(self, places: Sequence[Block]) -> list[Block]:
        """Note shards that workers have written, and return the coarser ones that can be made now."""
        with writing(self.path):
            self.journal.add(places)
            for place in places:
                self._preview(place)
        return self._ready(places)

    def unbuilt(self) -> list[Block]:
        """Return the coarser shards that can be made now and are not there yet."""
        return self._ready(self.journal.blocks)

    def _ready(self, places: Iterable[Block]) -> list[Block]:
        parents = {parent: None for place in places if (parent := self.layout.parent(place)) is not None}
        return [p for p in parents if p not in self.journal.blocks and self._complete(p)]

    def _complete(self, parent: Block) -> bool:
        return all(child in self.journal.blocks for child in self.layout.children(parent))

    def note(self, name: str, value: Any) -> None:
        """Keep something beside the provenance, in the store's attribute "microsr".

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        with writing(self.path):
            self.store.note(name, value)

    def show_live(self) -> None:
        """Keep the coarse levels filled with what there is, for a viewer that looks at them."""
        self._live = True

    def _build_coarser(self, place: Block) -> None:
        while (parent := self.layout.parent(place)) is not None and self._complete(parent):
            self.store.write_coarser(parent)
            self.journal.add([parent])
            place = parent
        self._preview(place)

    def _preview(self, place: Block) -> None:
        """Fill the coarser shards above, which are not complete yet, now and then for a viewer."""
        if not self._live or time.monotonic() - self._previewed <= PREVIEW_SECONDS:
            return
        self._previewed = time.monotonic()
        while (parent := self.layout.parent(place)) is not None:
            if not self._complete(parent):
                self.store.write_coarser(parent)
            place = parent

    def finish(self) -> Path:
        """Complete the pyramid, drop the journal and give the store its name.

        Returns
        -------
        pathlib.Path
            The finished store.
        """
        with writing(self.path):
            for place in self.layout.blocks():
                if place[0] > 0 and place not in self.journal.blocks:
                    self.store.write_coarser(place)
                    self.journal.add([place])
            self.close()
            self._sweep()
            (self.partial / JOURNAL).unlink()
            (self.partial / LOCK).unlink(missing_ok=True)
            if self.path.exists():
                old = self.path.with_name(self.path.name + ".replaced")
                self.path.rename(old)
                self.partial.rename(self.path)
                shutil.rmtree(old)
            else:
                self.partial.rename(self.path)
        return self.path

    def _sweep(self) -> None:
        """Remove the temporary files of killed writes: the finished store must not hold any."""
        for leftover in self.partial.rglob("*.partial"):
            leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the store; what is written stays and can be resumed."""
        self.journal.close()
        self._lock.release()


class ShardWriter:
    """The sink of a worker: it writes shards, and the journal elsewhere says which are wanted.

    A worker that was given up, or cut off from the others, may go on for a while: what it writes after the
    store is finished, or begun anew with other settings, is dropped.

    Parameters
    ----------
    folder : pathlib.Path
        The unfinished store.
    layout : Layout
        Of the result.
    header : dict
        Of the journal.
    """

    def __init__(self, folder: Path, layout: Layout, header: dict[str, Any]) -> None:
        self._folder, self._layout, self._header = folder, layout, header
        self._store: Store | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardWriter, (self._folder, self._layout, self._header)

    def holds(self, tile: Tile) -> bool:
        """Return False: a worker is only sent what is missing."""
        return False

    def write(self, tile: Tile, block: NDArray[Any]) -> None:
        """Write one tile's shard.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with writing(self._folder):
            if (store := self._wanted()) is not None:
                store.write((0, tile.plane, tile.row, tile.col), block)

    def write_coarser(self, place: Block) -> None:
        """Make a coarser shard, likewise."""
        with writing(self._folder):
            if (store := self._wanted()) is not None:
                store.write_coarser(place)

    def _wanted(self) -> Store | None:
        if read_header(self._folder / JOURNAL) != self._header:
            return None
        if self._store is None:
            self._store = Store(self._folder, self._layout)
        return self._store


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name in (LOCK, JOURNAL):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {_short(old.get(key))}, now {_short(new.get(key))}" for key in keys)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
