import json

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError, ModelError, OutputError
from napari_microsr.superres.hdf5 import write_hdf5
from napari_microsr.superres.image_kind import ImageKind, look_at
from napari_microsr.superres.images import open_images
from napari_microsr.superres.keep_images import keep_images


def save(path, shape, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    photometric = "rgb" if shape[-1] == 3 else "minisblack"
    per_cm = 1e4 / 0.5
    tifffile.imwrite(
        path,
        np.random.default_rng(0).integers(0, 200, shape).astype(dtype),
        photometric=photometric,
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )


def test_folders_files_and_pairs(tmp_path):
    save(tmp_path / "rgb" / "a.tif", (31, 17, 3))
    (tmp_path / "rgb" / "notes.txt").write_text("first by name would be this")
    assert look_at(tmp_path / "rgb") == ImageKind(3, None, 0.5)
    assert look_at(tmp_path / "rgb" / "a.tif") == ImageKind(3, None, 0.5)
    save(tmp_path / "grey" / "a.tif", (1, 1), ">u2")
    assert look_at(tmp_path / "grey").channels == 1
    save(tmp_path / "pairs" / "low" / "a.tif", (9, 7))
    save(tmp_path / "pairs" / "high" / "a.tif", (27, 21))
    assert look_at(tmp_path / "pairs") == ImageKind(1, 3, 0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_hdf5(tmp_path, channels):
    shape = (32, 32, 3)[: channels // 3 + 2]
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    write_hdf5(tmp_path / "pairs.h5", [("a", image, image), ("b", image, image)])
    kind = look_at(tmp_path / "pairs.h5")
    assert (kind.channels, kind.factor) == (channels, 1)


def test_exported_pairs(tmp_path):
    save(tmp_path / "low.tif", (16, 16, 3))
    save(tmp_path / "high.tif", (64, 64, 3))
    field = {"name": "a", "low": "low.tif", "high": "high.tif", "patches": [{"y": 0, "x": 0}]}
    empty = {**field, "low": "none.tif", "patches": []}
    document = {"format": 1, "patch_px": 16, "fields": [empty, field]}
    (tmp_path / "pairs.json").write_text(json.dumps(document))
    assert look_at(tmp_path) == look_at(tmp_path / "pairs.json") == ImageKind(3, 4, 0.5)


@pytest.mark.parametrize("damage", ["", "[]", '{"fields": []}', '{"fields": [1]}'])
def test_a_damaged_list_of_pairs(tmp_path, damage):
    (tmp_path / "pairs.json").write_text(damage)
    with pytest.raises(InputError, match="pairs"):
        look_at(tmp_path)


def test_nothing_to_look_at(tmp_path):
    with pytest.raises(InputError, match="no image"):
        look_at(tmp_path)
    with pytest.raises(InputError):
        look_at(tmp_path / "missing")
    (tmp_path / "low").mkdir()
    with pytest.raises(InputError, match="do not pair"):
        look_at(tmp_path)


def test_images_that_are_kept_open_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    given = {
        "a.tif": ImageSource.from_array(rng.integers(0, 255, (33, 20, 3), np.uint8), rgb=True, name="a"),
        "b.tif": ImageSource.from_array(rng.integers(0, 255, (33, 21, 3), np.uint8), rgb=True, name="b"),
    }
    assert_same(open_images(None, 3, given), open_images(keep_images(given, tmp_path / "rgb"), 3))
    stack = ImageSource.from_array(rng.normal(9, 2, (2, 3, 16, 18)).astype(">f4"), axes="tzyx", name="s")
    given = {"s.tif": stack}
    assert_same(open_images(None, 1, given), open_images(keep_images(given, tmp_path / "stack"), 1))
    high = ImageSource.from_array(rng.integers(0, 4000, (40, 36)).astype(np.uint16), name="h")
    low = ImageSource.from_array(rng.integers(0, 4000, (20, 18)).astype(np.uint16), name="l")
    given = {"p": (low, high)}
    assert_same(open_images(None, 1, given), open_images(keep_images(given, tmp_path / "pairs"), 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        keep_images(given, tmp_path / "file")


def assert_same(images, kept):
    assert [image.name for image in images] == [image.name for image in kept]
    for image, other in zip(images, kept, strict=True):
        np.testing.assert_array_equal(image.high.read_whole(), other.high.read_whole())
        assert (image.high.zero, image.high.one) == (other.high.zero, other.high.one)
        assert image.factor == other.factor
        if image.low is not None:
            np.testing.assert_array_equal(image.low.read_whole(), other.low.read_whole())


def test_install_replaces_the_users_own_and_says_what_is_missing(tmp_path, monkeypatch):
    from napari_microsr.core.install import install
    from napari_microsr.core.weights import SHIPPED, find

    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "home"))
    shipped = SHIPPED / "histology-x2.safetensors"
    for _ in range(2):
        assert install(shipped).id == "histology-x2"
    assert find("histology-x2")[1] == tmp_path / "home" / "models" / "histology-x2.safetensors"
    assert sorted(p.suffix for p in (tmp_path / "home" / "models").iterdir()) == [".json", ".safetensors"]
    with pytest.raises(ModelError, match="card"):
        install(tmp_path / "x.safetensors")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be installed"):
        install(shipped)
