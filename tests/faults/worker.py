"""A server that forks a fresh process for each order: imports are paid once, and a kill costs nothing more.

It reads orders (JSON, one a line) from standard input and answers each with two lines: the process's id, and,
when it has ended, its return code, negative where a signal ended it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

import jobs

#: What changes files, as Python's audit events name it; `open` counts only where it may write.
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
REFUSED = 3
BROKEN = 4


def main():
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            with open(order["log"], "a", encoding="utf-8", buffering=1) as log:
                os._exit(_obey(order, log))
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _obey(order, log):
    """Do a job under the fault that was ordered: 0 done, REFUSED with two sentences, BROKEN with a trace."""
    from napari_microsr.errors import MicroSRError

    try:
        seen = _watch(order["folder"], order.get("kill_at"))
        if "file_bytes" in order:
            # As a full disk does it, but for one file: writing past the limit fails with EFBIG.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"],) * 2)
        if "dies_at_bytes" in order:  # the process dies when a file of it grows past the limit
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["dies_at_bytes"],) * 2)
        if "memory_bytes" in order:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + order["memory_bytes"],) * 2)
        if order.get("unprivileged"):
            _obey_modes()
        jobs.do(order["job"], Path(order["folder"]), order)
        log.write(f"{seen[0]}\n")
    except MicroSRError as error:
        log.write(f"{type(error).__name__}: {error}\n")
        return REFUSED
    except BaseException:  # noqa: BLE001 - it is what is looked for
        traceback.print_exc(file=log)
        return BROKEN
    return 0


def _changes(event, arguments, folder):
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        return bool(writes) and str(path).startswith(folder)
    return event in CHANGES and any(str(part).startswith(folder) for part in arguments)


def _obey_modes():
    """Make modes of files hold for root too, who keeps what is root's: drop all capabilities, capset(2)."""
    version_3, this_process = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version_3, this_process)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def _watch(folder, kill_at):
    """Count what changes files in a folder; just before the change of number `kill_at`, kill this process."""
    seen = [0]

    def hook(event, arguments):
        if _changes(event, arguments, folder):
            if seen[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1

    sys.addaudithook(hook)
    return seen


if __name__ == "__main__":
    main()
