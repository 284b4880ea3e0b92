"""Fields and pairs of fields on the workers of a cluster."""

import io
import pickle
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import cloudpickle

from napari_microsr.core.progress import Progress
from napari_microsr.core.spread import Kept, spread
from napari_microsr.registration.fields import Finder
from napari_microsr.registration.grounds import Ground
from napari_microsr.registration.parallel import Crew, Result, Task


class ClusterCrew(Crew):
    """A crew of computers: the same steps, each task on some worker.

    The overviews are sent once. What the fields have taught so far goes with every step.

    Parameters
    ----------
    progress : Progress
        As of every crew.
    client : distributed.Client
        Of the cluster.
    grounds : sequence of Ground
        The overviews.
    """

    def __init__(self, progress: Progress, client: Any, grounds: Sequence[Ground]) -> None:
        super().__init__(progress)
        self._client, self._grounds = client, list(grounds)
        self._overviews = Kept(client, self._grounds)
        self.finder: Finder | None = None

    def run(
        self,
        label: str,
        work: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Callable[[Task, Result], None],
        before: int = 0,
        total: int | None = None,
    ) -> None:
        """Do `work`, which belongs to the finder or to what uses it, for every task; see `Crew.run`.

        Raises
        ------
        Cancelled
            From the progress.
        MicroSRError
            As `spread` does.
        """
        total, count = total or before + len(tasks), before
        finder = self.finder
        assert finder is not None

        def take(task: Task, answer: tuple[Result, set[int]]) -> None:
            nonlocal count
            count += 1
            result, broken = answer
            finder.broken.update(broken)
            done(task, result)

        def look() -> None:
            self.progress.advance(label, count, total)

        step = Step(_pack((work, finder), self._grounds))
        spread(Kept(self._client, step, beside=self._overviews), _do, tasks, take, look, self.progress)
        look()


class Step:
    """A step of a registration as a worker's process keeps it: unpacked with the first task."""

    def __init__(self, packed: bytes) -> None:
        self._packed, self._lock = packed, Lock()
        self._ready: tuple[Callable[[Any], Any], Finder] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Step, (self._packed,)

    def do(self, grounds: list[Ground], task: Any) -> tuple[Any, set[int]]:
        """Do a task; return its result and which fields cannot be read."""
        with self._lock:
            if self._ready is None:
                self._ready = _Unpickler(io.BytesIO(self._packed), grounds).load()
        work, finder = self._ready
        return work(task), set(finder.broken)


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle comes without types
    """Packs a step without the overviews, which the workers have."""

    def __init__(self, file: io.BytesIO, grounds: Sequence[Ground]) -> None:
        super().__init__(file)
        self._numbers = {ground: number for number, ground in enumerate(grounds)}

    def persistent_id(self, one: Any) -> int | None:
        """Return the number of an overview."""
        return self._numbers.get(one) if isinstance(one, Ground) else None


class _Unpickler(pickle.Unpickler):
    """Unpacks what `_Packer` packed in this same run."""

    def __init__(self, file: io.BytesIO, grounds: Sequence[Ground]) -> None:
        super().__init__(file)
        self._grounds = grounds

    def persistent_load(self, number: int) -> Ground:
        """Return an overview."""
        return self._grounds[number]


def _pack(one: Any, grounds: Sequence[Ground]) -> bytes:
    file = io.BytesIO()
    _Packer(file, grounds).dump(one)
    return file.getvalue()


def _do(grounds: list[Ground], step: Step, task: Any) -> tuple[Any, set[int]]:
    return step.do(grounds, task)
