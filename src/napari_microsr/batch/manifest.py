"""What a run folder knows: which input was done with which job, model and version."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from napari_microsr.core.output import writing

MANIFEST = "manifest.jsonl"

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class ItemState:
    """How far one input is.

    Attributes
    ----------
    key : str
        The input, see `Item`.
    state : str
        waiting, running, done, failed or cancelled.
    task, source : str
        What is done with what.
    group : dict
        Well, field and the like.
    outputs : tuple of str
        What was written.
    fingerprint : str
        Of all that the result depends on.
    model : dict
        `id` and `sha256` of the network, if there is one.
    version : str
        Of this package.
    time : str
        When the state was noted, ISO 8601, UTC.
    seconds : float
        What it took.
    figures : dict
        Numbers of the result, by their names.
    warnings : tuple of str
        Said on the way.
    error, remedy : str
        Why it failed, and what to do.
    share : float
        Of a running one, from 0 to 1; not kept in the manifest.
    """

    key: str
    state: State = "waiting"
    task: str = ""
    source: str = ""
    group: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    fingerprint: str = ""
    model: dict[str, str] = field(default_factory=dict)
    version: str = ""
    time: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    remedy: str = ""
    share: float = 0.0


class Manifest:
    """An append-only list of states, one JSON object a line; the last line of a key counts.

    A kill can only cut the last line, which is then dropped.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder; it is made if it is not there.
    read_only : bool
        Only to look: nothing is made, mended or noted on the disk.

    Attributes
    ----------
    last : dict
        The state noted last, by key.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path, self._read_only = folder / MANIFEST, read_only
        self.last: dict[str, ItemState] = {}
        with writing(folder):
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            content = self.path.read_bytes() if self.path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            for line in whole.splitlines():
                if (state := _parse(line)) is not None:
                    self.last[state.key] = state
            if len(whole) < len(content) and not read_only:
                os.truncate(self.path, len(whole))

    def note(self, state: ItemState) -> None:
        """Append a state, and see that it survives a crash.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        if not self._read_only:
            self._append(state)
        self.last[state.key] = state

    def _append(self, state: ItemState) -> None:
        entry = {name: value for name, value in asdict(state).items() if value and name != "share"}
        with writing(self.path), self.path.open("ab") as stream:
            stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


_LINE = TypeAdapter(ItemState)


def _parse(line: bytes) -> ItemState | None:
    """Return the state of a line; one that is none, of whatever origin, is passed over."""
    try:
        return _LINE.validate_json(line)
    except ValidationError:
        return None
