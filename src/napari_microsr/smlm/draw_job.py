"""Draw a stack with DSIR's network: an image of probability instead of a table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.output import check_output
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.errors import JobError, ModelError
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.localizations import check_pixel_nm
from napari_microsr.smlm.registry import DSIR, GAUSSIAN_MLE
from napari_microsr.smlm.render_job import rendered_placement

if TYPE_CHECKING:
    from napari_microsr.smlm.dsir_image import DsirStack

#: Side of what the network draws at once, in its own fine pixels.
TILE_FINE_PX = 1024
#: Sides of tiles are multiples of it.
GRID_PX = 16


def draws_image(model: str) -> bool:
    """Say whether a model draws an image instead of finding coordinates.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    from napari_microsr.core.weights import find

    return model != GAUSSIAN_MLE and find(model)[0].architecture == DSIR


def draw_image(
    job: LocalizeJob, *, source: ImageSource | None = None, progress: Progress | None = None
) -> Path:
    """Draw the sum of what DSIR's network makes of every frame.

    Parameters
    ----------
    job : LocalizeJob
        What to do; its model is a `dsir-autoencoder`, its output an OME-Zarr store. The camera does not
        matter: every frame is brought to mean 0 and standard deviation 1.
    source : ImageSource, optional
        The stack, if it is not the file `job.source`.
    progress : Progress, optional
        Told of each frame; may cancel.

    Returns
    -------
    pathlib.Path
        The store, float32, placed as a rendered table is.

    Raises
    ------
    MicroSRError
        If the stack, the model, the device or the output will not do.
    Cancelled
        If the progress asked to stop; finished tiles stay and are resumed.
    """
    from napari_microsr.core.device import resolve
    from napari_microsr.core.weights import find
    from napari_microsr.smlm.dsir_image import DsirStack
    from napari_microsr.smlm.measure import check_stack
    from napari_microsr.smlm.networks.dsir import DsirAutoencoder
    from napari_microsr.smlm.registry import load_network

    check_pixel_nm(job.pixel_nm)
    check_output(job.output, restart=job.restart)
    source = source or open_image(job.source)
    check_stack(source)
    card, weights = find(job.model)
    network = load_network(card, weights)
    if not isinstance(network, DsirAutoencoder):
        raise ModelError(f"{card.id} finds coordinates and draws no image.", "Choose dsir-autoencoder.")
    image_nm = drawn_pixel_nm(job)
    if not job.pixel_nm / 64 <= image_nm <= 8 * job.pixel_nm:
        raise JobError(
            f"Pixels of {image_nm:g} nm do not suit a camera's of {job.pixel_nm:g} nm.",
            "Give a size of the image's pixels in nm between a 64th and 8 of the camera's.",
        )
    stack = DsirStack(network, resolve(job.device), source, job.frames(source))
    made = {**job.provenance(), "model_sha256": card.sha256}
    return _write(job, stack, source, image_nm, made, progress or SilentProgress())


def drawn_pixel_nm(job: LocalizeJob) -> float:
    """Return the size of the image's pixels in nm."""
    from napari_microsr.smlm.networks.dsir import FACTOR

    return job.image_nm or job.pixel_nm / FACTOR


def _write(
    job: LocalizeJob,
    stack: "DsirStack",
    source: ImageSource,
    image_nm: float,
    made: dict[str, Any],
    progress: Progress,
) -> Path:
    """Write tile by tile: memory holds one tile and one frame."""
    from napari_microsr.core.ome_zarr import Layout
    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.core.tiles import TilePlan
    from napari_microsr.smlm.networks.dsir import FACTOR

    size = FACTOR * image_nm / job.pixel_nm  # of a pixel, in the network's
    height, width = (int(np.ceil(FACTOR * side / size - 1e-9)) for side in (source.height, source.width))
    shape = np.broadcast_to(np.float32(0), (height, width))  # no pixel is stored
    placement = rendered_placement(job.pixel_nm, image_nm)
    canvas = ImageSource.from_array(shape, axes="yx", placement=placement, name=job.output.stem)
    side = max(GRID_PX, int(TILE_FINE_PX / size) // GRID_PX * GRID_PX)
    plan = TilePlan.cover(canvas, side, halo_px=0, multiple_of=1, factor=1)
    fingerprint = {**made, "source": source.fingerprint()}
    total, done = len(plan) * len(stack.frames), 0

    def told() -> None:
        nonlocal done
        done += 1
        progress.advance("frames", done, total)

    with ZarrSink(
        job.output, Layout(canvas, plan, canvas.dtype, made), fingerprint, restart=job.restart
    ) as sink:
        for index in range(len(plan)):
            tile = plan.tile(index)
            if sink.holds(tile):
                done += len(stack.frames)
                continue
            rows, columns = (tile.y, tile.height), (tile.x, tile.width)
            sink.write(tile, drawn(stack, source, rows, columns, size, told)[None])
        sink.finish()
    return job.output


def drawn(
    stack: "DsirStack",
    source: ImageSource,
    rows: tuple[int, int],
    columns: tuple[int, int],
    size: float,
    told: Callable[[], None],
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Return a region of the image.

    Parameters
    ----------
    stack, source : DsirStack, ImageSource
        What is drawn.
    rows, columns : tuple of int
        First pixel and number of pixels.
    size : float
        Of a pixel, in the network's.
    told : callable
        Called after each frame.
    """
    from napari_microsr.smlm.dsir_image import shares
    from napari_microsr.smlm.networks.dsir import FACTOR

    fine, share, camera = [], [], []
    for (first, count), side in zip((rows, columns), (source.height, source.width), strict=True):
        wanted, overlap = shares(first, count, size)
        # The last pixel may reach beyond the frame.
        wanted = slice(wanted.start, min(wanted.stop, FACTOR * side))
        pixels = slice(wanted.start // FACTOR, -(-wanted.stop // FACTOR))
        camera.append(pixels)
        fine.append(slice(wanted.start - FACTOR * pixels.start, wanted.stop - FACTOR * pixels.start))
        share.append(overlap[:, : wanted.stop - wanted.start])
    image = stack.draw(camera[0], camera[1], told)[fine[0], fine[1]]
    return (share[0] @ image @ share[1].T).astype(np.float32)
