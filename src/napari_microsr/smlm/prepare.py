"""A prepared localisation: camera, PSF and finder, from the job and from what the stack tells."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress
from napari_microsr.errors import JobError, ModelError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.camera_known import complete_camera
from napari_microsr.smlm.finders import Finder, GaussianMle
from napari_microsr.smlm.fit import THRESHOLD
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.measure import (
    Ranges,
    check_offset,
    check_stack,
    doubts,
    measure_sigma,
    sample_frames,
)
from napari_microsr.smlm.patches import TrainingRanges
from napari_microsr.smlm.registry import GAUSSIAN_MLE

#: Where the PSF is neither given nor to be measured.
USUAL_SIGMA_PX = 1.1


@dataclass(frozen=True)
class LocalizeRun:
    """One stack, one camera, one finder.

    Attributes
    ----------
    job : LocalizeJob
        The settings.
    source : ImageSource
        The stack.
    frames : range
        Which frames.
    camera : Camera
        Counts to photons, its offset known.
    sigma_px : float
        Of the PSF.
    finder : Finder
        What finds emitters in a frame.
    ranges : Ranges
        For what it is made.
    model : str
        SHA-256 of the weights, or the fitter's name.
    """

    job: LocalizeJob
    source: ImageSource
    frames: range
    camera: Camera
    sigma_px: float
    finder: Finder
    ranges: Ranges
    model: str

    def field(self) -> dict[str, Any]:
        """Return what a table wants to know beside its columns."""
        return {
            "pixel_nm": self.job.pixel_nm,
            "shape_yx": (self.source.height, self.source.width),
            "n_frames": self.source.n_planes,
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the table depends on, so that only the same run is resumed."""
        camera = {name: np.asarray(value).tolist() for name, value in asdict(self.camera).items()}
        return {
            **self.job.provenance(),
            "source": self.source.fingerprint(),
            "camera": camera,
            "sigma_px": self.sigma_px,
            "model": self.model,
        }


def prepare(
    job: LocalizeJob,
    source: ImageSource,
    camera: Camera | None,
    progress: Progress,
    *,
    elsewhere: bool = False,
) -> LocalizeRun:
    """Look at some frames, complete what the job leaves open and load the finder.

    Parameters
    ----------
    job, source, camera, progress
        As `localize` has them.
    elsewhere : bool
        Whether other computers will use a finder like this one.

    Raises
    ------
    MicroSRError
        If job, stack and model do not go together.
    """
    check_stack(source)
    frames = job.frames(source)
    counts = sample_frames(source, frames)
    camera = camera or complete_camera(job, source, frames, progress)
    photons = camera.to_photons(counts)
    check_offset(photons, camera)
    sigma_px = job.psf_sigma_px or _measured_sigma(photons, camera, progress)
    # The workers of a cluster have the device of the job, this computer need not have it.
    own = job.model_copy(update={"device": "cpu"}) if elsewhere else job
    finder, ranges, model = make_finder(own, camera, sigma_px)
    for message in doubts(counts, photons, sigma_px, ranges, job.model):
        progress.warn(message)
    return LocalizeRun(job, source, frames, camera, sigma_px, finder, ranges, model)


def _measured_sigma(photons: Any, camera: Camera, progress: Progress) -> float:
    sigma = measure_sigma(photons, camera)
    if sigma is None:
        progress.warn(
            f"The PSF is not given and too few spots are clear: a sigma of {USUAL_SIGMA_PX} px is assumed."
        )
        return USUAL_SIGMA_PX
    progress.warn(f"The PSF is not given; clear spots have a sigma of {sigma:.2f} px.")
    return sigma


def make_finder(job: LocalizeJob, camera: Camera, sigma_px: float) -> tuple[Finder, Ranges, str]:
    """Load what finds emitters; return it with what it is made for, and its name or hash.

    Raises
    ------
    MicroSRError
        If there is no such model or device.
    """
    ranges = TrainingRanges()
    if job.model == GAUSSIAN_MLE:
        limits = Ranges(ranges.sigma_px, (0.0, np.inf), (0.0, np.inf))
        return GaussianMle(camera, sigma_px, job.threshold or THRESHOLD), limits, GAUSSIAN_MLE
    from napari_microsr.core.device import resolve
    from napari_microsr.core.weights import find
    from napari_microsr.smlm.network_finder import NetworkFinder
    from napari_microsr.smlm.networks.emitters import Emitters2d
    from napari_microsr.smlm.registry import load_network

    if job.threshold is not None and job.threshold >= 1:
        raise JobError(f"A probability of {job.threshold} is impossible.", "Give a threshold below 1.")
    card, weights = find(job.model)
    network = load_network(card, weights)
    if not isinstance(network, Emitters2d):
        raise ModelError(
            f"{card.id} draws an image and finds no coordinates.", f"Choose emitters-2d or {GAUSSIAN_MLE}."
        )
    device = resolve(job.device)
    threshold = job.threshold or network.threshold
    finder = NetworkFinder(
        network, device, camera, sigma_px, threshold, refined=job.refine, keep_mixed=job.keep_mixed
    )
    limits = Ranges(ranges.sigma_px, ranges.photons, ranges.background)
    return finder, limits, card.sha256 or card.id
