"""Break runs for as long as asked: kills at random moments, full disks, damaged files; count what survives.

Run: python benchmarks/soak.py --minutes 60 [--seed 0] [--jobs upscale localize register train]
Linux only. It uses the same worker and the same inputs as tests/faults, with moments and seeds drawn anew.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _common import machine, print_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "faults"))

import jobs
from breaking import OUTPUTS, Worker, contents, goes_on, half_written, leftovers
from fuzzing import KINDS

CASES = 20
MEMORY_BYTES = 1 << 30


class Soak:
    """Tries faults and counts: how many of each, and which were not survived."""

    def __init__(self, folder: Path, names: list[str], seed: int) -> None:
        self.folder, self.names, self.rng = folder, names, random.Random(seed)
        self.worker = Worker(folder / "log")
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        jobs.make_inputs(self.inputs)
        self.tried, self.bad = Counter(), []
        self.known = {name: self._undisturbed(name) for name in names}

    def _undisturbed(self, name: str) -> tuple[dict[str, bytes], float, int]:
        place = self.folder / f"reference-{name}"
        place.mkdir()
        seconds, changes = self.worker.seconds(name, place, inputs=str(self.inputs))
        return contents(name, place), seconds, changes

    def _after(self, fault: str, name: str, place: Path, code: int) -> None:
        wanted, _, _ = self.known[name]
        wrong = half_written(place, wanted) or goes_on(self.worker, name, place, self.inputs, code, wanted)
        self._note(f"{fault}, {name}", wrong or leftovers(place))
        shutil.rmtree(place)

    def _note(self, what: str, wrong: object, times: int = 1) -> None:
        self.tried[what] += times
        if wrong:
            self.bad.append(f"{what}: {wrong}")
            print(self.bad[-1], flush=True)

    def kill_in_time(self) -> None:
        """Kill a job after a random time."""
        name, place = self._place()
        after = self.rng.uniform(0, self.known[name][1])
        code, _ = self.worker.kill_after(after, name, place, inputs=str(self.inputs))
        self._after("SIGKILL after a random time", name, place, code)

    def kill_at_change(self) -> None:
        """Kill a job just before it changes a file."""
        name, place = self._place()
        at = self.rng.randrange(self.known[name][2])
        code, _ = self.worker.do(name, place, inputs=str(self.inputs), kill_at=at)
        self._after("SIGKILL before a random change of a file", name, place, code)

    def fill_disk(self) -> None:
        """Let no file grow past a random size."""
        name, place = self._place()
        limit = self.rng.randrange(250, 12_000)
        code, said = self.worker.do(name, place, inputs=str(self.inputs), file_bytes=limit)
        if code not in (0, 3):
            self._note(f"no space, {name}", f"{limit} bytes: {code} {said[-300:]}")
        self._after("no space", name, place, code)

    def damage(self) -> None:
        """Open files that were damaged at random."""
        kind, begin = self.rng.choice(list(KINDS)), self.rng.randrange(10**9)
        place, note = self.folder / "fuzz", self.folder / "note"
        place.mkdir(exist_ok=True)
        cases = {"kind": kind, "seeds": [begin, begin + CASES], "note": str(note)}
        code, said = self.worker.do("fuzz", place, cases=cases, memory_bytes=MEMORY_BYTES)
        wrong = code and f"{note.read_text()}: {code} {said[-300:]}"
        self._note(f"damaged file, {kind}", wrong, CASES)

    def _place(self) -> tuple[str, Path]:
        return self.rng.choice(self.names), Path(tempfile.mkdtemp(dir=self.folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="+", default=list(OUTPUTS), choices=list(OUTPUTS))
    parser.add_argument("--without-fuzz", action="store_true")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), options.jobs, options.seed)
        faults = [soak.kill_in_time, soak.kill_at_change, soak.fill_disk]
        faults += [] if options.without_fuzz else [soak.damage] * 3
        try:
            while time.monotonic() < end:
                soak.rng.choice(faults)()
        finally:
            soak.worker.close()
            rows = [(what, times, sum(bad.startswith(what) for bad in soak.bad)) for what, times in
                    sorted(soak.tried.items())]  # fmt: skip
            print_table(
                f"{options.minutes:g} minutes on {machine()}", ["fault", "tried", "not survived"], rows
            )
    sys.exit(bool(soak.bad))


if __name__ == "__main__":
    main()
