"""Break runs for as long as asked: kills at random moments, full disks, damaged files; count what survives.

    python benchmarks/soak.py --minutes 60      all of it, in random order
    python benchmarks/soak.py --kills 50        each job killed 50 times, and resumed
    python benchmarks/soak.py --fuzz 10000      so many damaged files, of all kinds in turn
    python benchmarks/soak.py --gui-runs 200    each panel in one viewer; and things closed under a run

More: --seed 0, --jobs upscale localize register train. Linux only. It uses the same worker and the same
inputs as tests/faults, with moments and seeds drawn anew.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from _common import machine, print_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "faults"))

import jobs
from breaking import OUTPUTS, Worker, contents, goes_on, half_written, leftovers
from fuzzing import KINDS

TESTS = Path(__file__).parent.parent / "tests"
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
        self.tried, self.bad = Counter(), Counter()
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
            self.bad[what] += 1
            print(f"{what}: {wrong}", flush=True)

    def kill_in_time(self, name: str | None = None) -> None:
        """Kill a job after a random time."""
        name, place = self._place(name)
        after = self.rng.uniform(0, self.known[name][1])
        code, _ = self.worker.kill_after(after, name, place, inputs=str(self.inputs))
        self._after("SIGKILL after a random time", name, place, code)

    def kill_at_change(self, name: str | None = None) -> None:
        """Kill a job just before it changes a file."""
        name, place = self._place(name)
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

    def damage(self, kind: str | None = None, seed: int | None = None, cases: int = CASES) -> None:
        """Open files that were damaged at random; go on after each that was not survived."""
        kind = kind or self.rng.choice(list(KINDS))
        seed = self.rng.randrange(10**9) if seed is None else seed
        place, note = self.folder / "fuzz", self.folder / "note"
        place.mkdir(exist_ok=True)
        end = seed + cases
        while seed < end:
            order = {"kind": kind, "seeds": [seed, end], "note": str(note)}
            code, said = self.worker.do("fuzz", place, cases=order, memory_bytes=MEMORY_BYTES)
            stopped = int(note.read_text().split()[1]) + 1 if code else end
            wrong = code and f"seed {stopped - 1}: {code} {said[-300:]}"
            self._note(f"damaged file, {kind}", wrong, stopped - seed)
            seed = stopped

    def _place(self, name: str | None = None) -> tuple[str, Path]:
        return name or self.rng.choice(self.names), Path(tempfile.mkdtemp(dir=self.folder))

    def for_minutes(self, minutes: float) -> None:
        """Try all faults in random order until the time is over."""
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            self.rng.choice([self.kill_in_time, self.kill_at_change, self.fill_disk, *[self.damage] * 3])()

    def kill(self, times: int) -> None:
        """Kill each job so often: half of the time after a random time, half before a random change."""
        for name in self.names:
            for number in range(times):
                (self.kill_at_change if number % 2 else self.kill_in_time)(name)

    def fuzz(self, files: int, seed: int) -> None:
        """Open so many damaged files, of all kinds in turn."""
        each = -(-files // len(KINDS))
        for first in range(0, each, CASES):
            for kind in KINDS:
                self.damage(kind, seed * 10**6 + first, min(CASES, each - first))

    def report(self) -> list[tuple[str, int, int]]:
        """Return faults, how often each was tried, and how often it was survived."""
        return [(what, times, times - self.bad[what]) for what, times in sorted(self.tried.items())]


def long_life(runs: int) -> bool:
    """Run the panels' test of a long life with so many runs; print what it noted; say whether it passed."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes.xml")
        test = TESTS / "widgets" / "test_long_life.py"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", str(test)]
        command += [f"--junitxml={notes}", "-o", "junit_family=xunit1"]
        environment = {**os.environ, "MICROSR_LONG_LIFE": str(runs)}
        passed = subprocess.run(command, cwd=TESTS.parent, env=environment).returncode == 0
        cases = list(ElementTree.parse(notes).iter("testcase"))
    found = [it for case in cases for it in case.iter("property")]
    rows = [[it.get("name"), *it.get("value", "").strip("()").split(", ")] for it in found]
    print_table(machine(), ["run", "threads", "objects", "bytes of memory"], rows)
    tried, survived = Counter(), Counter()
    for case in cases:
        name = str(case.get("name")).partition("[")[0]
        tried[name] += 1
        survived[name] += not any(child.tag in ("failure", "error", "skipped") for child in case)
    print_table(
        "Tests", ["test", "tried", "survived"], [(name, tried[name], survived[name]) for name in tried]
    )
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--minutes", type=float, default=60)
    long.add_argument("--kills", type=int, help="of each job")
    long.add_argument("--fuzz", type=int, help="damaged files")
    long.add_argument("--gui-runs", type=int, help="of each panel, at least 10")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="+", default=list(OUTPUTS), choices=list(OUTPUTS))
    options = parser.parse_args()
    if options.gui_runs:
        sys.exit(not long_life(options.gui_runs))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), [] if options.fuzz else options.jobs, options.seed)
        try:
            if options.kills:
                soak.kill(options.kills)
            elif options.fuzz:
                soak.fuzz(options.fuzz, options.seed)
            else:
                soak.for_minutes(options.minutes)
        finally:
            soak.worker.close()
            minutes = (time.monotonic() - begun) / 60
            print_table(
                f"{minutes:.0f} minutes on {machine()}", ["fault", "tried", "survived"], soak.report()
            )
    sys.exit(bool(soak.bad))


if __name__ == "__main__":
    main()
