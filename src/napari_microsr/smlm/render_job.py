"""Render a table of localisations: what a user can ask for, and the function that does it."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from napari_microsr.core.image import ImageSource
from napari_microsr.core.output import check_free, check_output, store_name, whole, writing
from napari_microsr.core.placement import Placement
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.smlm.table_job import TableJob

if TYPE_CHECKING:
    from napari_microsr.smlm.localizations import Localizations
    from napari_microsr.smlm.render import Canvas

TIFF = (".tif", ".tiff")
TILE_PX = 2048


class RenderJob(TableJob):
    """Settings of a rendering."""

    task: ClassVar[str] = "render"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "restart"})
    after_cancel: ClassVar[str] = "an unfinished store is kept, and the same command resumes"

    output: Path
    """Image: an OME-Zarr store NAME.ome.zarr, of any size, or NAME.tif."""
    pixel_nm: float = Field(default=10.0, gt=0)
    """Size of a rendered pixel in nm."""
    renderer: Literal["histogram", "gaussian", "ash", "density"] = "histogram"
    """histogram counts; gaussian draws each uncertainty; ash averages shifted histograms of 4 x 4 pixels;
    density is molecules per µm² and frame, for pixels of about 1000 nm."""
    restart: bool = False
    """Replace a finished or unfinished image of that name."""

    @field_validator("output")
    @classmethod
    def _name_the_store(cls, output: Path) -> Path:
        return output if output.suffix.lower() in TIFF else store_name(output)


def render(job: RenderJob, *, table: "Localizations | None" = None, progress: Progress | None = None) -> Path:
    """Render localisations into an image.

    Parameters
    ----------
    job : RenderJob
        What to do.
    table : Localizations, optional
        The localisations, if not those of the file `job.table`.
    progress : Progress, optional
        Told of each tile; may cancel.

    Returns
    -------
    pathlib.Path
        The image, float32. Laid over the stack, whose first pixel's centre is at 0 nm, it fits.

    Raises
    ------
    MicroSRError
        If the table, the settings or the output will not do.
    Cancelled
        If the progress asked to stop; a store can be resumed.
    """
    from napari_microsr.smlm.render import RENDERERS, Canvas

    tiff = job.output.suffix.lower() in TIFF
    if not tiff:
        check_output(job.output, restart=job.restart)
    else:
        check_free(job.output, restart=job.restart)
    table = job.read() if table is None else table
    canvas = Canvas.over(table, job.pixel_nm)
    if tiff:
        _write_tiff(job.output, RENDERERS[job.renderer](table, canvas), job)
    else:
        _write_store(job, table, canvas, progress or SilentProgress())
    return job.output


def rendered_placement(camera_nm: float, pixel_nm: float) -> Placement:
    """Place a rendered image: its corner is that of the camera's first pixel, whose centre is at 0 nm."""
    first = (pixel_nm - camera_nm) / 2
    return Placement(("y", "x"), ("nm", "nm"), (pixel_nm, pixel_nm), (first, first))


def _write_tiff(
    path: Path, image: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", job: RenderJob
) -> None:
    import tifffile

    um = job.pixel_nm / 1000
    metadata = {"axes": "YX", "PhysicalSizeX": um, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": um,
                "PhysicalSizeYUnit": "µm", "Description": job.to_yaml()}  # fmt: skip
    with writing(path), whole(path) as partial:
        tifffile.imwrite(partial, image, ome=True, metadata=metadata, compression="zlib")


def _write_store(job: RenderJob, table: "Localizations", canvas: "Canvas", progress: Progress) -> None:
    """Write tile by tile: memory holds the table and one tile."""
    from napari_microsr.core.ome_zarr import Layout
    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.core.tiles import TilePlan
    from napari_microsr.smlm.render import RENDERERS, Canvas, reach_px

    placement = rendered_placement(table.pixel_nm, job.pixel_nm)
    shape = np.broadcast_to(np.float32(0), (canvas.height, canvas.width))  # no pixel is stored
    source = ImageSource.from_array(shape, axes="yx", placement=placement, name=job.table.stem)
    plan = TilePlan.cover(source, TILE_PX, halo_px=0, multiple_of=1, factor=1)
    layout = Layout(source, plan, source.dtype, job.provenance())
    fingerprint = {**job.provenance(), "table": digest(table)}
    table = table.select(np.argsort(table.y, kind="stable"))
    reach = reach_px(table, canvas, job.renderer)
    with ZarrSink(job.output, layout, fingerprint, restart=job.restart) as sink:
        for index in range(len(plan)):
            progress.advance("tiles", index, len(plan))
            tile = plan.tile(index)
            if sink.holds(tile):
                continue
            window = Canvas(canvas.pixel_nm, tile.height, tile.width, tile.y, tile.x)
            rows = _rows(table, window, reach)
            near = rows.select(window.around(rows, reach))
            sink.write(tile, RENDERERS[job.renderer](near, window)[None])
        progress.advance("tiles", len(plan), len(plan))
        sink.finish()


def digest(table: "Localizations") -> str:
    """Return a text that tells this table from others."""
    import hashlib

    known = hashlib.sha256(repr((table.pixel_nm, table.shape_yx, table.n_frames)).encode())
    for column in table.columns().values():
        known.update(np.ascontiguousarray(column).tobytes())
    return known.hexdigest()


def _rows(table: "Localizations", window: "Canvas", reach: float) -> "Localizations":
    """Return the rows of a table sorted by y that can lie in the window."""
    y, _ = window.places(table)
    return table.select(slice(*np.searchsorted(y, (-0.5 - reach, window.height - 0.5 + reach))))
