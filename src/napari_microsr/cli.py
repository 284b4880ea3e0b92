"""The command `microsr`: the same jobs as the widgets, from the side."""

import importlib.util
import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
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
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.tasks import TASKS, TRAININGS, perform

DONE, FAILED, WRONG_USAGE, CANCELLED = 0, 1, 2, 130

app = App(
    name="microsr",
    help="Registration, super-resolution and single-molecule localisation of microscopy images. "
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 cancelled.",
    version=__version__,
    result_action="return_value",
)

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]
Settings = Parameter(name="*")


@app.command
def upscale(job: Annotated[UpscaleJob, Settings], *, as_json: AsJson = False) -> None:
    """Super-resolve an image tile by tile into an OME-Zarr store.

    Ctrl-C cancels after the tile in hand; the same command then resumes.
    """
    _report(_do(job), as_json)


@app.command
def register(
    overview: str,
    fields: list[str],
    /,
    *,
    out: Path,
    more_overviews: Annotated[tuple[str, ...], Parameter(name="--overview", negative="")] = (),
    options: Annotated[RegisterOptions | None, Settings] = None,
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
    """
    settings = options.model_dump(exclude_unset=True) if options else {}
    images = {"overviews": [overview, *more_overviews], "fields": fields}
    _report(_do(RegisterJob.parse({**settings, **images, "output": out})), as_json)


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
    """
    from napari_microsr.registration.formats import read_placements, write_placements

    with _console() as progress:
        known = read_placements(onto) if onto else None
        for note in write_placements(read_placements(placements, known), output, progress=progress):
            progress.warn(note)
    _report({"task": "export", "outputs": [str(output)]}, as_json)


@app.command
def merge(job: Annotated[MergeJob, Settings], *, as_json: AsJson = False) -> None:
    """Blend registered fields over their overview into one OME-Zarr pyramid.

    Ctrl-C cancels after the tile in hand; the same command then resumes.
    """
    _report(_do(job), as_json)


@app.command
def pairs(job: Annotated[PairsJob, Settings], *, as_json: AsJson = False) -> None:
    """Write registered fields and the overview below them as training pairs."""
    _report(_do(job), as_json)


@app.command
def localize(job: Annotated[LocalizeJob, Settings], *, as_json: AsJson = False) -> None:
    """Localise the single molecules of a stack of frames, into a table.

    Ctrl-C cancels after the frame in hand; the same command then resumes.
    """
    _report(_do(job), as_json)


@app.command
def render(job: Annotated[RenderJob, Settings], *, as_json: AsJson = False) -> None:
    """Render a table of localisations as an image."""
    _report(_do(job), as_json)


@app.command
def drift(job: Annotated[DriftJob, Settings], *, as_json: AsJson = False) -> None:
    """Take the drift of the sample out of a table of localisations."""
    _report(_do(job), as_json)


@app.command
def frc(job: Annotated[FrcJob, Settings], *, as_json: AsJson = False) -> None:
    """Measure resolution (Fourier ring correlation) and precision (NeNA) of a table of localisations."""
    result = _do(job)
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
    """
    task, settings = read_job_file(path)
    if task != SimulateJob.task:
        raise JobError(f"{path} is a job of the task {task!r}.", f"Run it with: microsr run {path}.")
    if output is not None:
        settings["output"] = output
    _report(_do(SimulateJob.parse(settings)), as_json)


@app.command
def run(path: Path, *, as_json: AsJson = False) -> None:
    """Run a job file.

    Parameters
    ----------
    path
        YAML: the line `task: upscale` and the task's settings.
    """
    task, settings = read_job_file(path)
    if task not in TASKS:
        raise JobError(f"There is no task {task!r}.", f"The tasks are: {', '.join(TASKS)}.")
    kind, _ = TASKS[task]
    _report(_do(kind.parse(settings)), as_json)


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
    """
    task, settings = read_job_file(path)
    if task not in TRAININGS:
        raise JobError(f"{path} is a job of the task {task!r}.", f"Run it with: microsr run {path}.")
    kind, _ = TRAININGS[task]
    _report(_do(kind.parse(settings), resume=resume), as_json)


@app.command
def models(*, as_json: AsJson = False) -> None:
    """List the installed models: what each is for, its factor, pixel size, licence and quality."""
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


def _do(job: Job, **options: Any) -> dict[str, Any]:
    with _console() as progress:
        return perform(job, progress, **options)


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
