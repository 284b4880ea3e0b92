"""A job from file to store: what a user gets, resumed, distributed, killed, and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_microsr.core.image import ImageSource, Placement
from napari_microsr.core.progress import Cancelled
from napari_microsr.errors import InputError, JobError, ModelError, OutputError
from napari_microsr.superres.job import UpscaleJob, upscale

MICROSR = [sys.executable, "-m", "napari_microsr.cli"]


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, rng.integers(90, 160, (300, 411, 3), np.uint8), tile=(128, 128), photometric="rgb")
    return path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def job_of(picture, name="out.ome.zarr", **settings):
    settings = {"model": "bicubic", "tile_px": 64, "device": "cpu", **settings}
    return UpscaleJob(source=str(picture), output=picture.parent / name, **settings)


def test_the_result_is_the_enlarged_image(picture):
    from PIL import Image

    (path,) = upscale(job_of(picture))
    stored = zarr.open_array(path / "0")[:].transpose(1, 2, 0)
    image = tifffile.imread(picture)
    reference = np.asarray(Image.fromarray(image).resize((822, 600), Image.Resampling.BICUBIC))
    assert stored.shape == reference.shape
    assert np.abs(stored.astype(int) - reference)[4:-4, 4:-4].max() <= 1


def test_repeated_resumed_and_distributed_runs_are_the_same_to_the_byte(picture, cancel_after):
    whole = contents(upscale(job_of(picture, "whole.zarr", residual=True))[0])
    assert contents(upscale(job_of(picture, "again.zarr", residual=True))[0]) == whole
    for stop in (0, 1, 17):
        job = job_of(picture, f"resumed{stop}.zarr", residual=True)
        with pytest.raises(Cancelled):
            upscale(job, progress=cancel_after(stop))
        assert not job.output.exists()
        result, residual = upscale(job)
        assert contents(result) == whole
        assert contents(residual) == contents(picture.parent / "whole.residual.ome.zarr")


def test_any_number_of_threads_gives_the_same_bytes(picture):
    import torch

    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        job = job_of(picture, f"threads{threads}.zarr", model="histology-x2", precision="float32")
        results.append(contents(upscale(job)[0]))
        assert torch.get_num_threads() == threads, "the host's setting comes back"
    assert results[0] == results[1] == results[2]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_resumes_and_recomputes_only_the_tile_in_flight(picture):
    whole = contents(upscale(job_of(picture, "whole.zarr", tile_px=32))[0])
    output = picture.parent / "killed.zarr"
    command = [*MICROSR, "upscale", str(picture), str(output), "--model", "bicubic", "--tile-px", "32"]
    command += ["--device", "cpu"]
    journal = picture.parent / "killed.zarr.partial" / "microsr-journal.txt"
    for lines in (2, 60):
        run = subprocess.Popen(command, stderr=subprocess.PIPE)
        while run.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert not output.exists()
    done = {tuple(map(int, line.split())) for line in journal.read_text().splitlines()[1:] if line[0] == "0"}
    computed = []
    job = job_of(picture, "killed.zarr", tile_px=32)
    upscale(job, opened=lambda run, sinks: computed.append(_count_writes(sinks[0])))
    total = -(-300 // 32) * -(-411 // 32)
    assert len(computed[0]) <= total - len(done) + 1
    assert contents(output) == whole


def _count_writes(sink):
    written, write = [], sink.write

    def counting(tile, block):
        written.append(tile.index)
        write(tile, block)

    sink.write = counting
    return written


def test_placement_and_provenance_reach_the_store(picture):
    image = np.zeros((2, 40, 50), np.uint16)
    placement = Placement(("z", "y", "x"), ("um",) * 3, (2.0, 0.5, 0.5), (1.0, 10.0, -4.0))
    source = ImageSource.from_array(image, axes="zyx", placement=placement, name="stack")
    (path,) = upscale(job_of(picture), source=source)
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    level = attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert level[0]["scale"] == [2.0, 0.25, 0.25]
    assert level[1]["translation"] == [1.0, 10 - 0.125, -4 - 0.125]
    provenance = attributes["microsr"]["provenance"]
    assert provenance["model"]["id"] == "bicubic"
    assert provenance["job"]["tile_px"] == 64
    assert "output" not in provenance["job"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64"])
def test_the_type_is_kept(picture, rng, dtype):
    image = rng.integers(0, 200, (50, 40)).astype(dtype)
    (path,) = upscale(job_of(picture), source=ImageSource.from_array(image, axes="yx"))
    assert zarr.open_array(path / "0").dtype == np.dtype(dtype).newbyteorder("=")


def test_visible_tiles_come_first(picture):
    from napari_microsr.core.tiles import Region

    order = []
    upscale(
        job_of(picture),
        visible=Region(0, slice(200, 210), slice(330, 420)),
        opened=lambda run, sinks: order.append(_count_writes(sinks[0])),
    )
    assert set(order[0][:2]) == {3 * 7 + 5, 3 * 7 + 6}
    assert sorted(order[0]) == list(range(35))


def test_mistakes_are_sentences_and_leave_nothing_behind(picture, tmp_path):
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(ModelError, match="nonsense"):
        upscale(job_of(picture, model="nonsense"))
    with pytest.raises(InputError):
        upscale(job_of(tmp_path / "missing.tif"))
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, np.zeros((20, 20), np.uint16))
    with pytest.raises(InputError, match="RGB colour images"):
        upscale(job_of(grey, model="histology-x2"))
    grey.unlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_file_that_ends_in_the_middle_is_a_sentence_and_the_rest_stays(picture):
    data = picture.read_bytes()
    picture.write_bytes(data[: len(data) // 2])
    job = job_of(picture)
    with pytest.raises(InputError, match="ends before its last pixels"):
        upscale(job)
    assert not job.output.exists()


def test_a_file_damaged_in_the_middle_keeps_the_tiles_before_it(picture):
    image = tifffile.imread(picture)
    tifffile.imwrite(picture, image, tile=(64, 64), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(picture) as tif:
        offset = tif.pages[0].dataoffsets[20]
    data = bytearray(picture.read_bytes())
    data[offset : offset + 40] = b"x" * 40
    picture.write_bytes(data)
    job = job_of(picture)
    written = []
    with pytest.raises(InputError, match=r"slide.tif cannot be read at rows .* copy it again"):
        upscale(job, opened=lambda run, sinks: written.append(_count_writes(sinks[0])))
    assert not job.output.exists()
    again = []
    with pytest.raises(InputError):
        upscale(job, opened=lambda run, sinks: again.append(_count_writes(sinks[0])))
    assert len(written[0]) > 5
    assert len(again[0]) <= 2, "the second run does not repeat what the first has written"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_a_sentence_and_the_run_resumes(picture):
    whole = contents(upscale(job_of(picture, "whole.zarr", tile_px=256))[0])
    output = picture.parent / "full.zarr"
    arguments = ["upscale", str(picture), str(output), "--model", "bicubic", "--tile-px", "256"]
    # No file may grow past 100 kB: the kernel refuses the write of the first shard as a full disk would.
    limited = (
        "import resource, signal, sys; from napari_microsr.cli import execute;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); sys.exit(execute(sys.argv[1:]))"
    )
    run = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("microsr: The disk is full")
    assert len(run.stderr.strip().splitlines()) == 1
    assert not output.exists()
    assert contents(upscale(job_of(picture, "full.zarr", tile_px=256))[0]) == whole


def test_a_finished_result_is_kept_unless_told(picture):
    job = job_of(picture)
    (path,) = upscale(job)
    before = contents(path)
    with pytest.raises(OutputError, match="exists already"):
        upscale(job)
    assert contents(path) == before
    upscale(job_of(picture, restart=True, model="bicubic-x4"))
    assert zarr.open_array(path / "0").shape == (3, 1200, 1644)


def test_the_job_file_says_what_is_wrong_with_it():
    with pytest.raises(JobError, match=r"tile_px: .*greater.*settings are: source, output"):
        UpscaleJob.parse({"source": "a", "output": "b", "tile_px": 1})
    with pytest.raises(JobError, match="tiles: Extra inputs"):
        UpscaleJob.parse({"source": "a", "output": "b", "tiles": 1})
    assert UpscaleJob(source="a", output="b").output == Path("b.ome.zarr")
