"""Which dask cluster a run uses: its address, its workers' cores and GPUs, and what may go wrong there."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_microsr.errors import JobError

#: How long a scheduler may take to answer, and how long one may be away in the middle of a run, in seconds.
TIMEOUT_S, AWAY_S = 10.0, 120.0

#: What `cluster` of every job says of itself.
FORMS = "tcp://HOST:PORT of a dask scheduler, its scheduler file NAME.json, or local:N for N processes here"


@contextlib.contextmanager
def connect(address: str) -> Iterator[Any]:
    """Open a client of the cluster that a user named.

    Parameters
    ----------
    address : str
        "tcp://HOST:PORT" (or tls://) of a scheduler whose workers see the same files; the path of the file
        that a scheduler wrote (``dask scheduler --scheduler-file``); or "local:N" for N processes on this
        machine, which share its cores and its GPUs.

    Yields
    ------
    distributed.Client
        Of the cluster; closed in the end, and with it the processes of "local:N".

    Raises
    ------
    JobError
        If dask.distributed is not installed, the address has another form, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise JobError(
            "A distributed run needs dask.distributed, which is not installed.",
            "Install it with: pip install 'napari-microsr[cluster]'.",
        ) from error
    kind, _, number = address.partition(":")
    if kind == "local" and number.isdigit() and int(number) > 0:
        with _here(int(number)) as client:
            yield client
        return
    try:
        place = _scheduler(address)
        Client(place, timeout=TIMEOUT_S).close()
        # A client waits as long for a scheduler that it loses as it did for it in the beginning.
        client = Client(place, timeout=AWAY_S)
    except (OSError, ValueError) as error:
        raise JobError(
            f"No dask scheduler answers at {address}.", "Start it, or correct the address."
        ) from error
    with client:
        yield client


def _scheduler(address: str) -> str:
    """Return the address of a scheduler, which may be in a file that it wrote."""
    if address.startswith(("tcp://", "tls://")):
        return address
    if not address.endswith(".json"):
        raise JobError(f"{address!r} is not the address of a cluster.", f"Give {FORMS}.")
    try:
        return str(json.loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise JobError(
            f"The scheduler file {address} does not exist, or holds no address.",
            "Start the scheduler with --scheduler-file, and wait until it has written the file.",
        ) from error


@contextlib.contextmanager
def _here(count: int) -> Iterator[Any]:
    """Start processes on this machine; each gets its share of the cores and one of the GPUs."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(_share_plugin(count))
        yield client


def _share_plugin(count: int) -> Any:
    """Return what sets up each worker, also one that replaces a killed one."""
    from distributed import WorkerPlugin

    class Share(WorkerPlugin):  # type: ignore[misc]  # distributed comes without types
        """Gives a worker its share of the machine."""

        def setup(self, worker: Any) -> None:
            """Set the threads, and show the worker one GPU only."""
            import torch

            torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
            # Before anything asks CUDA for its devices; a choice of the user's own stays.
            gpus = _gpus()
            if gpus and str(worker.name).isdigit():
                os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(worker.name) % len(gpus)]

    return Share()


def _gpus() -> list[str]:
    """Return the GPUs of this machine without waking CUDA, which could not be told to look away then."""
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [part for part in chosen.split(",") if part]
    import torch

    # NVML is asked, not CUDA, where it is there.
    return [str(index) for index in range(torch.cuda.device_count())]
