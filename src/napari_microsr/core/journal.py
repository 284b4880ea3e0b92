"""Which blocks of an unfinished store are proven to be complete."""

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from napari_microsr.core.remote import is_remote, read_bytes
from napari_microsr.errors import OutputError

JOURNAL = "microsr-journal.txt"

Block = tuple[int, int, int, int]
"""Pyramid level, plane, row, column of one shard."""


class Journal:
    """An append-only list of finished blocks beside the data, headed by what the run computes.

    A line is written after its block's file is in place, in one write call; a kill can only cut the last
    line, which is then ignored. So every block listed is complete.

    Parameters
    ----------
    path : pathlib.Path
        The journal file; it is read if it is there, else begun.
    header : dict
        What the run computes; kept as the first line.
    discard : bool
        Begin anew.

    Raises
    ------
    OutputError
        If the file is damaged.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, discard: bool = False) -> None:
        self.path = path
        self.blocks: set[Block] = set()
        self._stream: IO[bytes] | None = None
        lines = path.read_bytes().split(b"\n") if path.exists() and not discard else []
        if len(lines) > 1:
            try:
                self.header: dict[str, Any] = dict(json.loads(lines[0]))
                for line in lines[1:-1]:
                    level, plane, row, col = map(int, line.split())
                    self.blocks.add((level, plane, row, col))
            except (ValueError, TypeError) as error:
                raise OutputError(f"{path} is damaged.", "Restart to begin that run anew.") from error
            with path.open("rb+") as stream:
                stream.truncate(sum(len(line) + 1 for line in lines[:-1]))
        else:
            self.header = header
            path.write_bytes(json.dumps(header).encode() + b"\n")

    def add(self, blocks: Iterable[Block]) -> None:
        """Note that `blocks` are complete."""
        if self._stream is None:
            self._stream = self.path.open("ab", buffering=0)
        blocks = list(blocks)
        lines = b"".join(b"%d %d %d %d\n" % block for block in blocks)
        size = os.fstat(self._stream.fileno()).st_size
        if self._stream.write(lines) != len(lines):
            # A disk that gets full takes a part; the next line must not follow half of one.
            os.truncate(self.path, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.blocks.update(blocks)

    def close(self) -> None:
        """Close the file and leave it in place."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._stream = None


def read_header(path: Path) -> dict[str, Any] | None:
    """Return what the run of a journal computes, None where there is no journal."""
    try:
        header: dict[str, Any] = json.loads(_first_line(path))
    except (FileNotFoundError, ValueError):
        return None
    return header


def _first_line(path: Path) -> bytes:
    if is_remote(path):
        return read_bytes(path).partition(b"\n")[0]
    with path.open("rb") as stream:
        return stream.readline()
