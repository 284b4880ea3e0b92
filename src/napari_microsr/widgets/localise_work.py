"""What the tabs of Localise do with a table in a worker thread."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.camera_estimate import CameraEstimate
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.localizations import Localizations

if TYPE_CHECKING:
    from napari_microsr.core.image import ImageSource
    from napari_microsr.smlm.frc import RingCorrelation


def estimate(source: "ImageSource", known: Camera) -> CameraEstimate:
    """Estimate offset and gain from some frames of a stack.

    Raises
    ------
    MicroSRError
        If the frames do not tell.
    """
    from napari_microsr.smlm.camera_estimate import estimate_camera
    from napari_microsr.smlm.camera_known import sample_for_noise
    from napari_microsr.smlm.measure import check_stack

    check_stack(source)
    return estimate_camera(sample_for_noise(source, range(source.n_planes)), known)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An image that a network drew of a stack.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    arguments : dict
        Of its layer.
    magnification : float
        Its pixels per pixel of the camera.
    limits : tuple of float
        A contrast that shows it.
    """

    path: Path
    arguments: dict[str, Any]
    magnification: float
    limits: tuple[float, float]


def draw(source: "ImageSource", path: str | None, job: LocalizeJob, progress: Progress) -> Drawn:
    """Draw a stack, which is a layer and maybe the file `path`, into a store.

    Raises
    ------
    MicroSRError
        As `draw_image` does.
    Cancelled
        If the progress asked to stop.
    """
    from napari_microsr.smlm.draw_job import draw_image, drawn_pixel_nm
    from napari_microsr.widgets.layers import as_file
    from napari_microsr.widgets.localise_image import percentile
    from napari_microsr.widgets.stored import open_result

    image = as_file(source, path)
    described = job.model_copy(update={"source": str(image.path or image.name)})
    written = draw_image(described, source=image, progress=progress)
    arguments = open_result(written)
    levels = arguments["data"]
    coarsest = np.asarray(levels[-1] if isinstance(levels, list) else levels, np.float32)
    return Drawn(written, arguments, job.pixel_nm / drawn_pixel_nm(job), (0.0, percentile(coarsest, 99.7)))


def measure(table: Localizations, progress: Progress) -> "tuple[RingCorrelation, str]":
    """Measure resolution and precision as the job `frc` does by default, and say them.

    Raises
    ------
    MicroSRError
        If the table is too small.
    """
    from napari_microsr.smlm.events import merge
    from napari_microsr.smlm.frc import fourier_ring_correlation
    from napari_microsr.smlm.frc_job import FrcJob
    from napari_microsr.smlm.nena import nearest_neighbour_precision

    job = FrcJob(table=Path("table"))
    merged = merge(table, job.merge_radius_nm).table
    results = []
    for seed in range(job.repeats):
        progress.advance("halves", seed, job.repeats)
        results.append(fourier_ring_correlation(merged, job.pixel_nm, seed))
    resolutions = np.array([result.resolution_nm for result in results])
    mean = dataclasses.replace(
        results[0],
        smoothed=np.mean([result.smoothed for result in results], axis=0),
        resolution_nm=float(resolutions.mean()),
    )
    said = [f"Resolution (FRC): {resolutions.mean():.0f} ± {resolutions.std():.0f} nm."]
    if np.isnan(resolutions).any():
        said = ["The curve does not cross 1/7: there is no resolution to read."]
    try:
        precision = nearest_neighbour_precision(table)
        said.append(f"Precision from neighbouring frames (NeNA): {precision:.1f} nm.")
    except InputError as error:
        said.append(f"No precision from neighbouring frames: {error.cause}")
    if np.isfinite(table.uncertainty_nm).any():
        said.append(f"Median uncertainty in the table: {np.nanmedian(table.uncertainty_nm):.1f} nm.")
    return mean, "\n".join(said)


def save_image(
    table: Localizations, path: Path, pixel_nm: float, renderer: str, name: str, progress: Progress
) -> tuple[Path, dict[str, Any] | None]:
    """Render a table into a file, and return it with the layer arguments of a store."""
    from napari_microsr.smlm.render_job import RenderJob, render
    from napari_microsr.widgets.stored import open_result

    tiff = path.suffix.lower() != ".zarr"
    # The file dialog has asked whether a file may be replaced; of a folder it does not know.
    settings = {"table": name, "output": path, "pixel_nm": pixel_nm, "renderer": renderer, "restart": tiff}
    written = render(RenderJob.parse(settings), table=table, progress=progress)
    return written, None if tiff else open_result(written)
