"""Images for trainings: `microsr prepare` and `degradation`."""

from typing import Annotated

from napari_microsr.cli.console import AsJson, Settings, app, do, report
from napari_microsr.superres.degradation_job import DegradationJob
from napari_microsr.superres.prepare_job import PrepareJob


@app.command
def prepare(job: Annotated[PrepareJob, Settings], *, as_json: AsJson = False) -> None:
    """Merge stains to RGB, cut images and write training pairs."""
    report(do(job), as_json)


@app.command
def degradation(job: Annotated[DegradationJob, Settings], *, as_json: AsJson = False) -> None:
    """Measure blur, noise and gain between registered pairs, and say what degradation makes such pairs."""
    result = do(job)
    if as_json:
        report(result, as_json)
        return
    for pair in result["pairs"]:
        print(
            f"{pair['name']}: blur {pair['blur_px']:.2f} px, noise {pair['noise']:.1f} / 255, "
            f"gain {pair['gain']:.3f}, offset {pair['offset']:.4g}, unexplained {pair['unexplained']:.0%}"
        )
    print(result["degradation"])
