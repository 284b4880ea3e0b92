"""One worker for all faults, the inputs, and what each job makes where nothing goes wrong."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if sys.platform != "linux":  # forks, limits of resources and /proc
    collect_ignore_glob = ["test_*"]


@pytest.fixture(scope="session")
def worker(tmp_path_factory):
    from breaking import Worker

    worker = Worker(tmp_path_factory.mktemp("worker") / "log")
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    import jobs

    folder = tmp_path_factory.mktemp("inputs")
    jobs.make_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def reference(worker, inputs, tmp_path_factory):
    """Return the bytes of an undisturbed job and the number of its changes of files; done once each."""
    from breaking import contents

    known = {}

    def of(job):
        if job not in known:
            folder = tmp_path_factory.mktemp(job)
            code, said = worker.do(job, folder, inputs=str(inputs))
            assert code == 0, said
            known[job] = contents(job, folder), int(said)
        return known[job]

    return of
