"""A stored result opens in its place: pixel size, units, colours, pyramid."""

import numpy as np
import pytest
import zarr

from napari_microsr.core.image import ImageSource, Placement
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.widgets.reader import reader

pytestmark = pytest.mark.gui


@pytest.fixture
def store(tmp_path, rng):
    image = rng.integers(0, 255, (300, 301, 3), np.uint8)
    placement = Placement(("y", "x"), ("um", "um"), (0.5, 0.25), (7.0, -2.0))
    source = ImageSource.from_array(image, axes="yxc", rgb=True, placement=placement, name="slide")
    job = UpscaleJob(source="slide", output=tmp_path / "slide.ome.zarr", model="bicubic", device="cpu")
    return upscale(job, source=source)[0]


def test_napari_opens_a_result_in_its_place(model, store):
    from napari.plugins import _initialize_plugins

    _initialize_plugins()
    (layer,) = model.open(store, plugin="napari-microsr")
    assert layer.rgb
    assert layer.multiscale
    assert layer.name == "slide"
    np.testing.assert_allclose(layer.scale, (0.25, 0.125))
    np.testing.assert_allclose(layer.translate, (7 - 0.125, -2 - 0.0625))
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    stored = zarr.open_array(store / "0")[:]
    np.testing.assert_array_equal(np.asarray(layer.data[0]), stored.transpose(1, 2, 0))
    assert layer.metadata["microsr"]["model"]["id"] == "bicubic"


def test_other_stores_are_left_to_other_readers(tmp_path):
    zarr.create_group(tmp_path / "other.zarr")
    assert reader(str(tmp_path / "other.zarr")) is None
    assert reader(str(tmp_path / "missing.zarr")) is None
    assert reader(["a.zarr", "b.zarr"]) is None
