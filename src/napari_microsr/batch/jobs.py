"""The jobs of a batch: for each input the same job that a single image has."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

from napari_microsr.batch.inputs import Item, find
from napari_microsr.batch.job import ENDINGS, BatchJob
from napari_microsr.core.job import Job
from napari_microsr.core.remote import is_url
from napari_microsr.errors import InputError, JobError
from napari_microsr.tasks import TASKS


def make_jobs(batch: BatchJob) -> list[tuple[Item, Job]]:
    """Return the inputs of a batch, each with its job.

    Raises
    ------
    MicroSRError
        If an input holds nothing, a setting is wrong, or a result would lie outside the run folder.
    """
    kind, _ = TASKS[batch.do]
    if batch.do == "register":
        return _register_jobs(batch, kind)
    if batch.overviews:
        raise JobError("Only a registration has overviews.", "Leave them out, or set do: register.")
    items = find(batch.inputs, batch.pattern)
    _check_plate(batch, items)
    return [
        (item, kind.parse({**batch.settings, "source": item.source, "output": output_of(batch, item)}))
        for item in items
    ]


def output_of(batch: BatchJob, item: Item) -> Path:
    """Return where the result of an item goes.

    Raises
    ------
    InputError
        If that is not inside the run folder or the plate.
    """
    parts = PurePosixPath(item.key).parts
    if (
        not parts
        or PurePosixPath(item.key).is_absolute()
        or any(p == ".." or ":" in p or "\\" in p for p in parts)
    ):
        raise InputError(f"{item.key!r} is no name for a result.", "Rename the input.")
    ending = batch.ending if batch.ending is not None else ENDINGS[batch.do]
    if item.place is not None and ending.endswith(".zarr"):
        return plate_of(batch, item) / item.place.place
    return batch.output.joinpath(*parts[:-1], parts[-1] + ending)


def plate_of(batch: BatchJob, item: Item) -> Path:
    """Return the plate of results that an item on a plate belongs to."""
    if batch.plate is not None:
        return (
            batch.plate
            if batch.plate.suffix == ".zarr"
            else batch.plate.with_name(batch.plate.name + ".ome.zarr")
        )
    return batch.output / f"{item.plate}.ome.zarr"


def _check_plate(batch: BatchJob, items: list[Item]) -> None:
    plates = {item.plate for item in items}
    if batch.plate is not None and is_url(batch.plate):
        raise JobError(
            f"The plate of results {batch.plate} is a URL.",
            "Give a path of this computer, and copy the plate.",
        )
    if batch.plate is not None and (None in plates or len(plates) > 1):
        raise JobError(
            f"The inputs are not one plate but {len(plates)}, or single images.",
            "Leave the plate of results out, and each goes into the run folder.",
        )


def _register_jobs(batch: BatchJob, kind: type[Job]) -> list[tuple[Item, Job]]:
    """Return one registration per well, slide or whatever overviews and fields have in common."""
    if not batch.overviews:
        raise JobError("A batch of registrations needs overviews.", "Name them, with the same placeholders.")
    overviews, fields = find(batch.overviews, batch.pattern), find(batch.inputs, batch.pattern)
    shared = {name for item in overviews for name in item.group} - {"field", "plate"}
    shared &= {name for item in fields for name in item.group}
    if not shared:
        raise JobError(
            "Nothing says which fields belong to which overview.",
            "Give both with the same placeholder, such as {slide}/4x.tif and {slide}/40x_{field}.tif.",
        )
    names = sorted(shared)
    members: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for item in fields:
        members[tuple(item.group.get(name, "") for name in names)].append(item)
    slides: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for item in overviews:
        slides[tuple(item.group.get(name, "") for name in names)].append(item)
    jobs = []
    for group, here in members.items():
        item = Item("_".join(group), here[0].source, dict(zip(names, group, strict=True)))
        images = {
            "overviews": [each.source for each in slides[group]] or [f"(no overview of {item.key})"],
            "fields": [each.source for each in here],
        }
        jobs.append((item, kind.parse({**batch.settings, **images, "output": output_of(batch, item)})))
    return jobs
