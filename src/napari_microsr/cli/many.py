"""One image or many: where a source stands for several, its job is done with each."""

from pathlib import Path

from napari_microsr.batch.inputs import find, is_many
from napari_microsr.batch.job import ENDINGS, BatchJob
from napari_microsr.core.job import Job
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.superres.job import UpscaleJob


def one_or_many(job: UpscaleJob | LocalizeJob, pattern: str | None) -> Job:
    """Return a job as it is, or as a batch where its source is a folder, a pattern or a plate.

    The run folder then has the name of the output without its ending, and each result the ending. Where the
    source is one plate, its plate of results has the name of the output.

    Parameters
    ----------
    job : UpscaleJob or LocalizeJob
        As the command line gives it.
    pattern : str or None
        Of the names in a folder.
    """
    if pattern is None and not is_many(job.source):
        return job
    plates = {item.plate for item in find([job.source], pattern)}
    folder, ending = _parts(job.output)
    one_plate = len(plates) == 1 and None not in plates and ending.endswith(".zarr")
    return BatchJob.parse(
        {
            "do": job.task,
            "inputs": [job.source],
            "pattern": pattern,
            "output": folder,
            "plate": job.output if one_plate else None,
            "ending": None if ending in ("", ENDINGS[job.task]) else ending,
            "settings": job.model_dump(mode="json", exclude_unset=True, exclude={"source", "output"}),
        }
    )


def _parts(output: Path) -> tuple[Path, str]:
    """Split the name of an output into that of a folder and the ending of results."""
    name = output.name.removesuffix(output.suffix).removesuffix(".ome")
    return output.with_name(name), output.name[len(name) :]
