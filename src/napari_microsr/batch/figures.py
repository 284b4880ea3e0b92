"""The numbers that a table of results shows."""

from collections import Counter
from typing import Any

from napari_microsr.core.job import Job
from napari_microsr.core.remote import place_of
from napari_microsr.superres.summary import read_evidence


def figures_of(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished job, by names that hold for all jobs of its task.

    Parameters
    ----------
    job : Job
        That was done.
    result : dict
        As `tasks.perform` returns it.
    """
    if job.task == "upscale":
        return _evidence(read_evidence(place_of(result["outputs"][0])))
    if job.task == "register":
        counts = Counter(field["status"] for field in result["fields"])
        return {status: counts[status] for status in ("placed", "uncertain", "not_found")}
    return {name: value for name, value in result.items() if isinstance(value, int | float)}


def _evidence(evidence: dict[str, Any]) -> dict[str, Any]:
    names = {"consistency": "consistency_rms_percent", "disagreement": "disagreement_rms_percent"}
    return {name: evidence[key]["rms_percent"] for key, name in names.items() if key in evidence}
