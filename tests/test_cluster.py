"""The three jobs on a cluster of two processes: the same bytes as here, whatever dies on the way."""

import json
import operator
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import tifffile

from napari_microsr.core import spread
from napari_microsr.core.cluster import connect
from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.core.journal import Journal
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.spread import Kept
from napari_microsr.errors import ClusterError, InputError, JobError
from napari_microsr.registration.job import RegisterJob, register
from napari_microsr.registration.sample import sample
from napari_microsr.smlm.job import LocalizeJob, localize
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.superres.job import UpscaleJob, upscale

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    """Two processes: real ones start slowly, so all tests of this file share them."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


class Killer(SilentProgress):
    """Kills a worker's process once, when some tasks of a kind are done."""

    def __init__(self, client, label, after):
        super().__init__()
        self.client, self.label, self.after, self.killed = client, label, after, None

    def advance(self, label, done, total):
        if label == self.label and done >= self.after and self.killed is None:
            assert done < total, "the run ended before the murder"
            self.killed = next(iter(self.client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, rng.integers(90, 160, (300, 411, 3), np.uint8), tile=(128, 128), photometric="rgb")
    return path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def enlarging(picture, name, **settings):
    settings = {"model": "bicubic", "tile_px": 32, "device": "cpu", **settings}
    return UpscaleJob(source=str(picture), output=picture.parent / name, **settings)


def test_an_enlarged_image_is_the_same_to_the_byte(picture, cluster, client):
    network = {"model": "histology-x2", "tile_px": 128, "residual": True}
    whole = upscale(enlarging(picture, "whole.zarr", **network))
    spread = upscale(enlarging(picture, "spread.zarr", cluster=cluster.scheduler_address, **network))
    for one, other in zip(whole, spread, strict=True):
        assert contents(one) == contents(other)


def test_a_cancelled_run_is_resumed_here_and_there(picture, client, cancel_after):
    whole = contents(upscale(enlarging(picture, "whole.zarr"))[0])
    job = enlarging(picture, "cut.zarr")
    with pytest.raises(Cancelled):
        upscale(job, progress=cancel_after(20), client=client)
    with pytest.raises(Cancelled):
        upscale(job, progress=cancel_after(40))
    assert contents(upscale(job, client=client)[0]) == whole


@pytest.fixture
def stack():
    scene = Scene(density_um2=(0.3, 0.3), photons=(600.0, 2000.0), sigma_spread=0.0)
    frames = simulate_frames(np.random.default_rng(1), 40, (40, 51), scene).photons
    return ImageSource.from_array((frames + 100).astype(np.uint16), axes="tyx", name="stack")


def localizing(tmp_path, name, **settings):
    settings = {"pixel_nm": 100, "model": "gaussian-mle", "offset": 100, "psf_sigma_px": 1.06} | settings
    return LocalizeJob(source="stack", output=tmp_path / name, block_frames=2, **settings)


@pytest.mark.parametrize("model", ["gaussian-mle", "emitters-2d"])
def test_a_table_is_the_same_to_the_byte(stack, tmp_path, client, model):
    localize(localizing(tmp_path, "whole.csv", model=model, last_frame=9), source=stack)
    found = []
    localize(
        localizing(tmp_path, "spread.csv", model=model, last_frame=9),
        source=stack,
        client=client,
        found=lambda start, stop, rows: found.append((start, stop)),
    )
    assert (tmp_path / "spread.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    made = [json.loads((tmp_path / f"{name}.provenance.json").read_text()) for name in ("whole", "spread")]
    assert made[0] == made[1]
    assert sorted(found) == [(i, i + 2) for i in range(0, 10, 2)], "each block once"


def test_placements_are_the_same_to_the_bit(tmp_path, client):
    overview, fields = sample()
    views = [(half(overview.image), overview.um), *((half(field.image), field.um) for field in fields[:3])]
    slide, *images = (
        ImageSource.from_array(
            image,
            rgb=True,
            placement=Placement.of_sizes("yx", dict.fromkeys("yx", (2 * um, "um"))),
            name=f"view {number}",
        )
        for number, (image, um) in enumerate(views)
    )
    broken = tmp_path / "broken.tif"
    tifffile.imwrite(broken, half(overview.image), photometric="rgb")
    images.append(open_image(broken))
    broken.write_bytes(b"")  # opened once, and gone when a worker comes
    found = []
    for name, where in (("here", None), ("there", client)):
        job = RegisterJob(overviews=["o"], fields=["f"], output=tmp_path / f"{name}.json")
        found.append(register(job, overviews=[slide], fields=images, client=where))
    assert (tmp_path / "here.json").read_bytes() == (tmp_path / "there.json").read_bytes()
    assert {field.status for field in found[1].fields} >= {"placed", "not_found"}
    for one, other in zip(found[0].fields, found[1].fields, strict=True):
        np.testing.assert_equal(asdict(one), asdict(other))


def half(image):
    h, w = (n // 2 for n in image.shape[:2])
    return image[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean((1, 3)).round().astype(np.uint8)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_worker_loses_and_doubles_nothing(picture, stack, tmp_path, client):
    whole = contents(upscale(enlarging(picture, "whole.zarr"))[0])
    journals, killer = [], Killer(client, "tiles", 8)
    (path,) = upscale(
        enlarging(picture, "killed.zarr"),
        progress=killer,
        client=client,
        opened=lambda run, sinks: journals.append(_noted(sinks[0].journal)),
    )
    assert killer.killed
    assert contents(path) == whole
    assert len(journals[0]) == len(set(journals[0])), "no shard is taken twice"

    localize(localizing(tmp_path, "whole.csv"), source=stack)
    killer, found = Killer(client, "frames", 6), []
    localize(
        localizing(tmp_path, "killed.csv"),
        source=stack,
        progress=killer,
        client=client,
        found=lambda start, stop, rows: found.append(start),
    )
    assert killer.killed
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(found) == list(range(0, 40, 2)), "each block once"


def _start(role, address):
    """Start a scheduler, or a worker of it, as a program of its own."""
    place = [
        "--host",
        "127.0.0.1",
        "--port",
        address.rpartition(":")[2],
        "--dashboard-address",
        "127.0.0.1:0",
    ]
    options = place if role == "scheduler" else [address, "--nthreads", "1", "--no-dashboard"]
    command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_scheduler_that_dies_and_comes_back(picture):
    whole = contents(upscale(enlarging(picture, "whole.zarr"))[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    programs = [_start("scheduler", address), _start("worker", address)]

    class Restart(SilentProgress):
        def advance(self, label, done, total):
            if label == "tiles" and done >= 12 and len(programs) == 2:
                assert done < total
                programs[0].kill()
                programs[0].wait()
                programs.extend([_start("scheduler", address), _start("worker", address)])

    progress = Restart()
    try:
        (path,) = upscale(enlarging(picture, "lost.zarr", cluster=address), progress=progress)
    finally:
        for program in reversed(programs):
            program.kill()
            program.wait()
    assert len(programs) == 4
    assert contents(path) == whole
    assert any("scheduler is lost" in message for message in progress.warnings)


def _noted(journal):
    """List what is added to a journal."""
    noted, add = [], journal.add

    def adding(blocks):
        blocks = list(blocks)
        noted.extend(blocks)
        add(blocks)

    journal.add = adding
    return noted


@pytest.mark.parametrize(
    "address", ["local", "local:0", "http://here", "tcp://127.0.0.1:9", "none.json", "wrong.json"]
)
def test_a_cluster_that_is_not_there_is_a_sentence(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.json").write_text("[1]")
    monkeypatch.setattr("napari_microsr.core.cluster.TIMEOUT_S", 0.5)
    with pytest.raises(JobError), connect(address):
        pass


def test_a_scheduler_file_and_local_processes(cluster, tmp_path, monkeypatch):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    with connect(str(file)) as client:
        assert spread.ask(client, abs, -3, SilentProgress()) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with connect("local:2") as client:
        seen = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert sorted(seen.values()) == ["3", "5"], "a GPU each"


def test_what_fails_on_a_worker_is_a_sentence(cluster, client, monkeypatch):
    with pytest.raises(InputError, match=r"none\.tif does not exist"):
        spread.ask(client, open_image, "/none.tif", SilentProgress())
    with pytest.raises(ClusterError, match="ValueError: invalid literal"):
        spread.ask(client, int, "unknown", SilentProgress())
    monkeypatch.setattr(spread, "__version__", "0.0.0")
    with pytest.raises(ClusterError, match=r"this program 0\.0\.0"):
        spread.ask(client, abs, -3, SilentProgress())
    monkeypatch.undo()
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(ClusterError, match="died one after the other"):
        spread.ask(client, os._exit, 1, SilentProgress())


def test_a_task_may_lead_to_others(client):
    results = []

    def done(task, result):
        results.append(result)
        return [10 * task] if task < 10 else None

    kept = Kept(client, 1000)
    spread.spread(kept, operator.add, iter(range(1, 8)), done, lambda: None, SilentProgress())
    assert sorted(results) == [*range(1001, 1008), *range(1010, 1080, 10)]


def test_a_worker_that_was_given_up_writes_no_more(picture, client):
    """It may be alive, cut off, and come back when the store is finished or begun anew."""
    writers = []
    job = enlarging(picture, "out.zarr")
    (path,) = upscale(job, opened=lambda run, sinks: writers.append((run, sinks[0].writer())))
    run, writer = writers[0]
    before = contents(path)
    block = np.full((3, 64, 64), 7, np.uint8)
    writer.write(run.plan.tile(0), block)
    assert contents(path) == before
    assert not sorted(picture.parent.glob("*.partial"))
    other = picture.parent / "out.zarr.partial"
    other.mkdir()
    Journal(other / "microsr-journal.txt", {"another": "run"}).close()
    writer.write(run.plan.tile(0), block)
    assert [p.name for p in other.iterdir()] == ["microsr-journal.txt"]
