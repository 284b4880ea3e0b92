"""One registration from the images to the file of placements."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

from napari_microsr.core.image import ImageSource
from napari_microsr.core.lock import Lock, beside
from napari_microsr.core.output import writing
from napari_microsr.core.progress import Cancelled, Progress
from napari_microsr.errors import InputError, MicroSRError, OutputError
from napari_microsr.registration import features
from napari_microsr.registration.fields import Finder, find_all, unseen
from napari_microsr.registration.formats import placements_json
from napari_microsr.registration.grounds import Ground
from napari_microsr.registration.inputs import Input, find_files, from_files, from_sources
from napari_microsr.registration.job import RegisterJob
from napari_microsr.registration.joint import tie_all
from napari_microsr.registration.parallel import Crew
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


class Session:
    """A run of `register`, whose parameters it takes."""

    def __init__(
        self,
        job: RegisterJob,
        overviews: Sequence[ImageSource] | None,
        fields: Sequence[ImageSource | Path] | None,
        progress: Progress,
        placed: Callable[[FieldPlacement], None] | None,
        previous: Placements | None,
        client: Any = None,
    ) -> None:
        self.job, self.progress, self.placed = job, progress, placed
        self.crew, self.client = Crew(progress), client
        self.previous = previous or _read_previous(job.output)
        slides = find_files(job.overviews) if overviews is None else []
        self.slides = from_files(slides, job.overview_um) if overviews is None else from_sources(
            overviews, job.overview_um
        )  # fmt: skip
        self.items = (
            from_files(_without(slides, job.fields), job.field_um)
            if fields is None
            else from_sources(fields, job.field_um)
        )
        self.found: dict[int, FieldPlacement] = {}
        self.grounds: list[Ground] = []

    def run(self) -> Placements:
        """Search all fields, tie them to each other and write the placements."""
        output = self.job.output.absolute()
        with writing(output):
            lock = Lock(output.parent, output, beside(output))
        with lock:
            return self._run()

    def _run(self) -> Placements:
        if features.available():
            # It replaces itself in sys.modules while it is imported: not in several threads at once.
            import_module("cv2")
        try:
            self._open_overviews()
            self._keep_locked()
            finder = self._finder()
            numbers = [number for number in range(len(self.items)) if number not in self.found]
            find_all(finder, numbers, self._take)
            if len(finder.broken) == len(self.items):
                first = self.found[0]
                raise InputError(f"No field can be opened. {first.name}: {first.reason}", "Check the fields.")
            loop_um = tie_all(finder, self.found, self._take)[1] if self.job.joint else None
        except Cancelled:
            if not self.found:
                raise
            self._write(None, unfinished=True)
            raise Cancelled(f"cancelled; the fields found so far are in {self.job.output}.") from None
        return self._write(loop_um, unfinished=False)

    def _finder(self) -> Finder:
        if self.client is None:
            return Finder(self.items, self.grounds, self.job, self.crew)
        from napari_microsr.registration.cluster_crew import ClusterCrew

        crew = ClusterCrew(self.progress, self.client, self.grounds)
        crew.finder = Finder(self.items, self.grounds, self.job, crew)
        return crew.finder

    def _open_overviews(self) -> None:
        faults: list[MicroSRError] = []
        ready: dict[int, Ground] = {}

        def prepare(number: int) -> Ground | MicroSRError:
            try:
                return Ground.of(self.slides[number], self.job, self.crew.check)
            except MicroSRError as error:
                return error

        def keep(number: int, ground: Ground | MicroSRError) -> None:
            if isinstance(ground, Ground):
                ready[number] = ground
            else:
                faults.append(ground)

        self.crew.run("overviews", prepare, range(len(self.slides)), keep)
        self.grounds = [ground for _, ground in sorted(ready.items())]
        if not self.grounds:
            raise faults[0]
        for fault in faults:
            self.progress.warn(f"An overview is left out. {fault}")

    def _keep_locked(self) -> None:
        """Take over what a person has locked, for the same field on an overview that is here."""
        known = {ground.item.name for ground in self.grounds}
        for number, item in enumerate(self.items):
            for field in self.previous.fields if self.previous else ():
                if field.locked and field.overview in known and _same(field, item):
                    self.found[number] = replace(field, name=item.name)

    def _take(self, number: int, placement: FieldPlacement) -> None:
        self.found[number] = placement
        if self.placed is not None:
            self.placed(self._public(placement))

    def _public(self, placement: FieldPlacement) -> FieldPlacement:
        """Leave out lengths that mean nothing: the overview has no pixel size, or the error is not known."""
        sizes = {ground.item.name: ground.um for ground in self.grounds}
        if placement.locked:
            return placement
        if placement.overview is not None and sizes[placement.overview] is None:
            return replace(placement, expected_error_um=None, field_um=None)
        if placement.expected_error_um is not None and not isfinite(placement.expected_error_um):
            return replace(placement, expected_error_um=None)
        return placement

    def _write(self, loop_um: float | None, *, unfinished: bool) -> Placements:
        reason = "The registration was cancelled before this field was searched: run it again."
        placements = Placements(
            [_info(ground) for ground in self.grounds],
            [
                self._public(self.found.get(number) or unseen(item, reason))
                for number, item in enumerate(self.items)
            ],
            loop_um if all(ground.um for ground in self.grounds) else None,
            self.job.provenance() | ({"unfinished": True} if unfinished else {}),
        )
        placements_json.write(placements, self.job.output)
        return placements


def _info(ground: Ground) -> OverviewInfo:
    path = None if ground.item.path is None else str(ground.item.path)
    return OverviewInfo(ground.item.name, path, ground.shape_yx, ground.um)


def _without(slides: Sequence[Path], places: Sequence[str]) -> list[Path]:
    """Return the files of the fields; an overview in their folder is none of them, unless it is named."""
    named = {Path(place).expanduser().absolute() for place in places}
    return [file for file in find_files(places) if file not in slides or file in named]


def _same(field: FieldPlacement, item: Input) -> bool:
    if field.path is not None and item.path is not None:
        return Path(field.path) == item.path
    return field.name == item.name


def _read_previous(output: Path) -> Placements | None:
    """Return what the output holds, so that locked fields survive; refuse to replace anything else."""
    if not output.exists():
        return None
    try:
        return placements_json.read(output)
    except InputError as error:
        raise OutputError(
            f"{output} exists already and is not a file of placements.", "Give another output."
        ) from error
