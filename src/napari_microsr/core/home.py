"""Where an unfinished store grows on this computer's disk, who holds it, and how it gets its name."""

import shutil
from pathlib import Path
from typing import Any

from napari_microsr.core.journal import JOURNAL, Journal
from napari_microsr.core.lock import HOLDER, LOCK, Lock
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.errors import OutputError

_OURS = (LOCK, HOLDER)


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
        self._lock = Lock(self.folder, self.folder)
        try:
            self.journal = self._open(fingerprint, restart)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, fingerprint: dict[str, Any], restart: bool) -> Journal:
        if not self.note.exists() and any(entry.name not in _OURS for entry in self.folder.iterdir()):
            raise OutputError(f"{self.folder} holds files of another program.", "Move that folder away.")
        journal = Journal(self.note, fingerprint, discard=restart)
        if journal.blocks:
            refuse_other(self.folder, journal.header, fingerprint)
        else:
            _empty(self.folder)
            journal = Journal(self.note, fingerprint, discard=True)
        self._sweep()
        return journal

    def look(self, layout: Layout) -> None:
        """Forget the blocks whose files are gone, so that they are made again.

        A block of zeros has no file; making it again costs less than a hole that nobody sees.
        """
        blocks = self.journal.blocks
        blocks -= {place for place in blocks if not (self.folder / layout.key(place)).exists()}

    def _sweep(self) -> None:
        """Remove the temporary files of killed writes: the finished store must not hold any."""
        for leftover in self.folder.rglob("*.partial"):
            leftover.unlink(missing_ok=True)

    def finish(self) -> None:
        """Rename the store and drop the journal; one that it replaces is there until then.

        Raises
        ------
        OutputError
            If the unfinished store was removed while it was written.
        """
        self.close()
        if not self.note.exists() or not (self.folder / "zarr.json").exists():
            raise OutputError(f"{self.folder} was removed while it was written.", "Run the job again.")
        self._sweep()
        old = self.path.with_name(self.path.name + ".replaced")
        if old.exists():
            shutil.rmtree(old)  # a run was killed while it removed it
        if self.path.exists():
            self.path.rename(old)
        self.folder.rename(self.path)
        # After the name: whatever lies under the other one can be resumed.
        (self.path / JOURNAL).unlink()
        if old.exists():
            shutil.rmtree(old)

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
        if entry.name in (*_OURS, JOURNAL):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
