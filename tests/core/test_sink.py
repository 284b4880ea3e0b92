"""The OME-Zarr store: layout, pyramid, journal, resume and what is never overwritten."""

import json
import shutil

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_microsr.core import sink as sink_module
from napari_microsr.core.home import JOURNAL
from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.ome_zarr_store import area_mean, chunk_px
from napari_microsr.core.sink import ZarrSink
from napari_microsr.core.tiles import TilePlan
from napari_microsr.errors import InputError, OutputError

FINGERPRINT = {"model": "test", "tile_px": [64, 64]}


def layout_of(image, axes, *, rgb=False, tile_px=64, factor=2, placement=None):
    source = ImageSource.from_array(image, axes=axes, rgb=rgb, placement=placement, name="slide")
    plan = TilePlan.cover(source, tile_px, halo_px=2, multiple_of=1, factor=factor)
    return Layout(source, plan, source.dtype, {"job": {"model": "test"}})


def tiles(layout):
    return [layout.plan.tile(i) for i in range(len(layout.plan))]


def block_of(layout, tile):
    """Enlarge one tile by repetition: the whole result is then `image.repeat`."""
    y, x = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
    n = layout.plan.factor
    return layout.source.read(tile.plane, y, x).repeat(n, 1).repeat(n, 2)


def write(path, layout, numbers=None, **options):
    sink = ZarrSink(path, layout, FINGERPRINT, **options)
    with sink:
        for tile in tiles(layout):
            if (numbers is None or tile.index in numbers) and not sink.holds(tile):
                sink.write(tile, block_of(layout, tile))
        if numbers is None:
            sink.finish()
    return sink


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


CASES = {
    "grey": ((300, 421), "yx", False),
    "rgb": ((301, 130, 3), "yxc", True),
    "planar rgb": ((3, 70, 600), "cyx", True),
    "stack": ((2, 3, 2, 90, 80), "tczyx", False),
    "ImageJ order": ((2, 3, 2, 90, 80), "tzcyx", False),
    "rgb stack": ((2, 40, 50, 3), "zyxc", True),
    "one row": ((1, 700), "yx", False),
    "one pixel": ((1, 1), "yx", False),
}


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_the_store_is_valid_ome_zarr_and_holds_the_pixels(tmp_path, rng, case, dtype):
    shape, axes, rgb = CASES[case]
    image = rng.integers(0, 250, shape).astype(dtype)
    layout = layout_of(image, axes, rgb=rgb)
    path = tmp_path / "out.ome.zarr"
    write(path, layout)

    yaozarrs.validate_zarr_store(str(path))
    stored = zarr.open_array(path / "0")
    assert stored.dtype == image.dtype.newbyteorder("=")
    assert stored.shards is not None
    big = image
    for axis in "yx":
        big = big.repeat(2, axes.index(axis))
    expected = big.transpose([axes.index(axis) for axis in layout.axes])
    np.testing.assert_array_equal(stored[:], expected)
    assert not any(p.name.startswith("microsr") or p.suffix == ".partial" for p in path.rglob("*"))
    # It comes back through our own reader as the same image.
    again = open_image(path)
    assert (again.rgb, again.height, again.width) == (rgb, layout.plan.height * 2, layout.plan.width * 2)


def test_the_pyramid_is_the_area_mean_of_the_level_below(tmp_path, rng):
    image = rng.integers(0, 255, (301, 1027), np.uint8)
    layout = layout_of(image, "yx", tile_px=48)
    write(tmp_path / "out.zarr", layout)
    level = zarr.open_array(tmp_path / "out.zarr" / "0")[:]
    sizes = layout.sizes()
    assert max(sizes[-1]) <= 512 < max(sizes[-2])
    for number in range(1, len(sizes)):
        padded = np.pad(level, [(0, size % 2) for size in level.shape], mode="edge").astype(float)
        rows, cols = padded.shape
        mean = padded.reshape(rows // 2, 2, cols // 2, 2).mean((1, 3))
        level = np.floor(mean + 0.5).astype(np.uint8)
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr" / str(number))[:], level)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("size", [1, 97, 631, 1262, 4096, 8192, 9973])
@pytest.mark.parametrize("tile_px", [17, 448, 631, 640, 1024])
def test_no_size_of_image_or_tile_leaves_tiny_chunks(size, tile_px, even):
    source = ImageSource.from_array(np.broadcast_to(np.uint8(0), (size, size)), axes="yx")
    for factor in (1, 2):
        plan = TilePlan.cover(source, tile_px, halo_px=14, multiple_of=1, factor=factor, even=even)
        chunk = chunk_px(plan.tile_height * factor)
        assert min(64, plan.tile_height) <= chunk <= 512
        assert (plan.tile_height * factor) % chunk == 0


def test_area_mean_of_floats_keeps_type_and_nan():
    block = np.array([[1, 2, 3], [3, np.nan, 5]], np.float32)[None]
    reduced = area_mean(block)
    assert reduced.dtype == np.float32
    np.testing.assert_array_equal(reduced, [[[np.nan, 4.0]]])
    assert area_mean(np.full((2, 2), 65535, np.uint16)).item() == 65535


def test_placement_and_provenance_are_stored(tmp_path):
    placement = Placement(("y", "x"), ("um", "um"), (0.5, 0.25), (10.0, -3.0))
    layout = layout_of(np.zeros((600, 600), np.uint8), "yx", placement=placement)
    write(tmp_path / "out.zarr", layout)
    attributes = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]
    multiscale = attributes["ome"]["multiscales"][0]
    assert [axis["unit"] for axis in multiscale["axes"]] == ["micrometer", "micrometer"]
    for level, dataset in enumerate(multiscale["datasets"]):
        scale, shift = dataset["coordinateTransformations"]
        assert scale["scale"] == [0.25 * 2**level, 0.125 * 2**level]
        # The corner of the first pixel stays where the input's is, at every level.
        corner = [t - s / 2 for t, s in zip(shift["translation"], scale["scale"], strict=True)]
        assert corner == pytest.approx([10 - 0.25, -3 - 0.125])
    assert attributes["microsr"]["provenance"] == {"job": {"model": "test"}}


def test_a_resumed_store_is_the_same_to_the_byte(tmp_path, rng):
    layout = layout_of(rng.integers(0, 255, (400, 700, 3), np.uint8), "yxc", rgb=True)
    write(tmp_path / "whole.zarr", layout)
    count = len(layout.plan)
    for stop in (0, 1, count // 2, count):
        path = tmp_path / f"resumed{stop}.zarr"
        write(path, layout, numbers=range(stop))
        assert not path.exists()
        # What a kill in the middle of a write leaves behind:
        (path.with_name(path.name + ".partial") / "0" / "c.0a1b.partial").write_bytes(b"torn")
        with (path.with_name(path.name + ".partial") / JOURNAL).open("ab") as journal:
            journal.write(b"0 0 1")
        resumed = write(path, layout)
        assert all(resumed.holds(tile) for tile in tiles(layout))
        assert contents(path) == contents(tmp_path / "whole.zarr")


def test_live_previews_leave_the_finished_store_unchanged(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(sink_module, "PREVIEW_SECONDS", 0.0)
    layout = layout_of(rng.integers(1, 255, (700, 600), np.uint8), "yx")
    write(tmp_path / "quiet.zarr", layout)
    with ZarrSink(tmp_path / "live.zarr", layout, FINGERPRINT) as sink:
        sink.show_live()
        for number, tile in enumerate(tiles(layout)):
            sink.write(tile, block_of(layout, tile))
            # Each finished tile is seen at once on the coarsest level, at its place.
            coarse = sink.store.levels[-1][:]
            step = 2 ** (len(layout.sizes()) - 1)
            y, x = (tile.y * 2 + 8) // step, (tile.x * 2 + 8) // step
            assert coarse[y, x] > 0, number
        sink.finish()
    assert contents(tmp_path / "live.zarr") == contents(tmp_path / "quiet.zarr")


def test_a_finished_output_is_not_overwritten_unless_told(tmp_path):
    layout = layout_of(np.full((50, 50), 3, np.uint8), "yx")
    path = tmp_path / "out.ome.zarr"
    write(path, layout)
    before = contents(path)
    with pytest.raises(OutputError, match="exists already"):
        write(path, layout)
    assert contents(path) == before
    other = layout_of(np.full((50, 50), 9, np.uint8), "yx")
    write(path, other, numbers=[], restart=True)
    assert contents(path) == before, "the old result stays until the new one is complete"
    write(path, other, restart=True)
    assert zarr.open_array(path / "0")[0, 0] == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.ome.zarr"]


def test_other_peoples_folders_are_never_replaced(tmp_path):
    layout = layout_of(np.zeros((5, 5), np.uint8), "yx")
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(OutputError, match="not written by napari-microsr"):
        write(tmp_path / "photos.zarr", layout, restart=True)
    (tmp_path / "out.zarr.partial").mkdir()
    (tmp_path / "out.zarr.partial" / "thesis.txt").write_bytes(b"x")
    for restart in (False, True):
        with pytest.raises(OutputError, match="files of another program"):
            write(tmp_path / "out.zarr", layout, restart=restart)
    assert (tmp_path / "out.zarr.partial" / "thesis.txt").exists()


def test_another_runs_partial_store_is_not_mixed_in(tmp_path):
    layout = layout_of(np.zeros((200, 200), np.uint8), "yx")
    write(tmp_path / "out.zarr", layout, numbers=[0])
    with pytest.raises(OutputError, match=r"tile_px \[64, 64\], now 32"):
        ZarrSink(tmp_path / "out.zarr", layout, {"model": "test", "tile_px": 32})
    with ZarrSink(tmp_path / "out.zarr", layout, {"model": "x"}, restart=True) as sink:
        assert not any(sink.holds(tile) for tile in tiles(layout))


def test_two_runs_do_not_write_one_store(tmp_path):
    layout = layout_of(np.zeros((20, 20), np.uint8), "yx")
    with (
        ZarrSink(tmp_path / "out.zarr", layout, FINGERPRINT),
        pytest.raises(OutputError, match="being written by another run"),
    ):
        ZarrSink(tmp_path / "out.zarr", layout, FINGERPRINT)
    write(tmp_path / "out.zarr", layout)


def test_an_output_below_a_file_or_with_another_name_is_refused(tmp_path):
    layout = layout_of(np.zeros((20, 20), np.uint8), "yx")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "out.zarr", layout)
    with pytest.raises(OutputError, match=r"ends in \.ome\.zarr"):
        write(tmp_path / "out.tif", layout)


def test_axes_that_ome_zarr_cannot_hold_are_refused():
    with pytest.raises(InputError, match="does not fit in OME-Zarr"):
        layout_of(np.zeros((2, 2, 2, 8, 8), np.uint8), "qtryx")


def test_the_journal_survives_being_cut_at_any_byte(tmp_path):
    layout = layout_of(np.full((200, 200), 7, np.uint8), "yx")
    write(tmp_path / "out.zarr", layout, numbers=range(9))
    partial = tmp_path / "out.zarr.partial"
    text = (partial / JOURNAL).read_bytes()
    lines = text.split(b"\n")
    partial.rename(tmp_path / "kept")
    for cut in range(len(lines[0]) + 1, len(text) + 1):
        shutil.copytree(tmp_path / "kept", partial, dirs_exist_ok=True)
        (partial / JOURNAL).write_bytes(text[:cut])
        with ZarrSink(tmp_path / "out.zarr", layout, FINGERPRINT) as sink:
            complete = [tuple(map(int, line.split())) for line in text[:cut].split(b"\n")[1:-1]]
            assert sink.journal.blocks == set(complete)
