import pickle
import shutil

import numpy as np
import pytest
import yaozarrs
import zarr
from yaozarrs.write import v05 as writer
from zarr.storage import LocalStore

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.errors import InputError

AXES = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    "c": {"name": "c", "type": "channel"},
    "z": {"name": "z", "type": "space", "unit": "micrometer"},
    "y": {"name": "y", "type": "space", "unit": "micrometer"},
    "x": {"name": "x", "type": "space", "unit": "nanometer"},
}


def whole(source: ImageSource, plane: int = 0) -> np.ndarray:
    return source.read(plane, slice(0, source.height), slice(0, source.width))


def write(path, data, axes, *, version="0.5", transforms=(), outer=(), extra=None, name="0"):
    """An OME-Zarr image of one level, as the specification has it."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array(name, data=data, chunks=tuple(min(s, 16) for s in data.shape))
    dataset = {"path": name, "coordinateTransformations": list(transforms)}
    multiscale = {"axes": [AXES[a] for a in axes], "datasets": [dataset]}
    if outer:
        multiscale["coordinateTransformations"] = list(outer)
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": "0.4", **multiscale}]})
    else:
        group.attrs.update({"ome": {"version": version, "multiscales": [multiscale]}})
    group.attrs.update(extra or {})
    return group


SCALE = {"type": "scale", "scale": [2.0, 1.0, 0.5, 250.0]}
SHIFT = {"type": "translation", "translation": [1.0, 0.0, -3.0, 40.0]}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4"])
def test_axes_units_and_transformations(tmp_path, rng, version, dtype):
    data = rng.integers(0, 200, (2, 3, 33, 21)).astype(dtype)
    path = tmp_path / "a.ome.zarr"
    twice = {"type": "scale", "scale": [1.0, 1.0, 2.0, 2.0]}
    write(path, data, "tcyx", version=version, transforms=[SCALE, SHIFT], outer=[twice])
    source = open_image(path)
    assert (source.axes, source.rgb, source.name, source.dtype) == ("tcyx", False, "a", np.dtype(dtype[-2:]))
    for plane in range(6):
        np.testing.assert_array_equal(whole(source, plane)[0], data.reshape(6, 33, 21)[plane])
    assert source.placement == Placement(
        tuple("tcyx"), ("s", "pixel", "um", "nm"), (2.0, 1.0, 1.0, 500.0), (1.0, 0.0, -6.0, 80.0)
    )
    assert source.placement.pixel_size_um == (1.0, 0.5)


def test_a_store_by_another_writer(tmp_path, rng):
    data = rng.integers(0, 2**16, (3, 40, 30), dtype="u2")
    level = yaozarrs.v05.Dataset(
        path="fine",
        coordinateTransformations=[yaozarrs.v05.ScaleTransformation(scale=[1.0, 0.65, 0.65])],
    )
    scale = yaozarrs.v05.Multiscale(
        axes=[
            yaozarrs.v05.ChannelAxis(name="c"),
            yaozarrs.v05.SpaceAxis(name="y", unit="micrometer"),
            yaozarrs.v05.SpaceAxis(name="x", unit="micrometer"),
        ],
        datasets=[level],
    )
    path = tmp_path / "b.ome.zarr"
    writer.write_image(path, yaozarrs.v05.Image(multiscales=[scale]), datasets=[data], writer="zarr")
    source = open_image(path)
    assert (source.axes, source.placement.pixel_size_um) == ("cyx", (0.65, 0.65))
    np.testing.assert_array_equal(np.concatenate([whole(source, plane) for plane in range(3)]), data)


def test_colours_are_what_this_package_marked_as_colours(tmp_path, rng):
    data = rng.integers(0, 256, (3, 20, 30), dtype="u1")
    write(tmp_path / "plain.zarr", data, "cyx")
    write(tmp_path / "ours.zarr", data, "cyx", extra={"microsr": {"rgb": True}})
    plain, ours = open_image(tmp_path / "plain.zarr"), open_image(tmp_path / "ours.zarr")
    assert (plain.rgb, plain.n_planes, plain.channel_of(2)) == (False, 3, 2)
    assert (ours.rgb, ours.n_planes, ours.placement.axis_labels) == (True, 1, ("y", "x"))
    np.testing.assert_array_equal(whole(ours), data)


def test_rotation_and_affine_noted_by_this_package_come_back(tmp_path):
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    exact = Placement(
        ("y", "x"), ("um", "um"), (0.5, 0.5), (1.0, 2.0), turn, (0.1,), np.diag([2.0, 2.0, 1.0])
    )
    steps = [{"type": "scale", "scale": [0.5, 0.5]}, {"type": "translation", "translation": [1.0, 2.0]}]
    extra = {"microsr": {"rgb": False, "placement": exact.as_dict()}}
    write(tmp_path / "a.zarr", np.zeros((5, 6)), "yx", transforms=steps, extra=extra)
    assert open_image(tmp_path / "a.zarr").placement == exact
    # Someone has calibrated the image anew: what was noted no longer holds.
    steps[0] = {"type": "scale", "scale": [0.7, 0.7]}
    write(tmp_path / "b.zarr", np.zeros((5, 6)), "yx", transforms=steps, extra=extra)
    assert open_image(tmp_path / "b.zarr").placement.scale == (0.7, 0.7)


def test_the_first_level_is_the_finest(tmp_path, rng):
    data = rng.random((40, 50))
    group = write(tmp_path / "a.zarr", data, "yx", name="s0")
    group.create_array("s1", data=data[::2, ::2])
    attributes = group.attrs.asdict()["ome"]
    attributes["multiscales"][0]["datasets"].append({"path": "s1"})
    group.attrs["ome"] = attributes
    np.testing.assert_array_equal(whole(open_image(tmp_path / "a.zarr"))[0], data)


def test_the_first_image_of_a_converted_file(tmp_path, rng):
    data = rng.random((8, 9))
    zarr.open_group(tmp_path / "a.zarr", mode="w").attrs.update({"ome": {"bioformats2raw.layout": 3}})
    write(tmp_path / "a.zarr" / "0", data, "yx")
    np.testing.assert_array_equal(whole(open_image(tmp_path / "a.zarr"))[0], data)


@pytest.mark.parametrize(
    ("shape", "names", "axes"),
    [
        ((5, 6), None, "yx"),
        ((2, 5, 6), None, "zyx"),
        ((6, 5, 2), ("x", "y", "t"), "xyt"),
        ((5, 6), ("a", "b"), "yx"),
    ],
)
def test_bare_arrays(tmp_path, rng, shape, names, axes):
    data = rng.random(shape)
    zarr.create_array(tmp_path / "a.zarr", data=data, dimension_names=names)
    source = open_image(tmp_path / "a.zarr")
    assert source.axes == axes
    truth = data.transpose(2, 1, 0) if axes == "xyt" else data.reshape(-1, 5, 6)
    np.testing.assert_array_equal(whole(source), truth[:1])


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(InputError, match="without zarr metadata"):
        open_image(tmp_path)
    zarr.open_group(tmp_path / "plate.zarr", mode="w").create_group("A")
    with pytest.raises(InputError, match=r"without an image.*inside it: A"):
        open_image(tmp_path / "plate.zarr")
    group = write(tmp_path / "hollow.zarr", np.zeros((5, 6)), "yx")
    shutil.rmtree(tmp_path / "hollow.zarr" / "0")
    assert "0" not in group
    with pytest.raises(InputError, match=r"pixels \(0\) are not there"):
        open_image(tmp_path / "hollow.zarr")
    write(tmp_path / "empty.zarr", np.zeros((0, 6)), "yx")
    with pytest.raises(InputError, match="no pixels"):
        open_image(tmp_path / "empty.zarr")
    (tmp_path / "hollow.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="cannot be opened"):
        open_image(tmp_path / "hollow.zarr")


def test_a_damaged_chunk_is_told_when_it_is_met(tmp_path, rng):
    write(tmp_path / "a.zarr", rng.random((40, 40)), "yx")
    (tmp_path / "a.zarr" / "0" / "c" / "2" / "2").write_bytes(b"no chunk")
    source = open_image(tmp_path / "a.zarr")
    source.read(0, slice(0, 32), slice(0, 40))
    with pytest.raises(InputError, match=r"a\.zarr cannot be read at rows 32 to 40"):
        source.read(0, slice(32, 40), slice(32, 40))


def test_a_corner_reads_the_chunks_of_the_corner(tmp_path, rng, monkeypatch):
    write(tmp_path / "a.zarr", rng.random((320, 320)), "yx")
    source = open_image(tmp_path / "a.zarr")
    read, original = [], LocalStore.get

    async def record(self, key, *args, **kwargs):
        read.append(key)
        return await original(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", record)
    source.read(0, slice(300, 320), slice(310, 320))
    assert sorted(read) == ["0/c/18/19", "0/c/19/19"]


def test_pickles_opened_again_and_fingerprints(tmp_path, rng):
    data = rng.random((200, 200))
    write(tmp_path / "a.zarr", data, "yx")
    source = open_image(tmp_path / "a.zarr")
    packed = pickle.dumps(source)
    assert len(packed) < 10_000
    again = pickle.loads(packed)
    np.testing.assert_array_equal(whole(again)[0], data)
    mark = source.fingerprint()
    assert again.fingerprint() == open_image(tmp_path / "a.zarr").fingerprint() == mark
    write(tmp_path / "a.zarr", data, "yx", transforms=[{"type": "scale", "scale": [0.5, 0.5]}])
    other = open_image(tmp_path / "a.zarr").fingerprint()
    write(tmp_path / "a.zarr", data + 1, "yx")
    assert len({mark, other, open_image(tmp_path / "a.zarr").fingerprint()}) == 3


def test_version_06_has_axes_in_a_coordinate_system_and_sequences(tmp_path):
    """By the example of the specification: https://github.com/ome/ngff-spec/releases/tag/0.6."""
    group = zarr.create_group(tmp_path / "image.ome.zarr", zarr_format=3)
    group.create_array("s0", data=np.zeros((2, 4, 5), np.uint8))
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    sequence = {
        "type": "sequence",
        "input": {"path": "s0"},
        "output": {"name": "physical"},
        "transformations": [
            {"type": "scale", "scale": [1, 0.5, 0.25]},
            {"type": "translation", "translation": [0, 3, 4]},
        ],
    }
    multiscale = {
        "coordinateSystems": [{"name": "physical", "axes": axes}],
        "datasets": [{"path": "s0", "coordinateTransformations": [sequence]}],
    }
    group.attrs["ome"] = {"version": "0.6", "multiscales": [multiscale]}
    source = open_image(tmp_path / "image.ome.zarr")
    assert source.axes == "cyx"
    assert source.placement.scale == (1, 0.5, 0.25)
    assert source.placement.translate == (0, 3, 4)
    assert source.placement.pixel_size_um == (0.5, 0.25)
