"""Jobs that are killed, that find no space and that lose their permission: they end clearly and go on."""

import os

import pytest
from breaking import goes_on, half_written, leftovers

#: Share of a job's changes of files after which it is killed.
MOMENTS = [
    ("upscale", 0.1), ("upscale", 0.6), ("upscale", 0.99),
    ("localize", 0.5), ("localize", 0.95),
    ("register", 0.7),
    ("train", 0.6),
]  # fmt: skip
#: A job, and bytes that no file of it may exceed: some are in its journal, its parts, its tables.
LIMITS = [("upscale", 3000), ("localize", 1000), ("register", 300), ("train", 9000)]


@pytest.mark.parametrize(("job", "share"), MOMENTS)
def test_a_killed_job_goes_on_to_the_same_bytes(worker, inputs, reference, tmp_path, job, share):
    wanted, changes = reference(job)
    code, _ = worker.do(job, tmp_path, inputs=str(inputs), kill_at=int(share * changes))
    assert code == -9
    assert half_written(tmp_path, wanted) == []  # a shard that has its name is whole
    assert goes_on(worker, job, tmp_path, inputs, code, wanted) is None
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("job", "limit"), LIMITS)
def test_a_full_disk_is_said_and_the_job_goes_on_when_there_is_space(
    worker, inputs, reference, tmp_path, job, limit
):
    wanted, _ = reference(job)
    code, said = worker.do(job, tmp_path, inputs=str(inputs), file_bytes=limit)
    assert code == 3, said
    assert "disk is full" in said
    assert goes_on(worker, job, tmp_path, inputs, code, wanted) is None


@pytest.mark.parametrize("job", ["upscale", "localize", "register", "train"])
def test_a_folder_that_may_not_be_written_is_said(worker, inputs, tmp_path, job):
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    code, said = worker.do(job, out, inputs=str(inputs), unprivileged=True)
    assert code == 3, said
    assert "may be written" in said
    assert os.listdir(out) == []
