"""Names of files, plates and folders become items: every one once, in their place."""

import numpy as np
import pytest
import tifffile
import yaozarrs

from napari_microsr.batch.inputs import find, is_many
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.run import run_batch
from napari_microsr.core.image import open_image
from napari_microsr.core.name_pattern import NamePattern
from napari_microsr.errors import InputError, JobError


def write(folder, names, rng, shape=(9, 11)):
    """Write a picture per name and return their pixels."""
    held = {}
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        held[name] = rng.integers(0, 4000, shape, np.uint16)
        tifffile.imwrite(folder / name, held[name])
    return held


@pytest.mark.parametrize(
    ("pattern", "name", "values"),
    [
        ("{well}_s{field}_w{channel}.tif", "B03_s12_w2.TIF", {"well": "B03", "field": "12", "channel": "2"}),
        ("{well}_{channel}.tif", "AA12_DAPI.tif", {"well": "AA12", "channel": "DAPI"}),
        ("{well}_w{channel:1}*.tif", "A01_w12AF-09.tif", {"well": "A01", "channel": "1"}),
        ("{well}_w{channel:1}*.tif", "A01_w1_thumb2AF.tif", None),
        ("{slide}/4x.tif", "case 7/4x.tif", {"slide": "case 7"}),
        ("{slide}/4x.tif", "a/b/4x.tif", None),
        ("{a}-{a}.tif", "x-x.tif", {"a": "x"}),
        ("{a}-{a}.tif", "x-y.tif", None),
        ("f(1)+.{z}", "f(1)+.7", {"z": "7"}),
    ],
)
def test_a_pattern_says_what_a_name_means(pattern, name, values):
    assert NamePattern(pattern).match(name) == values


def test_imagexpress_sites_and_wavelengths_become_fields_and_channels(tmp_path, rng):
    names = [f"P1_{w}_s{s}_w{c}9F{s}-A{c}.TIF" for w in ("A01", "H12") for s in (1, 2) for c in (1, 2, 3)]
    pixels = write(tmp_path / "scan", [*names, "P1_A01_s1_w1_thumb9F.TIF"], rng)
    items = find([str(tmp_path / "scan")], "imagexpress")
    assert [item.key for item in items] == [f"P1/{w}/{s}" for w in ("A/1", "H/12") for s in (1, 2)]
    image = open_image(items[2].source)
    assert image.axes == "cyx"
    for channel in range(3):
        block = image.read(channel, slice(2, 9), slice(0, 11))[0]
        assert np.array_equal(block, pixels[f"P1_H12_s1_w{channel + 1}9F1-A{channel + 1}.TIF"][2:])
    batch = {"do": "upscale", "pattern": "imagexpress", "settings": {"model": "bicubic", "device": "cpu"}}
    run_batch(BatchJob(inputs=[str(tmp_path / "scan")], output=tmp_path / "run", **batch))
    yaozarrs.validate_zarr_store(str(tmp_path / "run" / "P1.ome.zarr"))
    assert open_image(tmp_path / "run" / "P1.ome.zarr" / "H" / "12" / "2").array.shape == (3, 18, 22)


def test_opera_planes_become_a_stack(tmp_path, rng):
    names = [
        f"r02c13f{f:02d}p{z:02d}-ch{c}sk1fk1fl1.tiff" for f in (1, 3) for z in (1, 2, 10) for c in (1, 4)
    ]
    pixels = write(tmp_path / "Images", names, rng)
    items = find([str(tmp_path / "Images")], "opera")
    assert [item.key for item in items] == ["Images/B/13/1", "Images/B/13/3"]
    image = open_image(items[1].source)
    assert (image.axes, image.array.shape) == ("tczyx", (1, 2, 3, 9, 11))
    # The last axis counts fastest, and plane 10 comes after 2.
    for plane, (channel, z) in enumerate((c, z) for c in (1, 4) for z in (1, 2, 10)):
        expected = pixels[f"r02c13f03p{z:02d}-ch{channel}sk1fk1fl1.tiff"]
        assert np.array_equal(image.read(plane, slice(0, 9), slice(0, 11))[0], expected)


def test_a_missing_or_doubled_plane_is_named(tmp_path, rng):
    write(tmp_path, ["A1_w1.tif", "A1_w2.tif", "B1_z1_w1.tif", "B1_z2_w1.tif", "B1_z2_w2.tif"], rng)
    with pytest.raises(InputError, match="channel 2"):
        open_image(tmp_path / "B1_z{z}_w{channel}.tif")
    with pytest.raises(InputError, match="same plane"):
        open_image(tmp_path / "*_w{channel}.tif")
    with pytest.raises(InputError, match="no files"):
        open_image(tmp_path / "C1_w{channel}.tif")


def test_planes_of_another_size_are_refused_when_they_are_read(tmp_path, rng):
    write(tmp_path, ["A1_w1.tif"], rng)
    write(tmp_path, ["A1_w2.tif"], rng, (9, 12))
    image = open_image(tmp_path / "A1_w{channel}.tif")
    image.read(0, slice(0, 9), slice(0, 11))
    with pytest.raises(InputError, match=r"A1_w2\.tif"):
        image.read(1, slice(0, 9), slice(0, 11))


def test_files_of_one_name_keep_their_ending(tmp_path, rng):
    write(tmp_path, ["a.tif", "a.tiff", "sub/a.tif"], rng)
    names = [str(tmp_path / name) for name in ("a.tif", "a.tiff", "sub/a.tif", "a.tif")]
    assert [item.key for item in find(names)] == ["a.tif", "a.tiff", "sub/a"]


def test_two_images_for_one_field_are_refused(tmp_path, rng):
    write(tmp_path, ["x_A01.tif", "y_A1.tif"], rng)
    with pytest.raises(InputError, match="A/1/1"):
        find([str(tmp_path)], "*_{well}.tif")


def test_what_stands_for_many(plate, slides):
    assert is_many(str(plate[0]))
    assert is_many(str(slides))
    assert is_many(str(slides / "*.tif"))
    assert is_many(str(slides / "{slide}.tif"))
    assert not is_many(str(slides / "a.tif"))
    assert not is_many(str(plate[0] / "A/1/0"))
    assert not is_many("missing.tif")


def test_wells_with_numbers_get_letters(tmp_path, rng):
    write(tmp_path, ["r27c01f1.tif"], rng)
    [item] = find([str(tmp_path)], "r{row}c{column}f{field}.tif")
    assert item.key.endswith("/AA/1/1")


def test_no_fit_and_no_pattern_say_so(slides):
    with pytest.raises(InputError, match="fits"):
        find([str(slides)], "{well}_{field}.tif")
    with pytest.raises(JobError, match="imagexpress"):
        find([str(slides)], "harmony")
