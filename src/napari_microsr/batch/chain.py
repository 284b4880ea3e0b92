"""Tasks that follow each other: what one writes is what the next reads."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState, Manifest
from napari_microsr.batch.report import REPORT, write_report
from napari_microsr.batch.run import SETTINGS, BatchRun, Watch, held, run_batch
from napari_microsr.batch.summary import write_summary
from napari_microsr.core.job import Job
from napari_microsr.core.output import whole, writing
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.remote import is_url
from napari_microsr.errors import BatchError, JobError
from napari_microsr.tasks import TASKS, Result, perform

#: Settings that name what a step writes; a relative path lies in the folder of the run.
_OUTPUTS = ("output", "out", "csv", "plate")
_NAME = re.compile(r"[A-Za-z][\w-]*")


class ChainJob(Job):
    """Settings of a chain of tasks, such as register, pairs, train and upscale."""

    task: ClassVar[str] = "chain"
    execution_fields: ClassVar[frozenset[str]] = frozenset({"output"})
    after_cancel: ClassVar[str] = "what is done is kept, and the same command does the rest"

    output: Path
    """Folder of the run: the relative outputs of the steps, manifest, summary and report."""
    steps: list[dict[str, Any]] = Field(min_length=1)
    """The tasks in their order, each as a job file has it, and with a name if it is not that of the task.
    {NAME} in a later step stands for the first file or folder that the step NAME wrote."""


def run_chain(
    chain: ChainJob, progress: Progress | None = None, watch: Watch | None = None
) -> list[ItemState]:
    """Do the steps of a chain that are not done yet, one after the other.

    Parameters
    ----------
    chain : ChainJob
        What to do.
    progress, watch
        As in `run_batch`; the items are the steps.

    Returns
    -------
    list of ItemState
        The end of each step.

    Raises
    ------
    BatchError
        If a step failed; those after it have not been tried.
    MicroSRError
        If settings are wrong, or the folder cannot be written or is in use.
    Cancelled
        If the progress asked to stop; what is done stays.
    """
    progress, watch = progress or SilentProgress(), watch or (lambda _: None)
    names = check(chain)
    ends: list[ItemState] = []
    with held(chain.output):
        manifest = Manifest(chain.output)
        with writing(chain.output), whole(chain.output / SETTINGS) as partial:
            partial.write_text(chain.to_yaml(), encoding="utf-8")
        written: dict[str, str] = {}
        try:
            for name, step in zip(names, chain.steps, strict=True):
                run = BatchRun(manifest, [(name, job_of(chain, step, written))], do=_perform)
                try:
                    run.run(progress, watch)
                finally:
                    ends += run.states.values()
                if ends[-1].state == "failed":
                    raise BatchError(f"The step {name} failed: {ends[-1].error}", ends[-1].remedy)
                written[name] = ends[-1].outputs[0] if ends[-1].outputs else ""
        finally:
            write_summary(chain.output, ends)
            write_report(chain.output, f"chain: {chain.output.name}", ends)
    return ends


def check(chain: ChainJob) -> list[str]:
    """Return the names of the steps, after a look at all of them, so that none is wrong hours later.

    Raises
    ------
    JobError
        If a task or a setting does not exist, two steps have one name, or a step uses a later one.
    """
    names: list[str] = []
    every = [str(step.get("name", step.get("task"))) for step in chain.steps]
    for name, step in zip(every, chain.steps, strict=True):
        if name in names or _NAME.fullmatch(name) is None:
            raise JobError(
                f"The name {name!r} of a step is taken or is no name.",
                "Give each step another name, of letters, digits, - and _.",
            )
        later = [other for other in every[len(names) :] if f"{{{other}}}" in str(step)]
        if later:
            raise JobError(f"The step {name} uses {later[0]}, which is not before it.", "Change their order.")
        job_of(chain, step, dict.fromkeys(names, "made-before"))
        names.append(name)
    return names


def _perform(job: Job, progress: Progress, **options: bool) -> Result:
    """Do a step: a task, or a batch, of which every item has to succeed."""
    if not isinstance(job, BatchJob):
        return perform(job, progress, **options)
    ends = run_batch(job, progress)
    failed = sum(state.state == "failed" for state in ends)
    if failed:
        raise BatchError(f"{failed} of its {len(ends)} inputs failed.", f"{job.output / REPORT} says why.")
    return {"items": len(ends), "outputs": [str(job.output)]}


def job_of(chain: ChainJob, step: Mapping[str, Any], written: Mapping[str, str]) -> Job:
    """Return the job of a step: with the outputs of those before it, and its own in the run's folder."""
    task = step.get("task")
    kinds: dict[str, type[Job]] = {
        **{name: kind for name, (kind, _) in TASKS.items()},
        BatchJob.task: BatchJob,
    }
    kind = kinds.get(str(task))
    if kind is None:
        raise JobError(f"There is no task {task!r}.", f"The tasks are: {', '.join(kinds)}.")
    named = "name" in kind.model_fields  # a training has a name of its own
    settings = {
        key: _filled(v, written) for key, v in step.items() if key != "task" and (key != "name" or named)
    }
    for key in _OUTPUTS:
        if isinstance(settings.get(key), str) and not is_url(settings[key]):
            settings[key] = str(chain.output / settings[key])
    if named and "out" in kind.model_fields:
        settings.setdefault("out", str(chain.output))
    return kind.parse(settings)


def _filled(value: Any, written: Mapping[str, str]) -> Any:
    """Replace {NAME} in all texts of a setting."""
    if isinstance(value, str):
        for name, path in written.items():
            value = value.replace(f"{{{name}}}", path)
        return value
    if isinstance(value, dict):
        return {key: _filled(each, written) for key, each in value.items()}
    return [_filled(each, written) for each in value] if isinstance(value, list) else value
