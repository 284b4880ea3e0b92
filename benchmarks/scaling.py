"""How super-resolution scales with the workers of a cluster: measured here, and estimated for a plate.

The first table is measured on this computer with one and two worker processes. Where others use it at
the same time wall time says little; then look at the processor time per tile, which is what more workers
would multiply. The second checks, with a real scheduler and this package's own way of sending tasks, the
part that one computer cannot measure: 100 workers, which only sleep. The third estimates 100 workers and
a plate of 10^12 pixels from both.

    python benchmarks/scaling.py [--side-px 3072] [--model histology-x2] [--tasks 3000]
"""

import argparse
import pickle
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from _common import endless_source, machine, print_table
from distributed import Client, LocalCluster

from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.spread import Kept, spread
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.shards import BATCHES_PER_TASK, Tiles

PLATE_PX = 1e12
WORKERS = 100
TILE_PX = 512
#: Written by all workers together to one store, bytes per second: a modest file server.
STORE_BYTES_S = 2e9


@dataclass(frozen=True)
class Measured:
    """One run: seconds, and bytes on the disk."""

    wall: float
    workers_cpu: float
    own_cpu: float
    tiles: int
    written: int


def cpu_s(client: Client) -> float:
    """Processor time of all workers so far."""
    return sum(client.run(own_cpu_s).values())


def own_cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def measure(workers: int, side_px: int, model: str, folder: Path) -> Measured:
    source = endless_source(side_px)
    settings = {"source": source.name, "model": model, "tile_px": TILE_PX, "device": "cpu"}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.run(_one_thread)
        # Once before, so that packages and networks are loaded.
        small = endless_source(workers * 2 * TILE_PX)
        upscale(UpscaleJob(output=folder / f"warm{workers}.zarr", **settings), source=small, client=client)
        output = folder / f"out{workers}.ome.zarr"
        wall, cpu, own = time.perf_counter(), cpu_s(client), own_cpu_s()
        upscale(UpscaleJob(output=output, **settings), source=source, client=client)
        wall, cpu, own = time.perf_counter() - wall, cpu_s(client) - cpu, own_cpu_s() - own
    written = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Measured(wall, cpu, own, (-(-side_px // TILE_PX)) ** 2, written)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def sleep(kept: object, seconds: float) -> list[str]:
    time.sleep(seconds)
    return []


def simulate(tasks: int, seconds: float) -> tuple[float, float]:
    """Return wall and processor time of the scheduler with tasks that sleep, on `WORKERS` threads of it."""
    with (
        LocalCluster(
            n_workers=10, threads_per_worker=WORKERS // 10, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        kept = Kept(client, "what a run keeps")
        wall, cpu = time.perf_counter(), own_cpu_s()
        spread(kept, sleep, [seconds] * tasks, lambda *_: None, lambda: None, SilentProgress())
        return time.perf_counter() - wall, own_cpu_s() - cpu


def estimate(tasks: int, s_task: float, overhead_s: float, written: float) -> dict[str, float]:
    """Return hours by what each part would take alone; the longest decides."""
    return {
        "workers": tasks * s_task / WORKERS / 3600,
        "scheduler and this program": tasks * overhead_s / 3600,
        f"file server of {STORE_BYTES_S / 1e9:g} GB/s": written / STORE_BYTES_S / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side-px", type=int, default=3072)
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--tasks", type=int, default=3000, help="of the simulated scheduler")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        one, two = (measure(n, given.side_px, given.model, Path(folder)) for n in (1, 2))
    rows = [
        [n, run.wall, one.wall / n / run.wall, run.workers_cpu / run.tiles, one.workers_cpu / run.workers_cpu]
        for n, run in ((1, one), (2, two))
    ]
    head = ["workers", "wall s", "of ideal, wall", "worker CPU s per tile", "of ideal, CPU"]
    print_table(f"{given.model}, {given.side_px} px square, tiles of {TILE_PX} px", head, rows)

    # What coordination costs: tasks that do nothing, as fast as they go.
    _, busy = simulate(given.tasks, 0.0)
    overhead = busy / given.tasks
    checks = []
    for seconds in (0.05, 0.2, 1.0):
        tasks = max(WORKERS * 10, int(given.tasks * min(1.0, 0.1 / seconds)))
        expected = max(tasks * seconds / WORKERS, tasks * overhead)
        wall, _ = simulate(tasks, seconds)
        checks.append([seconds, tasks, expected, wall, expected / wall])
    head = ["task sleeps, s", "tasks", "model, s", "measured, s", "model / measured"]
    print_table(f"{WORKERS} sleeping workers, {1e3 * overhead:.2f} ms of CPU per task", head, checks)

    tiles = PLATE_PX / TILE_PX**2
    tasks = int(tiles * (1 / BATCHES_PER_TASK + 1 / 3))  # of tiles, and of the pyramid's shards
    s_task = tiles * one.workers_cpu / one.tiles / tasks
    size = len(pickle.dumps(Tiles((range(10**6, 10**6 + 1),) * BATCHES_PER_TASK)))
    hours = estimate(tasks, s_task, overhead, tiles * one.written / one.tiles)
    title = (
        f"{PLATE_PX:.0e} pixels, {WORKERS} workers of one core: {tasks:.2g} tasks of {s_task:.2g} s, {size} B"
    )
    print_table(title, ["bound by", "hours"], [[name, value] for name, value in hours.items()])
    print(f"\nOf ideal: {hours['workers'] / max(hours.values()):.2f}.")


if __name__ == "__main__":
    main()
