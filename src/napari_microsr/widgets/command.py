"""The command line that does the same as a form."""

import shlex
import subprocess
import sys
from pathlib import Path

from napari_microsr.core.job import Job


def command_line(job: Job) -> str:
    """Return the `microsr` command of a job, quoted for the shell of this system.

    Required texts and paths come first, without their names; then numbers that are required, and what
    differs from the default.
    """
    required = {name: getattr(job, name) for name, it in type(job).model_fields.items() if it.is_required()}
    words, named = [], []
    for name, value in required.items():
        if isinstance(value, (str, Path)):
            # An absolute path works from every folder, and cannot be taken for an option.
            words.append(str(value.absolute() if isinstance(value, Path) else value))
        else:
            named += ["--" + name.replace("_", "-"), str(value)]
    return quoted(["microsr", job.task, *words, *named, *option_words(job)])


def option_words(job: Job) -> list[str]:
    """Return the settings of a job that differ from the default, as words of its command."""
    words: list[str] = []
    for name, field in type(job).model_fields.items():
        value, option = getattr(job, name), name.replace("_", "-")
        if field.is_required() or (value == field.default and name != "model"):
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, tuple):
            words += [word for item in value for word in (f"--{option}", str(item))]
        else:
            for word in value if isinstance(value, tuple) else (value,):
                words += [f"--{option}", str(word)]
    return words


def quoted(words: list[str]) -> str:
    """Join the words of a command, quoted for the shell of this system."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
