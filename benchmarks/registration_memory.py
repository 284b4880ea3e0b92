"""What a registration adds to the memory of a process that holds the images; bar: 400 MB.

    python benchmarks/registration_memory.py

A process of its own loads an overview and a field of 3584 x 2748 px, and places the field: a 40x one, a 10x
one, and a 40x one that is not there, so that all is searched. Linux only.
"""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import print_table

from napari_microsr.core.image import ImageSource
from napari_microsr.registration.microscope import TEN
from napari_microsr.registration.place import Field, Overview, place
from napari_microsr.registration.simulate import Conditions, shipped_specimen, take_field, take_overview


def main() -> None:
    slide, strip = shipped_specimen()
    rng, usual = np.random.default_rng(0), Conditions()
    overview = take_overview(slide, rng)
    ten = replace(usual, objective=TEN, min_tissue=0.25)
    fields = {
        "40x": take_field(slide, usual, rng),
        "10x": take_field(slide, ten, rng),
        "not on the overview": take_field(strip, usual, rng),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "overview.npy", overview.image)
        for name, view in fields.items():
            np.save(Path(folder) / "field.npy", view.image)
            command = [sys.executable, __file__, folder, str(view.um)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            rows.append([name, answer[0], float(answer[1]), float(answer[2])])
    print_table("Peak memory, MB", ["field", "verdict", "with the images", "added"], rows)


def measure(folder: Path, um: float) -> None:
    """Place the field, and print the verdict and the peaks before and after it."""
    overview, field = (
        ImageSource.from_array(np.load(folder / f"{name}.npy"), axes="yxc", rgb=True, name=name)
        for name in ("overview", "field")
    )
    before = _peak_mb()
    found = place(Field.prepare(field, um), Overview.prepare(overview, 0.6))
    print(found.status, before, _peak_mb() - before)


def _peak_mb() -> float:
    # Not getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(Path(sys.argv[1]), float(sys.argv[2]))
    else:
        main()
