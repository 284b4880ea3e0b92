"""The command line that does the same as a form."""

import shlex
import subprocess
import sys
from pathlib import Path

from napari_microsr.core.job import Job


def command_line(job: Job) -> str:
    """Return the `microsr` command of a job, quoted for the shell of this system.

    Required settings come first, without their names; then those that differ from the default.
    """
    words = ["microsr", job.task]
    options: list[str] = []
    for name, field in type(job).model_fields.items():
        value = getattr(job, name)
        if field.is_required():
            # An absolute path works from every folder, and cannot be taken for an option.
            words.append(str(value.absolute() if isinstance(value, Path) else value))
        elif value is True:
            options.append("--" + name.replace("_", "-"))
        elif value != field.default or name == "model":
            options += ["--" + name.replace("_", "-"), str(value)]
    words += options
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
