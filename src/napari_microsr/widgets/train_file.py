"""Write a training as a job file, from which the command does the same."""

from pathlib import Path

from napari_microsr.core.output import whole
from napari_microsr.errors import OutputError
from napari_microsr.superres.images import Given
from napari_microsr.superres.keep_images import keep_images
from napari_microsr.superres.training import TrainJob
from napari_microsr.widgets.command import quoted


def save_job(job: TrainJob, given: Given | None, file: Path) -> str:
    """Write a job as YAML, with the images of layers in a folder beside it, and return its command line.

    Raises
    ------
    OutputError
        If the file or an image cannot be written.
    """
    if given is not None:
        images = keep_images(given, file.parent / f"{file.stem}-images")
        job = job.model_copy(update={"data": images.absolute()})
    try:
        with whole(file) as partial:
            partial.write_text(job.to_yaml(), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"The job file {file} cannot be written ({error.strerror}).", "Choose another folder."
        ) from error
    return quoted(["microsr", "train", str(file.absolute())])
