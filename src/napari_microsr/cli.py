"""The command `microsr`: the same jobs as the widgets, from the side."""

import importlib.util
import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from napari_microsr import __version__
from napari_microsr.core.job import Job, read_job_file
from napari_microsr.core.progress import Cancelled, ConsoleProgress
from napari_microsr.errors import JobError, MicroSRError
from napari_microsr.registration.job import RegisterJob, RegisterOptions
from napari_microsr.registration.merge import MergeJob
from napari_microsr.registration.pairs import PairsJob
from napari_microsr.smlm.drift_job import DriftJob
from napari_microsr.smlm.frc_job import FrcJob
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.render_job import RenderJob
from napari_microsr.smlm.simulate_job import SimulateJob
from napari_microsr.smlm.training import TrainDsirJob, TrainLocalizerJob
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.superres.training import TrainJob

DONE, FAILED, WRONG_USAGE, CANCELLED = 0, 1, 2, 130

app = App(
    name="microsr",
    help="Super-resolution of microscopy images of any size. Exit status: 0 done, 1 failed, 2 wrong usage, "
    "130 cancelled.",
    version=__version__,
    result_action="return_value",
)

AsJson = Annotated[bool, Parameter(name="--json", negative="")]


@app.command
def upscale(job: Annotated[UpscaleJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Super-resolve an image tile by tile into an OME-Zarr store.

    Ctrl-C cancels after the tile in hand; the same command then resumes.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_upscale(job), as_json)


@app.command
def register(
    overview: str,
    fields: list[str],
    /,
    *,
    out: Path,
    more_overviews: Annotated[tuple[str, ...], Parameter(name="--overview", negative="")] = (),
    options: Annotated[RegisterOptions | None, Parameter(name="*")] = None,
    as_json: AsJson = False,
) -> None:
    """Find fields of high magnification on the overview of a slide.

    Each field gets a verdict: placed, uncertain or not_found, with its reason and its expected error.
    Ctrl-C cancels after the fields in hand and keeps what was found.

    Parameters
    ----------
    overview
        Image of the slide at low magnification; a folder or a pattern stands for several.
    fields
        Images at higher magnification: files, folders of them, or patterns.
    out
        File for the placements, NAME.json.
    more_overviews
        One more overview; may be given several times.
    options
        The settings.
    as_json
        Print the placements as JSON.
    """
    settings = options.model_dump(exclude_unset=True) if options else {}
    images = {"overviews": [overview, *more_overviews], "fields": fields}
    _report(run_register(RegisterJob.parse({**settings, **images, "output": out})), as_json)


@app.command
def export(placements: Path, output: Path, /, *, onto: Path | None = None, as_json: AsJson = False) -> None:
    """Write placements in another format, chosen by the end of the output's name.

    .json (all of a registration), .csv (table of positions), .itk (folder of ITK transforms), .qupath.json,
    .ome.zarr (images and placements, OME-Zarr 0.5) and .scene.zarr (OME-Zarr 0.6).

    Parameters
    ----------
    placements
        File or folder in one of these formats.
    output
        File or folder to write.
    onto
        Placements that positions (.csv, .itk, .qupath.json) belong to: so they are imported.
    as_json
        Print the result as JSON.
    """
    from napari_microsr.registration.formats import read_placements, write_placements

    with _console() as progress:
        known = read_placements(onto) if onto else None
        for note in write_placements(read_placements(placements, known), output, progress=progress):
            progress.warn(note)
    _report({"task": "export", "outputs": [str(output)]}, as_json)


@app.command
def merge(job: Annotated[MergeJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Blend registered fields over their overview into one OME-Zarr pyramid.

    Ctrl-C cancels after the tile in hand; the same command then resumes.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_merge(job), as_json)


@app.command
def pairs(job: Annotated[PairsJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Write registered fields and the overview below them as training pairs.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_pairs(job), as_json)


@app.command
def localize(job: Annotated[LocalizeJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Localise the single molecules of a stack of frames, into a table.

    Ctrl-C cancels after the frame in hand; the same command then resumes.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_localize(job), as_json)


@app.command
def render(job: Annotated[RenderJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Render a table of localisations as an image.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_render(job), as_json)


@app.command
def drift(job: Annotated[DriftJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Take the drift of the sample out of a table of localisations.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    _report(run_drift(job), as_json)


@app.command
def frc(job: Annotated[FrcJob, Parameter(name="*")], *, as_json: AsJson = False) -> None:
    """Measure resolution (Fourier ring correlation) and precision (NeNA) of a table of localisations.

    Parameters
    ----------
    job
        The settings.
    as_json
        Print the result as JSON.
    """
    result = run_frc(job)
    if not as_json:
        precision = result["precision_nm"]
        print(f"resolution {result['resolution_nm']:.1f} ± {result['resolution_sd_nm']:.1f} nm")
        print(f"precision {precision:.1f} nm" if precision is not None else "precision unknown")
    if as_json or result["outputs"]:
        _report(result, as_json)


@app.command
def simulate(path: Path, output: Path | None = None, /, *, as_json: AsJson = False) -> None:
    """Simulate a stack of single molecules, and the table of what is in it.

    Parameters
    ----------
    path
        YAML: the line `task: simulate` and its settings.
    output
        Stack, NAME.tif or NAME.ome.zarr, if not the one that the file names. The table is NAME.csv.
    as_json
        Print the result as JSON.
    """
    task, settings = read_job_file(path)
    if task != SimulateJob.task:
        raise JobError(f"{path} is a job of the task {task!r}.", f"Run it with: microsr run {path}.")
    if output is not None:
        settings["output"] = output
    _report(run_simulate(SimulateJob.parse(settings)), as_json)


@app.command
def run(path: Path, *, as_json: AsJson = False) -> None:
    """Run a job file.

    Parameters
    ----------
    path
        YAML: the line `task: upscale` and the task's settings.
    as_json
        Print the result as JSON.
    """
    task, settings = read_job_file(path)
    if task not in TASKS:
        raise JobError(f"There is no task {task!r}.", f"The tasks are: {', '.join(TASKS)}.")
    kind, do = TASKS[task]
    _report(do(kind.parse(settings)), as_json)


@app.command
def train(path: Path, *, resume: bool = False, as_json: AsJson = False) -> None:
    """Train a network from a job file.

    Ctrl-C cancels and keeps the last checkpoint.

    Parameters
    ----------
    path
        YAML: the line `task: train` and its settings, such as those in the folder recipes.
    resume
        Continue from the last checkpoint.
    as_json
        Print the result as JSON.
    """
    task, settings = read_job_file(path)
    if task not in TRAININGS:
        raise JobError(f"{path} is a job of the task {task!r}.", f"Run it with: microsr run {path}.")
    _report(run_train(TRAININGS[task].parse(settings), resume), as_json)


@app.command
def models(*, as_json: AsJson = False) -> None:
    """List the installed models: what each is for, its factor, pixel size, licence and quality.

    Parameters
    ----------
    as_json
        Print all of each model's card as JSON.
    """
    from napari_microsr.core.weights import list_cards

    cards = list_cards()
    if as_json:
        print(json.dumps([card.model_dump(mode="json") for card in cards]))
        return
    for card in cards:
        name, task, factor, size, licence, quality, summary = card.row()
        print(f"{name}: {task} {factor}, {size} µm per pixel, {licence}")
        print(textwrap.indent(f"{summary}\nPSNR {quality}", "    "))


@app.command
def demo(*, out: Path = Path("microsr-demo"), as_json: AsJson = False) -> None:
    """Register and super-resolve the shipped slide; shows it in napari, or writes pictures without a display.

    Parameters
    ----------
    out
        Folder for the results.
    as_json
        Print the result as JSON.
    """
    from napari_microsr.registration.demo import run_demo as register_sample
    from napari_microsr.superres.demo import run_demo as enlarge_sample

    with _console() as progress:
        result = enlarge_sample(out, progress)
        registered = register_sample(out / "registration", progress)
    result["outputs"] += registered["outputs"]
    result["registration"] = registered["figures"]
    _report(result, as_json)
    if has_display():
        from napari_microsr.widgets.demo import show_demo

        show_demo(result)


def run_upscale(job: UpscaleJob) -> dict[str, Any]:
    """Run an upscale job with a progress bar."""
    from napari_microsr.superres.job import upscale as do_upscale

    with _console() as progress:
        outputs = do_upscale(job, progress=progress)
    return {"task": job.task, "outputs": [str(path) for path in outputs]}


def run_register(job: RegisterJob) -> dict[str, Any]:
    """Run a registration with a progress bar, and say which fields want a look."""
    from napari_microsr.registration.formats.placements_json import to_document
    from napari_microsr.registration.job import register as do_register

    with _console() as progress:
        placements = do_register(job, progress=progress)
        for field in placements.fields:
            if field.status != "placed":
                progress.warn(f"{field.name}: {field.status.replace('_', ' ')}. {field.reason}")
    return {"task": job.task, "outputs": [str(job.output)], **to_document(placements)}


def run_merge(job: MergeJob) -> dict[str, Any]:
    """Merge placements with a progress bar."""
    from napari_microsr.registration.merge import merge as do_merge

    with _console() as progress:
        return {"task": job.task, "outputs": [str(do_merge(job, progress=progress))]}


def run_pairs(job: PairsJob) -> dict[str, Any]:
    """Export registered pairs with a progress bar."""
    from napari_microsr.registration.pairs import export_pairs

    with _console() as progress:
        return {"task": job.task, "outputs": [str(export_pairs(job, progress=progress))]}


def run_render(job: RenderJob) -> dict[str, Any]:
    """Render a table with a progress bar."""
    from napari_microsr.smlm.render_job import render as do_render

    with _console() as progress:
        return {"task": job.task, "outputs": [str(do_render(job, progress=progress))]}


def run_drift(job: DriftJob) -> dict[str, Any]:
    """Correct the drift of a table with a progress bar."""
    from napari_microsr.smlm.drift_job import correct_drift

    with _console() as progress:
        correct_drift(job, progress=progress)
    return {"task": job.task, "outputs": [str(job.output), str(job.curve)]}


def run_frc(job: FrcJob) -> dict[str, Any]:
    """Measure the resolution of a table with a progress bar."""
    from napari_microsr.smlm.frc_job import measure_resolution

    with _console() as progress:
        figures = measure_resolution(job, progress=progress)
    return {"task": job.task, "outputs": [str(job.output)] if job.output else [], **figures}


def run_simulate(job: SimulateJob) -> dict[str, Any]:
    """Simulate a stack with a progress bar."""
    from napari_microsr.smlm.simulate_job import simulate as do_simulate

    with _console() as progress:
        do_simulate(job, progress=progress)
    return {"task": job.task, "outputs": [str(job.output), str(job.truth)]}


def run_localize(job: LocalizeJob) -> dict[str, Any]:
    """Localise a stack with a progress bar."""
    from napari_microsr.smlm.job import localize as do_localize

    with _console() as progress:
        table = do_localize(job, progress=progress)
    return {"task": job.task, "outputs": [str(job.output)], "localizations": len(table)}


def run_train(job: TrainJob | TrainLocalizerJob | TrainDsirJob, resume: bool = False) -> dict[str, Any]:
    """Run a training with a progress bar."""
    with _console() as progress:
        if isinstance(job, TrainLocalizerJob):
            from napari_microsr.smlm.training import train_localizer

            weights = train_localizer(job, progress, resume)
        elif isinstance(job, TrainDsirJob):
            from napari_microsr.smlm.dsir import train_dsir

            weights = train_dsir(job, progress, resume)
        else:
            from napari_microsr.superres.training import train as do_train

            weights = do_train(job, progress, resume)
    return {"task": job.task, "outputs": [str(weights), str(weights.with_suffix(".json"))]}


TRAININGS: dict[str, type[TrainJob] | type[TrainLocalizerJob] | type[TrainDsirJob]] = {
    kind.task: kind for kind in (TrainJob, TrainLocalizerJob, TrainDsirJob)
}

TASKS: dict[str, tuple[type[Job], Callable[[Any], dict[str, Any]]]] = {
    UpscaleJob.task: (UpscaleJob, run_upscale),
    RegisterJob.task: (RegisterJob, run_register),
    MergeJob.task: (MergeJob, run_merge),
    PairsJob.task: (PairsJob, run_pairs),
    LocalizeJob.task: (LocalizeJob, run_localize),
    RenderJob.task: (RenderJob, run_render),
    DriftJob.task: (DriftJob, run_drift),
    FrcJob.task: (FrcJob, run_frc),
    SimulateJob.task: (SimulateJob, run_simulate),
    **{task: (kind, run_train) for task, kind in TRAININGS.items()},
}


class _InterruptibleProgress(ConsoleProgress):
    """Turns the first Ctrl-C into a cancel at the next step; a second one stops at once."""

    interrupted = False

    def interrupt(self, *_: object) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        self.warn("cancelling after this tile; press Ctrl-C again to stop at once.")

    def advance(self, label: str, done: int, total: int) -> None:
        """Redraw the bar, or cancel."""
        if self.interrupted:
            raise Cancelled
        super().advance(label, done, total)


@contextmanager
def _console() -> Iterator[ConsoleProgress]:
    with _InterruptibleProgress() as progress:
        before = signal.signal(signal.SIGINT, progress.interrupt)
        try:
            yield progress
        finally:
            signal.signal(signal.SIGINT, before)


def _report(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
    else:
        print("\n".join(str(path) for path in result["outputs"]))


def has_display() -> bool:
    """Say whether napari is installed and a window can be opened."""
    if importlib.util.find_spec("napari") is None:
        return False
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def main() -> None:
    """Run the command and leave with its exit status."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run the command line `arguments` and return the exit status."""
    try:
        app(arguments, exit_on_error=False)
    except CycloptsError:
        return WRONG_USAGE
    except MicroSRError as error:
        print(f"microsr: {error}", file=sys.stderr)
        return FAILED
    except (Cancelled, KeyboardInterrupt) as stop:
        text = str(stop) or "cancelled; what is done is kept, and the same command resumes."
        print(f"microsr: {text}", file=sys.stderr)
        return CANCELLED
    return DONE


if __name__ == "__main__":
    main()
