"""Small text files of placements: written whole or not at all, read with a sentence for each fault."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_microsr.core.output import writing
from napari_microsr.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that no reader ever sees a part of it.

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full; a file that was there before stays as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Read a text file.

    Raises
    ------
    InputError
        If it is missing, may not be read or holds no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} holds no text.", "Choose a file of placements.") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}).", "Check that you may read it."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        As `read_text`, and if the file is cut off or is no JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not valid JSON ({error}).", "The file seems damaged or incomplete: export it again."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object.", "Choose a file of placements.")
    return content


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """Give each field a file name of letters that every system takes, no two the same."""
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = stem = re.sub(r"[^\w.-]+", "_", name) or "field"
        number = 2
        while stem.casefold() in taken:
            stem, number = f"{base}-{number}", number + 1
        taken.add(stem.casefold())
        stems[name] = stem
    return stems
