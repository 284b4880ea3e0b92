"""Everything that a job file can ask for: the tasks, batches of them, and chains."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_microsr.batch.chain import ChainJob, run_chain
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.report import REPORT
from napari_microsr.batch.run import Watch, run_batch
from napari_microsr.batch.summary import SUMMARY
from napari_microsr.core.job import Job, read_job_file
from napari_microsr.core.progress import Progress
from napari_microsr.errors import BatchError, JobError
from napari_microsr.tasks import TASKS, Result
from napari_microsr.tasks import perform as perform_task


def read_job(path: Path) -> Job:
    """Read a job file of any task.

    Raises
    ------
    JobError
        If it cannot be read, names no task that there is, or has wrong settings.
    """
    task, settings = read_job_file(path)
    if task not in JOBS:
        raise JobError(f"There is no task {task!r}.", f"The tasks are: {', '.join(JOBS)}.")
    return JOBS[task].parse(settings)


def perform(job: Job, progress: Progress, **options: Any) -> Result:
    """Do a job; see `tasks.perform`. Of a batch and a chain the result holds how many items ended how.

    Raises
    ------
    MicroSRError
        As the task does.
    """
    if job.task in _MANY:
        ends: list[ItemState] = _MANY[job.task][1](job, progress, **options)
        return _result(job, ends)
    return perform_task(job, progress, **options)


def check_all_done(result: Result) -> None:
    """Raise an error if items of a batch failed, now that the others are done.

    Raises
    ------
    BatchError
    """
    if result.get("failed"):
        raise BatchError(
            f"{result['failed']} of {result['items']} inputs failed.",
            f"{result['outputs'][2]} says why; the same command tries them again.",
        )


def _result(job: Any, ends: list[ItemState]) -> Result:
    counts = Counter(state.state for state in ends)
    outputs = [job.output, job.output / SUMMARY, job.output / REPORT]
    return {
        "task": job.task,
        "items": len(ends),
        "done": counts["done"],
        "failed": counts["failed"],
        "outputs": [str(path) for path in outputs],
    }


_MANY: dict[str, tuple[type[Job], Callable[..., list[ItemState]]]] = {
    BatchJob.task: (BatchJob, run_batch),
    ChainJob.task: (ChainJob, run_chain),
}
#: The settings of everything, by task.
JOBS: dict[str, type[Job]] = {
    **{task: kind for task, (kind, _) in TASKS.items()},
    **{task: kind for task, (kind, _) in _MANY.items()},
}
__all__ = ["JOBS", "Watch", "check_all_done", "perform", "read_job"]
