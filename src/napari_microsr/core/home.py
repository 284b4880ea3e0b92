"""Where an unfinished store grows on this computer's disk, who holds it, and how it gets its name."""

import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_microsr.core.journal import Journal
from napari_microsr.errors import OutputError

JOURNAL = "microsr-journal.txt"
LOCK = "microsr.lock"


class LocalHome:
    """`PATH.partial` beside the store to make, renamed when it is complete.

    Parameters
    ----------
    path : pathlib.Path
        The store to make.
    fingerprint : dict
        What the run computes, of JSON's types.
    restart : bool
        Discard an unfinished store.

    Attributes
    ----------
    folder : pathlib.Path
        What is written to.
    note : pathlib.Path
        The file whose first line says what the run there computes.
    journal : Journal
        What is done.
    previews : bool
        Whether incomplete blocks may be written, for a viewer.

    Raises
    ------
    OutputError
        If an unfinished store belongs to another run or is being written by another process.
    """

    previews = True

    def __init__(self, path: Path, fingerprint: dict[str, Any], *, restart: bool) -> None:
        self.path = path
        self.folder = path.with_name(path.name + ".partial")
        self.note = self.folder / JOURNAL
        self._lock = FileLock(self.folder / LOCK, timeout=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._acquire()
        try:
            self.journal = self._open(fingerprint, restart)
        except BaseException:
            self._lock.release()
            raise

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self.folder} is being written by another run.",
                "Wait for that run to finish, cancel it, or give another output.",
            ) from error

    def _open(self, fingerprint: dict[str, Any], restart: bool) -> Journal:
        if not self.note.exists() and any(entry.name != LOCK for entry in self.folder.iterdir()):
            raise OutputError(f"{self.folder} holds files of another program.", "Move that folder away.")
        journal = Journal(self.note, fingerprint)
        if journal.blocks and not restart:
            refuse_other(self.folder, journal.header, fingerprint)
        if restart or not journal.blocks:
            _empty(self.folder)
            self.note.unlink()  # last, so that a kill leaves the folder recognisable as ours
            journal = Journal(self.note, fingerprint)
        self._sweep()
        return journal

    def _sweep(self) -> None:
        """Remove the temporary files of killed writes: the finished store must not hold any."""
        for leftover in self.folder.rglob("*.partial"):
            leftover.unlink(missing_ok=True)

    def finish(self) -> None:
        """Drop the journal and rename the store; one that it replaces is there until then."""
        self.close()
        self._sweep()
        self.note.unlink()
        (self.folder / LOCK).unlink(missing_ok=True)
        if self.path.exists():
            old = self.path.with_name(self.path.name + ".replaced")
            self.path.rename(old)
            self.folder.rename(self.path)
            shutil.rmtree(old)
        else:
            self.folder.rename(self.path)

    def close(self) -> None:
        """Release the store."""
        self.journal.close()
        self._lock.release()


def refuse_other(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Refuse to mix a run with an unfinished one of other settings.

    Raises
    ------
    OutputError
    """
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if keys:
        changes = ", ".join(f"{key} {_short(old.get(key))}, now {_short(new.get(key))}" for key in keys)
        raise OutputError(
            f"{folder} holds an unfinished run with other settings ({changes}).",
            "Give the same settings to resume it, or restart to discard it.",
        )


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name in (LOCK, JOURNAL):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
