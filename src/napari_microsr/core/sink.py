"""Where finished tiles go: an OME-Zarr store that survives a kill, or memory."""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.home import LocalHome
from napari_microsr.core.image import ImageSource
from napari_microsr.core.journal import Block
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.ome_zarr_store import Store
from napari_microsr.core.output import check_output, writing
from napari_microsr.core.remote import is_remote
from napari_microsr.core.remote_home import RemoteHome
from napari_microsr.core.shard_writer import ShardWriter
from napari_microsr.core.tiles import Tile, TilePlan

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

    The store is written to `PATH.partial` with a journal and renamed when it is complete; in an object store,
    where nothing can be renamed, see `RemoteHome`. Each shard is
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
        self.layout = layout
        self._live = False
        self._previewed = 0.0
        check_output(path, restart=restart)
        kind = RemoteHome if is_remote(path) else LocalHome
        with writing(path):
            self._home: LocalHome | RemoteHome = kind(
                path, json.loads(json.dumps(fingerprint)), restart=restart
            )
            try:
                self.store = Store(self._home.folder, layout, published=not is_remote(path))
                self._home.look(layout)
            except BaseException:
                self._home.close()
                raise
        self.journal = self._home.journal
        self.partial = self._home.folder

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
        return ShardWriter(self.partial, self.layout, self._home.note, self.journal.header)

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
        if not (self._live and self._home.previews) or time.monotonic() - self._previewed <= PREVIEW_SECONDS:
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
            self.store.publish()
            self._home.finish()
        return self.path

    def close(self) -> None:
        """Release the store; what is written stays and can be resumed."""
        self._home.close()
