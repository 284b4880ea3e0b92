"""Job files of every task: `microsr run` and `train`."""

from pathlib import Path

from napari_microsr.cli.console import AsJson, app, do, report
from napari_microsr.core.job import read_job_file
from napari_microsr.errors import JobError
from napari_microsr.tasks import TASKS, TRAININGS


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
    report(do(kind.parse(settings)), as_json)


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
