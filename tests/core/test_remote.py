"""Images and results behind URLs: in memory, and in a local server that speaks S3."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
import zarr
from zarr.core.sync import sync

from napari_microsr import cli
from napari_microsr.core import remote_home
from napari_microsr.core.image import open_image
from napari_microsr.core.progress import Cancelled
from napari_microsr.core.remote import place_of
from napari_microsr.errors import InputError, JobError, OutputError
from napari_microsr.registration.job import RegisterJob
from napari_microsr.superres.job import UpscaleJob, upscale

pytest.importorskip("upath")
fsspec = pytest.importorskip("fsspec")

SECRET = "pass-word"


@pytest.fixture(scope="module")
def s3():
    """A bucket of a server on this computer, its address and keys where S3's own tools look for them."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    patch = pytest.MonkeyPatch()
    server.start()
    patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    patch.setenv("AWS_ACCESS_KEY_ID", "some-key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.filesystem("s3").mkdir("bucket")
    yield "s3://bucket"
    for files in type(fsspec.filesystem("s3"))._cache.values():
        if files._s3 is not None and files.asynchronous:
            sync(files._s3.close())  # one that zarr opened
        elif files._s3 is not None:
            fsspec.asyn.sync(files.loop, files._s3.close)
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()
    patch.undo()


@pytest.fixture
def memory():
    yield "memory://bucket"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "slide.tif"
    # Black corners: shards of zeros are not stored.
    image = rng.integers(90, 160, (300, 411), np.uint16)
    image[:130, :130] = 0
    tifffile.imwrite(path, image, tile=(128, 128), compression="zlib")
    return path


def job_of(source, output, **settings):
    settings = {"model": "bicubic", "tile_px": 64, "device": "cpu", **settings}
    return UpscaleJob(source=str(source), output=output, **settings)


def local(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stored(url):
    """All objects below a URL."""
    files, path = fsspec.url_to_fs(url)
    files.invalidate_cache()
    found = files.find(path) if files.exists(path) else []
    root = path.strip("/") + "/"
    return {key.strip("/").removeprefix(root): files.cat_file(key) for key in found}


def without_source(objects):
    """Leave the name of the input out of the metadata: it lies elsewhere."""
    meta = json.loads(objects["zarr.json"])
    meta["attributes"]["microsr"]["provenance"]["job"].pop("source")
    return objects | {"zarr.json": meta}


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_a_result_in_an_object_store_is_that_of_a_disk(store, request, picture, cancel_after):
    place = request.getfixturevalue(store)
    whole = without_source(local(upscale(job_of(picture, picture.parent / "whole.ome.zarr"))[0]))
    url = f"{place}/data/slide.tif"
    with fsspec.open(url, "wb") as file:
        file.write(picture.read_bytes())
    output = f"{place}/out.ome.zarr"
    job = job_of(url, output)
    with pytest.raises(Cancelled):
        upscale(job, progress=cancel_after(12))
    assert "zarr.json" not in stored(output), "nobody takes it for an image"
    with pytest.raises(InputError):
        open_image(output)
    with pytest.raises(OutputError, match="unfinished run with other settings"):
        upscale(job_of(url, output, tile_px=32))
    computed = []
    (path,) = upscale(job, opened=lambda run, sinks: computed.append(len(sinks[0].journal.blocks)))
    assert computed[0] > 4, "what was there is not computed again"
    assert str(path) == output
    assert without_source(stored(output)) == whole
    assert stored(output + ".partial") == {}
    with pytest.raises(OutputError, match="exists already"):
        upscale(job)
    (again,) = upscale(job_of(url, output, restart=True))
    assert without_source(stored(str(again))) == whole
    source = open_image(output)
    level = zarr.open_array(f"{output}/0", mode="r")
    np.testing.assert_array_equal(source.read(0, slice(0, 9), slice(300, 310))[0], level[:9, 300:310])


def test_a_result_in_an_object_store_has_one_writer(memory, picture, monkeypatch):
    output = f"{memory}/out.ome.zarr"
    aside = output + ".partial/" + remote_home.HOLDER
    claim = {"host": "elsewhere", "pid": 7, "user": "ada", "since": "noon", "renewed": time.time()}
    fsspec.filesystem("memory").pipe_file(aside, json.dumps(claim).encode())
    with pytest.raises(OutputError, match="written by ada on elsewhere, process 7, since noon"):
        upscale(job_of(picture, output))
    assert json.loads(fsspec.filesystem("memory").cat_file(aside)) == claim
    monkeypatch.setattr(remote_home, "LEASE_S", 0.0)
    (path,) = upscale(job_of(picture, output))
    assert "zarr.json" in stored(str(path))


def test_what_others_wrote_is_not_deleted(memory, picture):
    output = f"{memory}/out.ome.zarr"
    fsspec.filesystem("memory").pipe_file(f"{output}/notes.txt", b"mine")
    for restart in (False, True):
        with pytest.raises(OutputError, match="another program"):
            upscale(job_of(picture, output, restart=restart))
        assert stored(output) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    "url",
    [
        f"s3://ada:{SECRET}@bucket/slide.tif",
        f"https://ada:{SECRET}@host/slide.tif",
        f"https://{SECRET}@host/slide.tif",
        f"https://host/slide.tif?X-Amz-Signature={SECRET}",
        f"https://host/slide.tif?sv=1&sig={SECRET}",
        f"s3://bucket/slide.tif#{SECRET}",
        f"ftp:/ada:{SECRET}@host/slide.tif",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for make in (
        lambda: job_of(url, "out.ome.zarr"),
        lambda: job_of("in.tif", url + ".zarr"),
        lambda: job_of("in.tif", Path(url + ".zarr")),
        lambda: RegisterJob(overviews=["a.tif", url], fields=["b.tif"], output="p.json"),
        lambda: open_image(url),
    ):
        with pytest.raises(JobError, match="holds a user name") as caught:
            make()
        assert SECRET not in f"{caught.value}{caught.value.__cause__}"
    job = job_of("in.tif", "out.ome.zarr")
    with pytest.raises(JobError):
        job.source = url
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"task": "upscale", "source": url, "output": "o.zarr"}))
    assert cli.execute(["run", "job.yaml"]) == 1
    assert cli.execute(["upscale", url, "o.zarr"]) == 1
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert [p.name for p in tmp_path.rglob("*")] == ["job.yaml"]


def test_the_keys_of_a_store_go_into_nothing_that_is_kept(s3, picture, capsys):
    output = f"{s3}/kept.ome.zarr"
    given = ["upscale", str(picture), output, "--model", "bicubic", "--device", "cpu", "--json"]
    assert cli.execute(given) == 0
    said = capsys.readouterr()
    kept = b"".join(stored(output).values())
    for secret in (SECRET, "some-key"):
        assert secret not in said.out + said.err
        assert secret.encode() not in kept
    assert json.loads(said.out)["outputs"] == [output]
    job = job_of(picture, output)
    assert yaml.safe_load(job.to_yaml())["output"] == output
    assert UpscaleJob.parse(yaml.safe_load(job.to_yaml().replace("task: upscale\n", ""))) == job


def test_places_that_cannot_be_used_are_sentences(memory, picture, s3):
    with pytest.raises(InputError, match="does not exist"):
        open_image(f"{memory}/none.tif")
    with pytest.raises(InputError, match="cannot be reached"):
        open_image("nonsense://host/slide.tif")
    with pytest.raises(OutputError, match="cannot be written to http://"):
        job_of(picture, "http://host/out.ome.zarr")
    with pytest.raises(JobError, match="only be on a disk"):
        RegisterJob(overviews=["a.tif"], fields=["b.tif"], output="s3://bucket/p.json")
    with pytest.raises(OutputError, match="characters"):
        job_of(picture, f"{memory}/out*.ome.zarr")
    with pytest.raises(OutputError):
        upscale(job_of(picture, "s3://no-such-bucket/out.ome.zarr"))
    assert place_of("C:/data/x.tif") == Path("C:/data/x.tif")
    assert place_of("file:///data/x.tif") == Path("/data/x.tif")
