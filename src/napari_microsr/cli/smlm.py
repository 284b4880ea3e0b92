"""Single molecules: `microsr localize`, `render`, `drift`, `frc` and `simulate`."""

from pathlib import Path
from typing import Annotated

from napari_microsr.cli.console import (
    AsJson,
    DryRun,
    Pattern,
    Settings,
    app,
    do,
    report,
    run_or_foretell,
)
from napari_microsr.cli.many import one_or_many
from napari_microsr.core.job import read_job_file
from napari_microsr.errors import JobError
from napari_microsr.smlm.drift_job import DriftJob
from napari_microsr.smlm.frc_job import FrcJob
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.render_job import RenderJob
from napari_microsr.smlm.simulate_job import SimulateJob


@app.command
def localize(
    job: Annotated[LocalizeJob, Settings],
    *,
    pattern: Pattern = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Localise the single molecules of a stack of frames, into a table; with dsir-autoencoder, into an image.

    Ctrl-C cancels after the frame in hand; the same command then resumes. A folder or a quoted pattern such
    as "day1/*.tif" stands for all its stacks; the run folder, named as the output, holds the tables.
    """
    run_or_foretell(one_or_many(job, pattern), dry_run, as_json)


@app.command
def render(job: Annotated[RenderJob, Settings], *, as_json: AsJson = False) -> None:
    """Render a table of localisations as an image."""
    report(do(job), as_json)


@app.command
def drift(job: Annotated[DriftJob, Settings], *, as_json: AsJson = False) -> None:
    """Take the drift of the sample out of a table of localisations."""
    report(do(job), as_json)


@app.command
def frc(job: Annotated[FrcJob, Settings], *, as_json: AsJson = False) -> None:
    """Measure resolution (Fourier ring correlation) and precision (NeNA) of a table of localisations."""
    result = do(job)
    if not as_json:
        precision = result["precision_nm"]
        print(f"resolution {result['resolution_nm']:.1f} ± {result['resolution_sd_nm']:.1f} nm")
        print(f"precision {precision:.1f} nm" if precision is not None else "precision unknown")
    if as_json or result["outputs"]:
        report(result, as_json)


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
    report(do(SimulateJob.parse(settings)), as_json)
