"""The settings of a task: one class from which form, command line, YAML and provenance are made."""

from pathlib import Path, PurePath
from typing import Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from napari_microsr import __version__
from napari_microsr.core.remote import is_url, refuse_secrets
from napari_microsr.errors import JobError


class Job(BaseModel):
    """Base of the settings of every task.

    A field carries its unit in its name (`tile_px`, `pixel_nm`) and a description, which becomes
    the widget's tooltip, the command's help and the reference page.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)

    task: ClassVar[str]
    #: Fields that say where and how to run, not what to compute: they leave the result's bytes alone.
    execution_fields: ClassVar[frozenset[str]] = frozenset()
    #: What a cancel leaves; said to the user.
    after_cancel: ClassVar[str] = "nothing is kept"

    @field_validator("*", mode="before")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:
        """Refuse credentials in a URL: a job is kept, shown and sent to other computers."""
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, str | PurePath):
                refuse_secrets(str(one))
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        """Refuse a URL where only a path will do: pathlib would make a folder of its name."""
        if isinstance(value, Path) and is_url(value):
            raise JobError(
                f"{value} is a URL, and this file can only be on a disk.",
                "Give a path: images are read from URLs, and OME-Zarr results written to them.",
            )
        return value

    def provenance(self) -> dict[str, Any]:
        """Return what made the result: version, task and the settings that its pixels depend on."""
        settings = self.model_dump(mode="json", exclude=set(self.execution_fields))
        return {"version": __version__, "task": self.task, "job": settings}

    def to_yaml(self) -> str:
        """Return the job as YAML, its task first."""
        settings = {"task": self.task, **self.model_dump(mode="json", exclude_unset=True)}
        return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))

    @classmethod
    def parse(cls, settings: dict[str, Any]) -> Self:
        """Validate `settings`.

        Raises
        ------
        JobError
            That names each wrong field and what was expected there.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'job'}: {fault['msg']}" for fault in error.errors()
            )
            known = ", ".join(cls.model_fields)
            raise JobError(
                f"The {cls.task} job has wrong settings ({faults}).", f"The settings are: {known}."
            ) from error


def read_job_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a job file and return its task and its settings.

    Raises
    ------
    JobError
        If the file is missing, is not YAML, or names no task.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise JobError(
            f"The job file {path} cannot be read ({reason}).", "Give the path of a YAML file."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("task"), str):
        raise JobError(f"The job file {path} names no task.", "Begin it with a line such as 'task: upscale'.")
    task = content.pop("task")
    return task, content
