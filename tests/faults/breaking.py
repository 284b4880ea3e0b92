"""Orders to the worker, and the bytes that a job left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from jobs import OUTPUTS

HERE = Path(__file__).parent


class Worker:
    """A process that forks one child per order."""

    def __init__(self, log):
        self.log = Path(log)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(self, job, folder, **order):
        """Start a job and return the id of its process; `finish` must follow."""
        self.log.write_text("")
        order = {"job": job, "folder": str(folder), "log": str(self.log), **order}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self):
        """Wait for the end; return the return code and what was said."""
        return int(self._process.stdout.readline()), self.log.read_text().strip()

    def do(self, job, folder, **order):
        """Do a job to its end."""
        self.start(job, folder, **order)
        return self.finish()

    def kill_after(self, seconds, job, folder, **order):
        """Do a job that is killed after some time, if it lasts so long."""
        pid = self.start(job, folder, **order)
        timer = threading.Timer(seconds, _kill, [pid])
        timer.start()
        code, said = self.finish()
        timer.cancel()
        timer.join()
        return code, said

    def seconds(self, job, folder, **order):
        """Do a job; return what it took and how many changes of files it made."""
        begun = time.monotonic()
        code, said = self.do(job, folder, **order)
        assert code == 0, said
        return time.monotonic() - begun, int(said)


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def contents(job, folder):
    """Return the bytes of all files that a job makes, and their names."""
    found = {}
    for name in OUTPUTS[job]:
        path = folder / name
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        assert files, f"{path} is missing"
        found.update({file.relative_to(folder).as_posix(): file.read_bytes() for file in files})
    return found


def leftovers(folder):
    """Return the files that only an unfinished run has."""
    marks = (".partial", "microsr", ".replaced", ".tmp")
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return [name for name in found if any(mark in name for mark in marks)]


def goes_on(worker, job, folder, inputs, code, wanted):
    """After a fault that ended with `code`, do a job again; say what is not as without the fault."""
    said = ""
    if code:
        code, said = worker.do(job, folder, inputs=str(inputs))
    if code and "exists already" not in said:  # it was killed between its last step and its end
        return f"it ends with {code}: {said}"
    found = contents(job, folder)
    wrong = [name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)]
    return f"other bytes: {wrong}" if wrong else None


def half_written(folder, wanted):
    """Return the shards of unfinished stores that are not those of the finished one."""
    bad = []
    for shard in folder.glob("*.zarr.partial/0/c/**/*"):
        if shard.is_file() and ".partial" not in shard.name:
            name = shard.relative_to(folder).as_posix().replace(".zarr.partial/", ".zarr/")
            if wanted[name] != shard.read_bytes():
                bad.append(name)
    return bad
