"""Where finished tiles go: an OME-Zarr store that survives a kill, or memory."""

import json
import shutil
import time
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.journal import Block, Journal
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
        # A killed write leaves its temporary file; the finished store must not hold any.
        for leftover in self.partial.rglob("*.partial"):
            leftover.unlink()
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

    def adopt(self, tiles: list[Tile]) -> None:
        """Note shards that workers have written, and make the coarser ones that they complete."""
        places: list[Block] = [(0, tile.plane, tile.row, tile.col) for tile in tiles]
        with writing(self.path):
            self.journal.add(places)
            for place in places:
                self._build_coarser(place)

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
        preview = self._live and time.monotonic() - self._previewed > PREVIEW_SECONDS
        if preview:
            self._previewed = time.monotonic()
        complete = True
        while (parent := self.layout.parent(place)) is not None:
            complete = complete and all(
                child in self.journal.blocks for child in self.layout.children(parent)
            )
            if not complete and not preview:
                return
            self.store.write_coarser(parent)
            if complete:
                self.journal.add([parent])
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

    def close(self) -> None:
        """Release the store; what is written stays and can be resumed."""
        self.journal.close()
        self._lock.release()


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
