"""Inputs and outputs that somebody changes while a run uses them, and two runs that want one output."""

import os
import shutil
import socket
import time

import numpy as np
import pytest
import tifffile
from breaking import contents

from napari_microsr.core.journal import Journal
from napari_microsr.core.lock import Lock
from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import InputError, OutputError
from napari_microsr.superres.job import UpscaleJob, upscale


@pytest.fixture
def job(tmp_path, rng):
    tifffile.imwrite(tmp_path / "in.tif", rng.integers(1, 255, (120, 90), np.uint8))
    settings = {"model": "bicubic", "tile_px": 32, "device": "cpu"}
    return UpscaleJob(source=str(tmp_path / "in.tif"), output=tmp_path / "out.ome.zarr", **settings)


class At(SilentProgress):
    """Does something once some tiles are done."""

    def __init__(self, tiles, act):
        super().__init__()
        self.tiles, self.act = tiles, act

    def advance(self, label, done, total):
        if label == "tiles" and done >= self.tiles and self.act:
            act, self.act = self.act, None
            act()


def rewrite(job):
    pixels = tifffile.imread(job.source)
    time.sleep(0.02)  # longer than a file system's clock ticks
    tifffile.imwrite(job.source, pixels[::-1].copy())


def cut(job):
    os.truncate(job.source, 2000)


@pytest.mark.parametrize(("change", "match"), [(rewrite, "was changed while"), (cut, "has become shorter")])
def test_an_input_that_changes_under_the_run_is_noticed(job, change, match):
    with pytest.raises(InputError, match=match):
        upscale(job, progress=At(3, lambda: change(job)))
    assert not job.output.exists()
    with pytest.raises((InputError, OutputError)):  # what is there is of the other image: it is not resumed
        upscale(job)


def test_a_store_deleted_under_the_run_is_said_and_made_again(job):
    partial = job.output.with_name("out.ome.zarr.partial")
    # Taken away at once: files that are deleted one by one may be written again meanwhile.
    with pytest.raises(OutputError):
        upscale(job, progress=At(3, lambda: partial.rename(partial.with_name("away"))))
    assert not job.output.exists()
    shutil.rmtree(partial, ignore_errors=True)
    upscale(job)


def test_a_shard_lost_between_two_runs_is_made_again(worker, inputs, reference, tmp_path):
    wanted, changes = reference("upscale")
    worker.do("upscale", tmp_path, inputs=str(inputs), kill_at=changes // 2)
    shards = [path for path in (tmp_path / "out.ome.zarr.partial" / "0").rglob("*/0/*") if path.is_file()]
    shards[0].unlink()
    assert worker.do("upscale", tmp_path, inputs=str(inputs))[0] == 0
    assert contents("upscale", tmp_path) == wanted


def test_the_second_run_is_told_who_has_the_output_and_takes_it_over_when_that_one_dies(
    worker, inputs, reference, tmp_path
):
    wanted, _ = reference("upscale")
    wait = tmp_path / "wait"
    pid = worker.start("upscale", tmp_path, inputs=str(inputs), wait=str(wait))
    while not wait.exists():
        time.sleep(0.02)
    source, output = str(inputs / "slide.tif"), tmp_path / "out.ome.zarr"
    with pytest.raises(OutputError, match=rf"process {pid} on {socket.gethostname()}, since 20") as refused:
        upscale(UpscaleJob(source=source, output=output, model="bicubic", tile_px=48, residual=True))
    assert "root" in str(refused.value) or os.environ.get("USER", "") in str(refused.value)
    os.kill(pid, 9)
    worker.finish()
    wait.unlink()
    assert worker.do("upscale", tmp_path, inputs=str(inputs))[0] == 0
    assert contents("upscale", tmp_path) == wanted


def test_a_lock_leaves_nothing_behind_and_can_be_taken_again(tmp_path):
    for _ in range(2):
        with Lock(tmp_path / "new", tmp_path / "out.csv"), pytest.raises(OutputError, match=r"out\.csv"):
            Lock(tmp_path / "new", tmp_path / "out.csv")
        assert os.listdir(tmp_path / "new") == []


class Short:
    """A file on a disk with room for some bytes more."""

    def __init__(self, stream, room):
        self.stream, self.room = stream, room

    def write(self, data):
        return self.stream.write(data[: self.room])

    def __getattr__(self, name):
        return getattr(self.stream, name)


def test_a_journal_line_that_only_half_fits_is_taken_back(tmp_path):
    journal = Journal(tmp_path / "journal", {"a": 1})
    journal.add([(0, 0, 0, 1)])
    whole, stream = (tmp_path / "journal").read_bytes(), journal._stream
    journal._stream = Short(stream, 3)
    with pytest.raises(OSError, match="No space"):
        journal.add([(0, 0, 0, 2)])
    assert (tmp_path / "journal").read_bytes() == whole
    journal._stream = stream
    journal.add([(0, 0, 0, 3)])
    journal.close()
    assert Journal(tmp_path / "journal", {}).blocks == {(0, 0, 0, 1), (0, 0, 0, 3)}


@pytest.mark.parametrize("content", [b"{\n0 0 0 0\n", b"3\n0 0 0 0\n", b"{}\n0 0 x\n", b"\xff\xfe\n\n\n"])
def test_a_damaged_journal_is_refused_until_the_run_is_begun_anew(tmp_path, content):
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(OutputError, match="damaged"):
        Journal(tmp_path / "journal", {"a": 1})
    assert Journal(tmp_path / "journal", {"a": 1}, discard=True).blocks == set()
