"""The camera of a stack: from the job, from the file's metadata, and what is left from the noise."""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.camera_estimate import CameraEstimate, estimate_camera
from napari_microsr.smlm.camera_metadata import read_camera
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.measure import SAMPLED_FRAMES, sample_frames

#: Pixels and frames that are read for an estimate, at most.
SAMPLED_PX, MOST_FRAMES = 4_000_000, 300
#: An assumed gain is doubted where the noise is so many times another one's, and sure of it.
DOUBTFUL, SURE = 1.5, 0.15


def complete_camera(job: LocalizeJob, source: ImageSource, frames: range, progress: Progress) -> Camera:
    """Return the camera, and say where numbers that the job does not give come from.

    Raises
    ------
    InputError
        If a number is wanted from the noise, and that does not tell.
    """
    known = read_camera(source.path)
    given = {"offset": job.offset, "gain": job.gain, "em_gain": job.em_gain}
    taken = {name: known[name] for name, value in given.items() if value is None and name in known}
    if taken:
        listed = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in taken.items())
        progress.warn(f"From the metadata of {source.name}: {listed}.")
    given |= taken
    offset, gain = given["offset"], given["gain"]
    camera = Camera(
        offset=offset or 0.0,
        e_per_adu=gain or 1.0,
        em_gain=given["em_gain"] or 1.0,
        qe=job.qe,
        read_noise_e=job.read_noise_e,
    )
    if offset is not None and gain is not None:
        return camera
    counts = sample_for_noise(source, frames)
    if gain is None and job.estimate_camera:
        found = estimate_camera(counts, camera, offset=offset)
        progress.warn(estimate_text(found))
        return found.camera
    if gain is None:
        _doubt(counts, camera, offset, progress)
    if offset is None:
        camera = estimate_camera(counts, camera, gain=gain or 1.0).camera
        progress.warn(
            f"The offset is not given; from the noise it is estimated as {camera.offset:.1f} counts."
        )
    return camera


def estimate_text(found: CameraEstimate) -> str:
    """Say what was estimated."""
    gain = float(found.camera.e_per_adu)
    return (
        f"The camera is estimated from its noise: an offset of {found.camera.offset:.1f} counts, "
        f"{gain:.3g} ± {gain * found.gain_error:.1g} electrons per count. Its data sheet knows better."
    )


def sample_for_noise(source: ImageSource, frames: range) -> NDArray[Any]:
    """Read frames (n, H, W) at equal distances, so many that their noise tells the gain."""
    number = SAMPLED_PX // (source.height * source.width)
    return sample_frames(source, frames, max(SAMPLED_FRAMES, min(number, MOST_FRAMES)))


def _doubt(counts: NDArray[Any], camera: Camera, offset: float | None, progress: Progress) -> None:
    """Warn where the noise is not that of a gain of 1, which nobody gave."""
    try:
        found = estimate_camera(counts, replace(camera, offset=0.0), offset=offset)
    except InputError:
        return  # the noise says nothing against it, either
    gain = float(found.camera.e_per_adu)
    if found.gain_error < SURE and not 1 / DOUBTFUL < gain < DOUBTFUL:
        progress.warn(
            f"The gain is not given and taken as 1 electron per count, but the noise is that of {gain:.2g}: "
            "give the gain, or let the camera be estimated."
        )
