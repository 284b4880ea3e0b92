"""What a user can ask for of a batch."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from napari_microsr.core.job import Job

#: Ending of each result where the batch names none.
ENDINGS = {"upscale": ".ome.zarr", "localize": ".csv", "register": ".json"}


class BatchOptions(Job):
    """How the inputs of a batch are found."""

    task: ClassVar[str] = "batch"

    pattern: str | None = None
    """What the names of the files in a folder say, such as {well}_s{field}_w{channel}.tif, or one of
    imagexpress, opera and cellvoyager. Files that differ in {channel}, {z} and {time} are one image."""


class BatchJob(BatchOptions):
    """Settings of a batch: one task on many inputs."""

    execution_fields: ClassVar[frozenset[str]] = frozenset({"output", "plate"})
    after_cancel: ClassVar[str] = "what is done is kept, and the same command does the rest"

    do: Literal["upscale", "localize", "register"]
    """Task that is done with each input."""
    inputs: list[str] = Field(min_length=1)
    """Files, folders, patterns such as day1/*.tif, and plates (OME-Zarr HCS); to register, those of the
    fields."""
    overviews: list[str] = Field(default_factory=list)
    """To register only: the overviews, likewise; those of the same well, or whatever the pattern names, go
    with its fields."""
    output: Path
    """Folder of the run: results, manifest, summary and report."""
    plate: Path | None = None
    """Where the plate of results is written, NAME.ome.zarr; empty puts it into the run folder under the
    name of its source."""
    ending: str | None = None
    """Ending of each result, such as .hdf5; empty is the task's own."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task, but for its input and its output."""
