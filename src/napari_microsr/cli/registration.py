"""Registration: `microsr register`, `merge` and `pairs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_microsr.cli.console import AsJson, Settings, app, do, report
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
    report(do(RegisterJob.parse({**settings, **images, "output": out})), as_json)


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
