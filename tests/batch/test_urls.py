"""Steps of a chain that read and write behind URLs."""

import numpy as np
import pytest
import tifffile

from napari_microsr.batch.chain import ChainJob, run_chain
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.run import run_batch
from napari_microsr.core.image import open_image

pytest.importorskip("upath")
fsspec = pytest.importorskip("fsspec")

BICUBIC = {"model": "bicubic", "device": "cpu"}


@pytest.fixture
def bucket():
    yield "memory://bucket"
    fsspec.filesystem("memory").store.clear()


def put(url, pixels, tmp_path):
    tifffile.imwrite(tmp_path / "sent.tif", pixels)
    with fsspec.open(url, "wb") as file:
        file.write((tmp_path / "sent.tif").read_bytes())


def test_a_chain_through_a_bucket_does_only_what_is_missing_or_changed(bucket, tmp_path, noted, rng):
    run = tmp_path / "run"
    put(f"{bucket}/a.tif", rng.integers(0, 255, (20, 30), np.uint8), tmp_path)
    steps = [
        {"task": "upscale", "name": "first", "source": f"{bucket}/a.tif", **BICUBIC}
        | {"output": f"{bucket}/x2.ome.zarr"},
        {"task": "upscale", "source": "{first}", "output": f"{bucket}/x4.ome.zarr", **BICUBIC},
    ]
    chain = ChainJob(output=run, steps=steps)
    ends = run_chain(chain)
    assert [state.state for state in ends] == ["done", "done"]
    assert open_image(f"{bucket}/x4.ome.zarr").array.shape == (80, 120)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "sent.tif"], "nothing like memory:/"
    assert (run / "report.html").read_text().count("<img") == 2
    lines = len(noted(run))
    run_chain(chain)
    assert len(noted(run)) == lines
    # A result that has gone is made again; one that is the same, too, for what follows may depend on it.
    files = fsspec.filesystem("memory")
    before = files.cat_file("/bucket/x4.ome.zarr/zarr.json")
    files.rm("/bucket/x4.ome.zarr", recursive=True)
    run_chain(chain)
    assert {line["key"] for line in noted(run)[lines:]} == {"upscale"}
    assert files.cat_file("/bucket/x4.ome.zarr/zarr.json") == before
    # Another image at the same URL.
    put(f"{bucket}/a.tif", rng.integers(0, 255, (11, 30), np.uint8), tmp_path)
    run_chain(chain)
    assert open_image(f"{bucket}/x4.ome.zarr").array.shape == (44, 120)


def test_a_batch_of_urls(bucket, tmp_path):
    for name in "ab":
        put(f"{bucket}/{name}.tif", np.zeros((9, 7), np.uint8), tmp_path)
    urls = [f"{bucket}/a.tif", f"{bucket}/b.tif", f"{bucket}/none.tif"]
    ends = run_batch(BatchJob(do="upscale", inputs=urls, output=tmp_path / "run", settings=BICUBIC))
    assert {state.key: state.state for state in ends} == {"a": "done", "b": "done", "none": "failed"}
    assert open_image(tmp_path / "run" / "a.ome.zarr").array.shape == (18, 14)
