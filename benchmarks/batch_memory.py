"""Memory and time of a batch over a plate of many small fields: both must not grow from field to field.

    python benchmarks/batch_memory.py [--wells 125] [--fields 4] [--side 64] [--model bicubic]

Baseline: the resident memory after the first tenth of the fields, which has loaded everything. Beside it the
processor time per field of the first and the last tenth with all that the batch does about it, of the same
job outside a batch, and the time of a second start that finds all done.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from _common import machine, print_table

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.run import run_batch
from napari_microsr.superres.job import UpscaleJob, upscale


def write_plate(path: Path, wells: int, fields: int, side: int) -> None:
    """Write an OME-Zarr 0.5 plate of random fields."""
    rng = np.random.default_rng(0)
    rows, columns = [chr(ord("A") + i) for i in range(16)], [str(i + 1) for i in range(24)]
    names = [(row, column) for row in rows for column in columns][:wells]
    plate = {
        "name": path.name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {"path": f"{r}/{c}", "rowIndex": rows.index(r), "columnIndex": columns.index(c)} for r, c in names
        ],
    }
    write_group(path, {"version": "0.5", "plate": plate})
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    scale = [{"type": "scale", "scale": [0.65, 0.65]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    for row, column in names:
        write_group(path / row, {})
        images = [{"path": str(n)} for n in range(fields)]
        write_group(path / row / column, {"version": "0.5", "well": {"images": images}})
        for n in range(fields):
            field = path / row / column / str(n)
            write_group(field, {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]})
            pixels = rng.integers(100, 4000, (side, side), dtype=np.uint16)
            zarr.create_array(field / "0", data=pixels, chunks=(side, side))


def write_group(path: Path, ome: dict) -> None:
    """Write a zarr group that may be there already."""
    path.mkdir(parents=True, exist_ok=True)
    attributes = {"ome": ome} if ome else {}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "zarr.json").write_text(json.dumps(group))


def resident_mb() -> float:
    """Resident size of this process now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wells", type=int, default=125)
    parser.add_argument("--fields", type=int, default=4)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--model", default="bicubic")
    options = parser.parse_args()
    total = options.wells * options.fields
    settings = {"model": options.model, "device": "cpu"}
    memory: list[float] = []
    clock: list[float] = []

    def watch(state) -> None:
        if state.state == "done":
            memory.append(resident_mb())
            clock.append(time.process_time())

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_plate(folder / "plate.ome.zarr", options.wells, options.fields, options.side)
        batch = BatchJob(
            do="upscale", inputs=[str(folder / "plate.ome.zarr")], output=folder / "run", settings=settings
        )
        begun = time.perf_counter()
        run_batch(batch, watch=watch)
        whole = time.perf_counter() - begun
        begun = time.perf_counter()
        run_batch(batch)
        again = time.perf_counter() - begun
        alone = [time.process_time()]
        for number in range(20):
            source, output = folder / "plate.ome.zarr/A/1/0", folder / f"{number}.ome.zarr"
            upscale(UpscaleJob(source=str(source), output=output, **settings))
            alone.append(time.process_time())
    tenth = max(2, total // 10)
    head = ["fields", "MB after a tenth", "MB at the end", "growth MB", "CPU ms per field, first tenth"]
    head += ["last tenth", "outside a batch", "whole run s", "second start s"]
    times = [
        round(1e3 * float(np.median(np.diff(part))), 1) for part in (clock[:tenth], clock[-tenth:], alone)
    ]
    row = [total, *(round(v, 1) for v in (memory[tenth - 1], memory[-1], memory[-1] - memory[tenth - 1]))]
    print_table(f"{options.model}, {options.side} px; {machine()}", head, [[*row, *times, whole, again]])


if __name__ == "__main__":
    main()
