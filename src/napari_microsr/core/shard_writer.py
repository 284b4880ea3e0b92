"""What a worker of a cluster writes into: a store that another process begins, keeps account of and ends."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_microsr.core.journal import Block, read_header
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.ome_zarr_store import Store
from napari_microsr.core.output import writing
from napari_microsr.core.tiles import Tile


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
    note : pathlib.Path
        The file whose first line says what is computed there.
    header : dict
        What it has to say.
    """

    def __init__(self, folder: Path, layout: Layout, note: Path, header: dict[str, Any]) -> None:
        self._given = folder, layout, note, header
        self._folder = folder
        self._store: Store | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardWriter, self._given

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
        folder, layout, note, header = self._given
        if read_header(note) != header:
            return None
        if self._store is None:
            self._store = Store(folder, layout, published=True)
        return self._store
