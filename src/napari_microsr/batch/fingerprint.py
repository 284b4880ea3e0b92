"""What the result of a job depends on: its settings, its inputs as they are now, its model."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_microsr.core.file_series import names_series
from napari_microsr.core.job import Job
from napari_microsr.core.name_pattern import NamePattern
from napari_microsr.core.remote import is_remote, place_of, stamp
from napari_microsr.errors import MicroSRError
from napari_microsr.registration.inputs import find_files

#: Fields of jobs that name what is read.
_INPUTS = ("source", "overviews", "fields", "placements", "data", "result", "reference")
_METADATA = ("zarr.json", ".zattrs", ".zarray")


def fingerprint(job: Job, model: dict[str, str]) -> str:
    """Return a text that changes when the job's result would.

    Inputs are known by path, size and time of change, a store of many files by those of its metadata.
    """
    settings = job.provenance()["job"]
    stamps = []
    for name in _INPUTS:
        settings.pop(name, None)
        value = getattr(job, name, None)
        paths = [] if value is None else [value] if isinstance(value, str | Path) else _files(value)
        stamps += [_stamp(Path(path)) for path in paths]
    whole = json.dumps([job.task, settings, stamps, model], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()


def model_of(job: Job) -> dict[str, str]:
    """Return id and sha256 of the weights that a job names, empty where it names none that is here."""
    name = getattr(job, "model", None)
    if name is None:
        return {}
    path = Path(str(name))
    if path.is_file():
        return {"id": path.stem, "sha256": _digest(path, path.stat().st_mtime_ns)}
    from napari_microsr.core.weights import find

    try:
        card, _ = find(str(name))
    except MicroSRError:  # no network, or one that the job itself complains about
        return {"id": str(name)}
    return {"id": card.id, "sha256": card.sha256 or ""}


@lru_cache(maxsize=16)
def _digest(path: Path, _changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(places: Sequence[str]) -> Sequence[str | Path]:
    """Return the files of folders and patterns; what holds none is left to the job to complain about."""
    try:
        return find_files(places)
    except MicroSRError:
        return places


def _stamp(path: Path) -> list[Any]:
    """Return what tells a file, a store or a series of files from what it was before."""
    path = place_of(path)
    if is_remote(path):
        # A folder is a store, whose other objects no listing gives at once.
        places = [path, *(path / name for name in _METADATA)]
        return [str(path), [stamp(place) for place in places if place.is_file()]]
    path = path.expanduser().absolute()
    if path.is_dir():
        files = [path / name for name in _METADATA if (path / name).exists()]
        files = files or sorted(file for file in path.iterdir() if file.is_file())
    elif names_series(path) and not path.exists():
        pattern = NamePattern(path.name)
        names = path.parent.iterdir() if path.parent.is_dir() else ()
        files = sorted(file for file in names if pattern.match(file.name))
    else:
        files = [path]
    stats = [(file.name, file.stat()) for file in files if file.exists()]
    return [str(path), [(name, found.st_size, found.st_mtime_ns) for name, found in stats]]
