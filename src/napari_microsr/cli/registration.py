"""Registration: `microsr register`, `merge` and `pairs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_microsr.batch.inputs import names_group
from napari_microsr.batch.job import BatchJob
from napari_microsr.cli.console import AsJson, DryRun, Pattern, Settings, app, do, report, run_or_foretell
from napari_microsr.core.job import Job
from napari_microsr.registration.job import RegisterJob, RegisterOptions
from napari_microsr.registration.merge import MergeJob
from napari_microsr.registration.pairs import PairsJob


@app.command
def register(
    overview: str,
    fields: list[str],
    /,
    *,
    out: Path,
    more_overviews: Annotated[tuple[str, ...], Parameter(name="--overview", negative="")] = (),
    options: Annotated[RegisterOptions | None, Settings] = None,
    pattern: Pattern = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Find fields of high magnification on the overview of a slide.

    Many slides or wells at once: name them by placeholders, as in "{slide}/4x.tif" "{slide}/40x_*.tif", or
    give two plates; each gets placements of its own in the run folder `out`.

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
    settings = options.model_dump(mode="json", exclude_unset=True) if options else {}
    overviews = [overview, *more_overviews]
    if pattern is not None or any(names_group(place) for place in (*overviews, *fields)):
        slides = {"inputs": fields, "overviews": overviews, "pattern": pattern, "settings": settings}
        job: Job = BatchJob.parse({"do": "register", "output": out.with_suffix(""), **slides})
    else:
        job = RegisterJob.parse({**settings, "overviews": overviews, "fields": fields, "output": out})
    run_or_foretell(job, dry_run, as_json)


@app.command
def merge(job: Annotated[MergeJob, Settings], *, as_json: AsJson = False) -> None:
    """Blend registered fields over their overview into one OME-Zarr pyramid.

    Ctrl-C cancels after the tile in hand; the same command then resumes.
    """
    report(do(job), as_json)


@app.command
def pairs(job: Annotated[PairsJob, Settings], *, as_json: AsJson = False) -> None:
    """Write registered fields and the overview below them as training pairs."""
    report(do(job), as_json)
