"""Many tasks on a dask cluster: sent when a worker is free for them, again when one is lost."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any

from napari_microsr import __version__
from napari_microsr.core.progress import Progress
from napari_microsr.errors import ClusterError, MicroSRError

#: Tasks sent per thread of the cluster: enough that none waits for the next, few enough to forget.
AHEAD = 3
LOOK_S = 0.2
#: How often the cluster's size is asked, in seconds.
COUNT_S = 2.0

Done = Callable[[Any, Any], Iterable[Any] | None]


class Kept:
    """Objects that all tasks of a run need, sent once; a worker's process keeps one copy of each.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    *objects
        What to keep; they can be pickled.
    beside : Kept, optional
        What is kept already and comes before these.
    """

    def __init__(self, client: Any, *objects: Any, beside: "Kept | None" = None) -> None:
        self.client, self._beside = client, beside
        self._objects = objects
        self._futures: list[Any] = []

    def futures(self) -> list[Any]:
        """Return what stands for the objects in a task, sending them if they are not there."""
        if not self._futures:
            # As results of tasks, which dask makes again where a worker took the only copy with it.
            self._futures = [submit(self.client, _keep, one) for one in self._objects]
        return [*(self._beside.futures() if self._beside else ()), *self._futures]

    def forget(self) -> None:
        """Take note that the cluster has lost the objects."""
        self._futures = []
        if self._beside:
            self._beside.forget()


def submit(client: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Send one task, without dask's warning of a large one: an image in memory is, and is sent once."""
    import dask.config

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
        return client.submit(function, *arguments, pure=False)


def spread(
    kept: Kept,
    work: Callable[..., Any],
    tasks: Iterable[Any],
    done: Done,
    look: Callable[[], None],
    progress: Progress,
) -> None:
    """Do every task on some worker.

    A task whose worker is lost is done again by another. When the scheduler is lost, the tasks that it had
    are sent again as soon as it, or another at its address, is there.

    Parameters
    ----------
    kept : Kept
        The cluster, and what all tasks need.
    work : callable
        Module-level function, called as ``work(*kept, task)`` on a worker.
    tasks : iterable
        What to do, in this order; read as the cluster asks for more.
    done : callable
        Called here with each task and its result, in the order in which they end; what it returns is done
        before the tasks that have not been sent.
    look : callable
        Called here several times a second; may raise to stop. Tasks not begun are withdrawn then.
    progress : Progress
        Warned when there is nobody to work.

    Raises
    ------
    MicroSRError
        The first that a worker raised.
    ClusterError
        If workers die of a task, fail in another way, or the scheduler does not come back.
    """
    pump = _Pump(kept, work, tasks, look, progress)
    try:
        while pump.send():
            look()
            if (ended := pump.wait()) is not None:
                pump.first(done(*ended) or ())
    finally:
        pump.withdraw()


def ask(client: Any, function: Callable[..., Any], question: Any, progress: Progress) -> Any:
    """Return what a module-level function of one argument says on some worker.

    Raises
    ------
    MicroSRError
        As `spread` does.
    Cancelled
        From `progress.advance`.
    """
    answers: list[Any] = []
    spread(
        Kept(client),
        function,
        [question],
        lambda _, answer: answers.append(answer),
        lambda: progress.advance("waiting for the cluster", 0, 1),
        progress,
    )
    return answers[0]


class _Pump:
    """The tasks that are sent, and those that are not."""

    def __init__(
        self,
        kept: Kept,
        work: Callable[..., Any],
        tasks: Iterable[Any],
        look: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._client, self._work, self._kept = kept.client, work, kept
        self._look, self._progress = look, progress
        self._tasks, self._front = iter(tasks), deque[Any]()
        self._sent: dict[str, tuple[Any, Any]] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._room, self._counted, self._told = AHEAD, 0.0, False

    def send(self) -> bool:
        """Send as many tasks as the cluster has room for; say whether any are under way."""
        self._count()
        while len(self._sent) < self._room and (task := self._next()) is not None:
            future = submit(self._client, _do, __version__, self._work, *self._kept.futures(), task)
            self._sent[future.key] = future, task
            future.add_done_callback(self._ended.put)
        return bool(self._sent)

    def first(self, tasks: Iterable[Any]) -> None:
        """Put tasks before those not sent."""
        self._front.extend(tasks)

    def wait(self) -> tuple[Any, Any] | None:
        """Return a task that ended and its result, None if none did for a while."""
        try:
            future = self._ended.get(timeout=LOOK_S)
        except Empty:
            return None
        if future.key not in self._sent:
            return None  # of a scheduler that is gone
        if future.status in ("cancelled", "lost"):
            self._recover()
            return None
        try:
            result = future.result()
        except MicroSRError:
            raise
        except Exception as error:
            if self._client.status != "running":
                self._recover()
                return None
            raise _fault(error) from error
        return self._sent.pop(future.key)[1], result

    def withdraw(self) -> None:
        """Give up what is under way."""
        if self._sent and self._client.status == "running":
            self._client.cancel([future for future, _ in self._sent.values()], force=True)
        self._sent.clear()

    def _next(self) -> Any:
        return self._front.popleft() if self._front else next(self._tasks, None)

    def _count(self) -> None:
        if time.monotonic() - self._counted < COUNT_S:
            return
        self._counted = time.monotonic()
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, TimeoutError):
            return  # the scheduler is away: its tasks will come back cancelled
        self._room = AHEAD * max(1, threads)
        if not threads and not self._told:
            self._progress.warn("The cluster has no worker now: waiting for one.")
            self._told = True

    def _recover(self) -> None:
        """Wait for the scheduler, and put before the others what it had."""
        self._progress.warn("The cluster's scheduler is lost: waiting for it to come back.")
        while not self._answers():
            self._look()
            time.sleep(LOOK_S)
        self._front.extendleft(task for _, task in reversed(list(self._sent.values())))
        self._sent.clear()
        self._kept.forget()

    def _answers(self) -> bool:
        if self._client.status == "closed":
            raise ClusterError(
                "The cluster's scheduler is lost and did not come back.",
                "Start it again and run the same command: it goes on where it stopped.",
            )
        try:
            self._client.nthreads()
        except (OSError, TimeoutError):
            return False
        return bool(self._client.status == "running")


def _keep(one: Any) -> Any:
    return one


def _do(version: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do one task, on a worker."""
    if version != __version__:
        raise ClusterError(
            f"A worker has napari-microsr {__version__}, this program {version}.",
            "Install the same version in both: others need not compute the same pixels.",
        )
    return work(*arguments)


def _fault(error: Exception) -> ClusterError:
    """Say in a sentence what befell a worker."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return ClusterError(
            "Several workers died one after the other of the same task.",
            "Give them more memory, or choose a smaller tile; the same command then goes on.",
        )
    reason = " ".join(str(error).split())[:300]
    return ClusterError(
        f"A worker of the cluster failed ({type(error).__name__}: {reason}).",
        "Look at its log; workers need the same packages and must see the same files.",
    )
