"""What an unfinished localisation has found so far, on disk: one file per block of frames."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_microsr.core.lock import Lock
from napari_microsr.core.output import writing
from napari_microsr.errors import OutputError
from napari_microsr.smlm.localizations import COLUMNS, Localizations

SETTINGS = "settings.json"
_NAME = re.compile(r"(\d{9})-(\d{9})\.npz")


class Parts:
    """A folder OUTPUT.partial that grows block by block and knows which frames it lacks.

    A block's file is complete when it has its name; blocks of any sizes may follow each other.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there.
    settings : dict
        All that the table depends on: only a run of the same settings goes on.
    restart : bool
        Forget what is there.

    Raises
    ------
    OutputError
        If the folder holds another run's parts, or cannot be written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, restart: bool) -> None:
        self.folder = folder
        note, text = folder / SETTINGS, json.dumps(settings, sort_keys=True)
        with writing(folder):
            self._lock = Lock(folder, folder)
            try:
                if restart:
                    self._empty()
                self._open(note, text)
            except BaseException:
                self.close()
                raise

    def _open(self, note: Path, text: str) -> None:
        if not note.is_file():
            unfinished = note.with_suffix(".tmp")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(note)
        elif note.read_text(encoding="utf-8", errors="replace") != text:
            raise OutputError(
                f"{self.folder} holds an unfinished run with other settings.",
                "Restart to replace it, or give another output.",
            )

    def _empty(self) -> None:
        """Forget everything; the note last, so that a kill leaves the folder recognisable as ours."""
        for path in (*self.folder.glob("*.npz"), *self.folder.glob("*.tmp"), self.folder / SETTINGS):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write; what is there stays."""
        self._lock.release()

    def missing(self, frames: range) -> list[range]:
        """Return the frames that are not there, in unbroken stretches."""
        gaps, begin = [], frames.start
        for start, stop, _ in self._blocks():
            if start > begin:
                gaps.append(range(begin, start))
            begin = max(begin, stop)
        if begin < frames.stop:
            gaps.append(range(begin, frames.stop))
        return gaps

    def write(self, start: int, stop: int, table: Localizations) -> None:
        """Keep the rows of the frames `start` to `stop - 1`."""
        path = self.folder / f"{start:09d}-{stop:09d}.npz"
        with writing(path):
            unfinished = path.with_suffix(".tmp")
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **table.columns())
            unfinished.replace(path)

    def read(self, **field: Any) -> Localizations:
        """Return all rows; `field` is what `Localizations.from_columns` wants beside columns."""
        columns: dict[str, list[Any]] = {name: [np.zeros(0, kind)] for name, kind in COLUMNS.items()}
        for _, _, path in self._blocks():
            with np.load(path, allow_pickle=False) as part:
                for name, pieces in columns.items():
                    pieces.append(part[name])
        joined: dict[str, Any] = {name: np.concatenate(pieces) for name, pieces in columns.items()}
        return Localizations.from_columns(**joined, **field)

    def remove(self) -> None:
        """Delete the folder."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _blocks(self) -> list[tuple[int, int, Path]]:
        found = []
        for path in sorted(self.folder.glob("*.npz")):
            if match := _NAME.fullmatch(path.name):
                found.append((int(match[1]), int(match[2]), path))
        return found
