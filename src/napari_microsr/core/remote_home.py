"""An unfinished store in an object store, where nothing can be renamed, locked or appended to.

An object is there as a whole or not at all: a shard that is listed is complete, and the list is the journal.
The group's metadata are written last: before that no reader takes the arrays for an image.
"""

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from napari_microsr.core.home import refuse_other
from napari_microsr.core.journal import Block
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.output import made_here
from napari_microsr.core.remote import forget_listing, read_bytes
from napari_microsr.errors import OutputError

NOTE = "microsr-journal.json"
HOLDER = "microsr-holder.json"
#: A holder renews its claim this often; one that has not for the longer time is dead, in seconds.
RENEW_S, LEASE_S = 30.0, 300.0


class Listed:
    """The blocks that are there.

    Attributes
    ----------
    header : dict
        What the run computes.
    blocks : set of Block
        What is complete.
    """

    def __init__(self, header: dict[str, Any], renew: Callable[[], None]) -> None:
        self.header = header
        self.blocks: set[Block] = set()
        self._renew = renew

    def add(self, blocks: Iterable[Block]) -> None:
        """Take note of blocks, which prove themselves by being there."""
        self.blocks.update(blocks)
        self._renew()


class RemoteHome:
    """The store at its own place, with notes in `PATH.partial/` until it is complete.

    Parameters
    ----------
    path : upath.UPath
        The store to make.
    fingerprint : dict
        What the run computes, of JSON's types.
    restart : bool
        Discard what is there: a store that is replaced is gone at once.

    Raises
    ------
    OutputError
        If an unfinished store belongs to another run or is being written by another process.
    """

    previews = False

    def __init__(self, path: Path, fingerprint: dict[str, Any], *, restart: bool) -> None:
        self.folder = path
        self._aside = path.with_name(path.name + ".partial")
        self.note, self._holder = self._aside / NOTE, self._aside / HOLDER
        self._me = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "user": getpass.getuser(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        self._claim()
        try:
            self.journal = self._open(fingerprint, restart)
        except BaseException:
            self.close()
            raise

    def _claim(self) -> None:
        """Become the holder; who is cut off, or killed, loses its claim after a while."""
        holder = _read(self._holder)
        if holder and not _is_dead(holder) and time.time() - float(holder.get("renewed", 0)) < LEASE_S:
            raise OutputError(
                f"{self.folder} is being written by {holder.get('user')} on {holder.get('host')}, process"
                f" {holder.get('pid')}, since {holder.get('since')}.",
                f"Wait for it, or {LEASE_S / 60:.0f} minutes if it is dead, or give another output.",
            )
        self._renew()
        if (_read(self._holder) or {}).get("pid") != self._me["pid"]:
            raise OutputError(f"{self.folder} has just been taken by another run.", "Give another output.")

    def _renew(self) -> None:
        self._renewed = time.time()
        _write(self._holder, {**self._me, "renewed": self._renewed})

    def _open(self, fingerprint: dict[str, Any], restart: bool) -> Listed:
        header = _read(self.note)
        if header is not None and not restart:
            refuse_other(self.folder, header, fingerprint)
        if header is None and _keys(self.folder) and not made_here(self.folder):
            raise OutputError(
                f"{self.folder} holds objects of another program.", "Give another output, or move them away."
            )
        if header is None or restart:
            # The group's metadata first: what is half deleted must not pass for an image.
            _remove(self.folder / "zarr.json")
            _remove(self.folder)
            _write(self.note, fingerprint)
        return Listed(fingerprint, self._still_here)

    def look(self, layout: Layout) -> None:
        """Find the blocks that are there."""
        folder: Any = self.folder
        root = str(folder.path).strip("/") + "/"
        there = {key.strip("/").removeprefix(root) for key in _keys(self.folder)}
        self.journal.blocks.update(place for place in layout.blocks() if layout.key(place) in there)

    def _still_here(self) -> None:
        if time.time() - self._renewed > RENEW_S:
            self._renew()

    def finish(self) -> None:
        """Take the notes away."""
        _remove(self._aside)

    def close(self) -> None:
        """Give up the claim."""
        _remove(self._holder)


def _is_dead(holder: dict[str, Any]) -> bool:
    """Say whether a holder on this computer has ended."""
    if holder.get("host") != socket.gethostname() or os.name == "nt":
        return False
    if holder.get("pid") == os.getpid():
        return False
    try:
        os.kill(int(holder.get("pid", 0)), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(read_bytes(path))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    remote: Any = path
    remote.fs.pipe_file(remote.path, json.dumps(content).encode() + b"\n")


def _remove(path: Path) -> None:
    forget_listing(path)
    remote: Any = path
    if remote.fs.exists(remote.path):
        remote.fs.rm(remote.path, recursive=True)
    forget_listing(path)


def _keys(path: Path) -> list[str]:
    forget_listing(path)
    remote: Any = path
    return list(remote.fs.find(remote.path)) if remote.fs.exists(remote.path) else []
