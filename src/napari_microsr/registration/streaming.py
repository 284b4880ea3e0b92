"""Write an image of any size, read or computed region by region, into an OME-Zarr pyramid."""

import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.progress import Progress
from napari_microsr.core.runner import run_tiles
from napari_microsr.core.sink import ZarrSink
from napari_microsr.core.tiles import TilePlan

TILE_PX = 1024
# Each thread holds one tile and what it is made from.
MOST_THREADS = 4


def store_image(
    source: ImageSource,
    path: Path,
    progress: Progress,
    *,
    fingerprint: dict[str, Any],
    provenance: dict[str, Any],
    restart: bool = False,
    layout: type[Layout] = Layout,
) -> Path:
    """Stream an image into a store, tile by tile; an interrupted run of the same image is resumed.

    Parameters
    ----------
    source : ImageSource
        The image; a lazy one is computed as it is read.
    path : pathlib.Path
        The store, NAME.ome.zarr.
    progress : Progress
        Told of each tile; may cancel.
    fingerprint : dict
        All that the pixels depend on.
    provenance : dict
        Kept in the store.
    restart : bool
        Replace a finished or unfinished store of that name.
    layout : type
        `Layout`, or one with other metadata.

    Raises
    ------
    MicroSRError
        If the image cannot be read or the store not written.
    Cancelled
        If the progress asked to stop; what is done is kept.
    """
    shape = layout_of(source, layout, provenance)
    plan = shape.plan
    tile = {"tile_px": [plan.tile_height, plan.tile_width]}
    with ZarrSink(path, shape, fingerprint | tile, restart=restart) as sink:
        run_tiles(source, plan, _PassOn(), [sink], progress, plan.batches(1))
        return sink.finish()


def layout_of(
    source: ImageSource, layout: type[Layout] = Layout, provenance: dict[str, Any] | None = None
) -> Layout:
    """Return how an image is stored: its tiles, axes and metadata."""
    plan = TilePlan.cover(source, TILE_PX, halo_px=0, multiple_of=1, factor=1, even=True)
    return layout(source, plan, source.dtype, provenance or {})


class _PassOn:
    """A tile process that leaves the pixels alone: reading them is the work."""

    workers = min(MOST_THREADS, os.cpu_count() or 1)

    def begin_thread(self) -> None:
        """Set nothing up."""

    def __call__(self, windows: NDArray[Any], channel: int) -> tuple[NDArray[Any], ...]:
        """Return the windows."""
        return (windows,)
