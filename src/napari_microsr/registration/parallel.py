"""Several fields at a time, in threads: the numerical libraries compute outside Python's lock."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from napari_microsr.core.progress import Cancelled, Progress, SilentProgress

Task = TypeVar("Task")
Result = TypeVar("Result")

_MOST_WORKERS = 8
# Often enough that a person who cancels does not wait.
_LOOK_S = 0.2


class Crew:
    """Threads that share a progress and stop when it is cancelled.

    Parameters
    ----------
    progress : Progress
        Told by the calling thread only.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._stop = Event()

    def __reduce__(self) -> tuple[Any, ...]:
        return Crew, (SilentProgress(),)  # what a worker of a cluster sees of it

    def check(self) -> None:
        """Raise if the others have stopped. Called by the threads between their steps."""
        if self._stop.is_set():
            raise Cancelled

    def run(
        self,
        label: str,
        work: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Callable[[Task, Result], None],
        before: int = 0,
        total: int | None = None,
    ) -> None:
        """Do `work` for every task; `done` gets each result in the calling thread, as they come.

        Parameters
        ----------
        label, before, total
            For the progress: what is counted, how many were done before, and how many there are in all.
        work, tasks, done
            What to do, for what, and who takes the result.

        Raises
        ------
        Cancelled
            If the progress was cancelled; what is in hand is given up.
        """
        total = total or before + len(tasks)
        self.progress.advance(label, before, total)
        with ThreadPoolExecutor(min(_MOST_WORKERS, os.cpu_count() or 1), "place") as pool:
            waiting: dict[Future[Result], Task] = {pool.submit(work, task): task for task in tasks}
            count = len(waiting)
            try:
                while waiting:
                    ready, _ = wait(waiting, _LOOK_S, FIRST_COMPLETED)
                    for future in ready:
                        done(waiting.pop(future), future.result())
                    self.progress.advance(label, before + count - len(waiting), total)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class Shelf(Generic[Result]):
    """Keeps what was made last, up to a number of bytes; made again when it is asked for later.

    Parameters
    ----------
    make : callable
        From a number to an object and its size in bytes.
    most_bytes : int
        What is kept; the last object always is.
    """

    def __init__(self, make: Callable[[int], tuple[Result, int]], most_bytes: int) -> None:
        self._make, self._room = make, most_bytes
        self._kept: OrderedDict[int, tuple[Result, int]] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Shelf, (self._make, self._room)

    def __getitem__(self, number: int) -> Result:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number][0]
        made = self._make(number)
        with self._lock:
            self._kept[number] = made
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._room:
                self._kept.popitem(last=False)
        return made[0]
