"""Results and networks for other programs: `microsr export`."""

from pathlib import Path
from typing import Annotated

from napari_microsr.cli.console import AsJson, Settings, app, console, do, report
from napari_microsr.superres.exchange import SUFFIXES, ExportModelJob, ExportOptions


@app.command
def export(
    what: str,
    output: Path,
    /,
    *,
    onto: Path | None = None,
    options: Annotated[ExportOptions | None, Settings] = None,
    as_json: AsJson = False,
) -> None:
    """Write placements or a network in another format, chosen by the end of the output's name.

    Placements: .json (all of a registration), .csv (table of positions), .itk (folder of ITK transforms),
    .qupath.json, .ome.zarr (images and placements, OME-Zarr 0.5) and .scene.zarr (OME-Zarr 0.6).
    Networks: .pt (TorchScript), .onnx and .zip (a package of the BioImage Model Zoo).

    Parameters
    ----------
    what
        File or folder of placements; or a model, by id or path.
    output
        File or folder to write.
    onto
        Placements that positions (.csv, .itk, .qupath.json) belong to: so they are imported.
    options
        The settings of a network's export.
    """
    if output.suffix in SUFFIXES:
        settings = options.model_dump(exclude_unset=True) if options else {}
        report(do(ExportModelJob.parse({**settings, "model": what, "output": output})), as_json)
        return
    from napari_microsr.registration.formats import read_placements, write_placements

    with console() as progress:
        known = read_placements(onto) if onto else None
        placements = read_placements(Path(what), known)
        for note in write_placements(placements, output, progress=progress):
            progress.warn(note)
    report({"task": "export", "outputs": [str(output)]}, as_json)
