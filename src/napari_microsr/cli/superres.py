"""Super-resolution: `microsr upscale` and `models`."""

import json
import textwrap
from typing import Annotated

from napari_microsr.cli.console import AsJson, DryRun, Pattern, Settings, app, run_or_foretell
from napari_microsr.cli.many import one_or_many
from napari_microsr.superres.job import UpscaleJob


@app.command
def upscale(
    job: Annotated[UpscaleJob, Settings],
    *,
    pattern: Pattern = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Super-resolve an image tile by tile into an OME-Zarr store.

    Ctrl-C cancels after the tile in hand; the same command then resumes. A folder, a quoted pattern such as
    "day1/*.tif" or a plate stands for all its images; the run folder beside the output says how it went.
    """
    run_or_foretell(one_or_many(job, pattern), dry_run, as_json)


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
        print(textwrap.indent(f"{summary}\n{quality}", "    "))
