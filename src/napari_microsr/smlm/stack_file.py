"""A simulated stack as a file: OME-TIFF or OME-Zarr."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.output import whole
from napari_microsr.core.placement import Placement

if TYPE_CHECKING:
    from napari_microsr.smlm.simulate_job import SimulateJob

Blocks = Iterable[NDArray[np.uint16]]
BIG = 2**32 - 2**25


def write_stack(job: "SimulateJob", blocks: Blocks) -> None:
    """Write blocks of frames, shape (n, H, W), as they come; an interrupted file is removed."""
    if job.output.suffix == ".zarr":
        _write_zarr(job, blocks)
        return
    with whole(job.output) as partial:
        _write_tiff(partial, job, blocks)


def _write_tiff(path: Path, job: "SimulateJob", blocks: Blocks) -> None:
    import tifffile

    shape = (job.frames, job.height_px, job.width_px)
    um = job.pixel_nm / 1000
    metadata = {"axes": "TYX", "PhysicalSizeX": um, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": um,
                "PhysicalSizeYUnit": "µm", "Description": job.to_yaml()}  # fmt: skip
    big = 2 * int(np.prod(shape)) > BIG
    with tifffile.TiffWriter(path, ome=True, bigtiff=big) as file:
        file.write(_pages(blocks), shape=shape, dtype=np.uint16, metadata=metadata)


def _pages(blocks: Blocks) -> Iterator[NDArray[np.uint16]]:
    for block in blocks:
        yield from block


def _write_zarr(job: "SimulateJob", blocks: Blocks) -> None:
    from napari_microsr.core.ome_zarr import Layout
    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.core.tiles import TilePlan

    shape: Any = np.broadcast_to(np.uint16(0), (job.frames, job.height_px, job.width_px))
    um = job.pixel_nm / 1000
    placement = Placement.of_sizes("tyx", {"y": (um, "um"), "x": (um, "um")})
    source = ImageSource.from_array(shape, axes="tyx", placement=placement, name=job.truth.stem)
    side = max(job.height_px, job.width_px)
    plan = TilePlan.cover(source, side, halo_px=0, multiple_of=1, factor=1)
    layout = Layout(source, plan, source.dtype, job.provenance())
    # Frames depend on those before them: an unfinished stack is begun anew.
    with ZarrSink(job.output, layout, job.provenance(), restart=True) as sink:
        for number, frame in enumerate(_pages(blocks)):
            sink.write(plan.tile(number), frame[None])
        sink.finish()
