"""One output has one writer: who comes second is told who came first."""

import getpass
import json
import os
import socket
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from napari_microsr.errors import OutputError

LOCK = "microsr.lock"
#: Beside the lock, for old versions of filelock empty the file of a lock that they try to take.
HOLDER = "microsr.holder.json"


def beside(output: Path) -> str:
    """Return the beginning of the names of lock and holder of an output that is a file."""
    return f".{output.name}."


class Lock:
    """The right to write an output, held until `release` or the end of this process, however it comes.

    The kernel keeps it, so that nothing stale stays behind a process that was killed.

    Parameters
    ----------
    folder : pathlib.Path
        Where lock and holder are written; it is made if it is not there.
    output : pathlib.Path
        What is written, to be named to others.
    prefix : str
        Of the names of the two files, where they do not lie in a folder of their own.

    Raises
    ------
    OutputError
        If another run holds it; it says which.
    """

    def __init__(self, folder: Path, output: Path, prefix: str = "") -> None:
        self._lock, self._holder = folder / (prefix + LOCK), folder / (prefix + HOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        self._held = FileLock(self._lock, timeout=0)
        try:
            self._held.acquire()
        except Timeout as error:
            raise OutputError(
                f"{output} is being written by another run{self._who()}.",
                "Wait for that run to finish, cancel it, or give another output.",
            ) from error
        try:
            self._holder.write_text(json.dumps(_me()), encoding="utf-8")
        except BaseException:
            self._held.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others write, and leave no file behind."""
        if self._held.is_locked:
            # While it is held: later they may be those of the next.
            self._holder.unlink(missing_ok=True)
            self._lock.unlink(missing_ok=True)
            self._held.release()

    def _who(self) -> str:
        try:
            known = json.loads(self._holder.read_text(encoding="utf-8"))
            return " ({user}, process {pid} on {host}, since {since})".format(**known)
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # it has only just begun


def _me() -> dict[str, str | int]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = str(os.getuid())
    since = datetime.now().astimezone().isoformat(" ", timespec="seconds")
    return {"user": user, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
