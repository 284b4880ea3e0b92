"""Job files of every task: `microsr run` and `train`."""

from pathlib import Path

from napari_microsr.batch.perform import read_job
from napari_microsr.cli.console import AsJson, DryRun, app, do, report, run_or_foretell
from napari_microsr.core.job import read_job_file
from napari_microsr.errors import JobError
from napari_microsr.tasks import TRAININGS


@app.command
def run(path: Path, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Run a job file: a task, a batch or a chain.

    Parameters
    ----------
    path
        YAML: the line `task: upscale` and the task's settings.
    """
    run_or_foretell(read_job(path), dry_run, as_json)


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
    report(do(kind.parse(settings), resume=resume), as_json)
