"""The same tile plan, spread over a dask cluster.

The coordinator holds the journal and builds the pyramid; a worker computes whole shards and writes them
itself, so that no pixel crosses the network and no two processes write one shard.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from napari_microsr.core.progress import Progress
from napari_microsr.errors import JobError

# Batches in one task: enough to hide the scheduler, few enough to cancel soon.
BATCHES_PER_TASK = 4
TIMEOUT_S = 10.0


@contextlib.contextmanager
def connect(address: str) -> Iterator[Any]:
    """Open a client of the cluster that a user named.

    Parameters
    ----------
    address : str
        "tcp://HOST:PORT" of a scheduler whose workers see the same files, or "local:N" for N processes on
        this machine, which share its cores.

    Raises
    ------
    JobError
        If dask.distributed is not installed, the address has another form, or nobody answers there.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise JobError(
            "A distributed run needs dask.distributed, which is not installed.",
            "Install it with: pip install 'napari-microsr[cluster]'.",
        ) from error
    kind, _, number = address.partition(":")
    if kind == "local" and number.isdigit() and int(number) > 0:
        count = int(number)
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as cluster,
            Client(cluster) as client,
        ):
            client.run(_share_cores, max(1, (os.cpu_count() or 1) // count))
            yield client
        return
    if not address.startswith(("tcp://", "tls://")):
        raise JobError(
            f"{address!r} is not the address of a cluster.",
            "Give tcp://HOST:PORT of a dask scheduler, or local:N for N processes on this machine.",
        )
    try:
        client = Client(address, timeout=TIMEOUT_S)
    except OSError as error:
        raise JobError(
            f"No dask scheduler answers at {address}.", "Start it, or correct the address."
        ) from error
    with client:
        yield client


def _share_cores(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def run_on_cluster(
    client: Any,
    compute: Callable[[Sequence[range]], list[str]],
    batches: Sequence[range],
    finished: Callable[[Sequence[range]], None],
    progress: Progress,
) -> None:
    """Run `compute` on groups of batches, each on some worker.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    compute : callable
        Picklable; computes and writes the tiles of some batches, returns warnings for the user.
    batches : sequence of range
        What is left to do.
    finished : callable
        Called here with the batches of each task that is done.
    progress : Progress
        Advanced after each task.

    Raises
    ------
    Cancelled
        From `progress.advance`; tasks not begun are withdrawn.
    MicroSRError
        The first that a worker raised.
    """
    from distributed import as_completed

    groups = [batches[i : i + BATCHES_PER_TASK] for i in range(0, len(batches), BATCHES_PER_TASK)]
    total, done = sum(map(len, batches)), 0
    progress.advance("tiles", done, total)
    futures = {client.submit(compute, group, pure=False): group for group in groups}
    try:
        for future in as_completed(futures):
            for message in future.result():
                progress.warn(message)
            group = futures[future]
            finished(group)
            done += sum(map(len, group))
            progress.advance("tiles", done, total)
    finally:
        client.cancel(list(futures), force=True)
