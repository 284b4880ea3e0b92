"""A localisation's blocks of frames on the workers of a cluster."""

from collections.abc import Iterable
from threading import Lock
from typing import Any

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.spread import Kept, spread
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.finders import Finder
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.prepare import LocalizeRun, make_finder
from napari_microsr.smlm.stream import Found, localize_frames


class Workplace:
    """What a worker's process has of a run: the stack, and a finder that is loaded with the first block."""

    def __init__(self, job: LocalizeJob, source: ImageSource, camera: Camera, sigma_px: float) -> None:
        self._given = job, source, camera, sigma_px
        self._lock = Lock()
        self._finder: Finder | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Workplace, self._given

    def do(self, frames: range) -> Localizations:
        """Localise a block of frames."""
        job, source, camera, sigma_px = self._given
        with self._lock:
            if self._finder is None:
                self._finder = make_finder(job, camera, sigma_px)[0]
        ((_, _, table),) = localize_frames(
            source,
            frames,
            camera,
            self._finder,
            pixel_nm=job.pixel_nm,
            block=len(frames),
            progress=SilentProgress(),
            total=frames,
        )
        return table


def _do(workplace: Workplace, frames: range) -> Localizations:
    return workplace.do(frames)


def distribute(
    run: LocalizeRun, todo: Iterable[range], done: int, take: Found, progress: Progress, client: Any
) -> None:
    """Localise blocks of frames on a cluster.

    Workers read the stack and send rows; this program alone writes them, each block once.

    Parameters
    ----------
    run : LocalizeRun
        Its finder stays here; each worker loads its own.
    todo : iterable of range
        The blocks.
    done : int
        Frames done before, for the progress.
    take : callable
        Told of each block here, in the order in which they end.
    progress : Progress
        Told of the frames; may cancel.
    client : distributed.Client
        Of the cluster.

    Raises
    ------
    Cancelled
        From `progress.advance`.
    MicroSRError
        The first that a worker raised.
    """

    def keep(frames: range, table: Localizations) -> None:
        nonlocal done
        take(frames.start, frames.stop, table)
        done += len(frames)

    def look() -> None:
        progress.advance("frames", done, len(run.frames))

    kept = Kept(client, Workplace(run.job, run.source, run.camera, run.sigma_px))
    spread(kept, _do, todo, keep, look, progress)
    look()
