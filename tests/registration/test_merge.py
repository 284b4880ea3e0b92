"""The merged image shows each place as the finest image that covers it, whatever the pixel size and type."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_microsr.core.image import ImageSource, Placement, open_image
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, JobError, OutputError
from napari_microsr.registration import streaming
from napari_microsr.registration.formats import write_placements
from napari_microsr.registration.geometry import similarity
from napari_microsr.registration.merge import MergeJob, merge
from napari_microsr.registration.mosaic import Mosaic, Overlay, to_field
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements


def specimen(points):
    """A smooth picture, known everywhere, between -1 and 1."""
    y, x = np.moveaxis(points, -1, 0)
    return (np.sin(0.21 * y + 0.3 * np.sin(0.1 * x)) + np.cos(0.17 * x - 0.05 * y)) / 2


def pixels(shape):
    return np.moveaxis(np.indices(shape, float), 0, -1)


def image(array, name, um=None, **options):
    axes = options.get("axes", "yx")
    sizes = {} if um is None else dict.fromkeys("yx", (um, "um"))
    return ImageSource.from_array(
        array, name=name, placement=Placement.of_sizes(axes.replace("yxc", "yx"), sizes), **options
    )


def lay(name, matrix, shape, status="placed", **values):
    return FieldPlacement(name, None, "slide", shape, status, matrix_yx=matrix, **values)


SHAPE = (60, 80)
TURNED = similarity(0.3, 25, centre=(35, 45), onto=(30, 40), mirrored=True)


@pytest.fixture
def scene():
    """The specimen seen by an overview of 2 µm and by a turned, mirrored, bent field over its middle."""
    bent = np.array([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]])
    field = lay("field", TURNED, (70, 90), quadratic_yx=bent, field_um=0.6)
    sharp = specimen(field.to_overview(pixels((70, 90))))
    images = {"slide": image(specimen(pixels(SHAPE)), "slide", 2.0), "field": image(sharp, "field")}
    return Placements([OverviewInfo("slide", None, SHAPE, 2.0)], [field]), images


def merged(tmp_path, scene, **settings):
    placements, images = scene
    job = MergeJob(placements="none.json", output=tmp_path / "out.ome.zarr", **settings)
    path = merge(job, placements=placements, images=images)
    return path, zarr.open_array(path / "0")[:]


def changed(scene, kind):
    """The same scene with other pixels: `kind` makes them from those of the specimen."""
    placements, images = scene
    return placements, {name: kind(name, np.asarray(source.array)) for name, source in images.items()}


def places(shape, step):
    return (pixels(shape) + 0.5) * step - 0.5


class TestPlaces:
    @pytest.mark.parametrize("um", [None, 0.5, 1.3, 2.0, 3.0])
    def test_every_pixel_shows_its_place(self, tmp_path, scene, um):
        """Where the field lies and where it does not, at pixels finer and coarser than the overview's."""
        _, result = merged(tmp_path, scene, um=um, match_colours=False)
        step = (um or 0.6) / 2
        assert result.shape == tuple(int(np.ceil(size / step - 1e-6)) for size in SHAPE)
        expected = specimen(places(result.shape, step))
        rim = int(np.ceil(3 / step))  # there the overview has no neighbours to interpolate with
        # Averaging over coarse pixels costs contrast, a shift by a fifth of their size costs 0.04 * step.
        assert np.abs(result - expected)[rim:-rim, rim:-rim].max() < 0.001 + 0.015 * step**2

    def test_the_pixel_size_and_origin_are_those_of_the_overviews_area(self, tmp_path, scene):
        path, _ = merged(tmp_path, scene, um=0.5)
        yaozarrs.validate_zarr_store(str(path))
        placement = open_image(path).placement
        assert placement.pixel_size_um == (0.5, 0.5)
        assert placement.translate == pytest.approx((-0.75, -0.75))

    def test_the_pixel_size_that_was_registered_wins(self, tmp_path, scene):
        placements, images = scene
        images = images | {"slide": image(images["slide"].array, "slide", 7.0)}
        path, _ = merged(tmp_path, (placements, images), um=1.0)
        assert open_image(path).placement.pixel_size_um == (1.0, 1.0)

    def test_the_place_of_the_overview_is_kept(self, tmp_path, scene):
        placements, images = scene
        moved = replace(images["slide"], placement=replace(images["slide"].placement, translate=(10.0, 20.0)))
        path, _ = merged(tmp_path, (placements, images | {"slide": moved}), um=2.0)
        assert open_image(path).placement.translate == (10.0, 20.0)

    def test_at_its_own_pixel_size_the_overview_stays_as_it_is(self, tmp_path, scene, rng):
        noise = rng.integers(0, 65536, SHAPE).astype(">u2")
        placements, _ = scene
        black = image(np.zeros((2, 2), np.uint16), "field")
        corner = lay("field", similarity(1, 0, centre=(0, 0), onto=(0, 0)), (2, 2))
        scene = replace(placements, fields=[corner]), {"slide": image(noise, "slide", 2.0), "field": black}
        _, result = merged(tmp_path, scene, feather=0, match_colours=False)
        assert result.dtype == np.uint16
        assert not result[:2, :2].any()
        noise[:2, :2] = 0
        assert np.array_equal(result, noise)

    def test_the_inverse_of_a_bent_placement(self, scene):
        field = scene[0].fields[0]
        inside = pixels((70, 90))
        assert np.abs(to_field(field, field.to_overview(inside)) - inside).max() < 1e-5


class TestTypes:
    @pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", "float64", "int16"])
    def test_grey(self, tmp_path, scene, dtype):
        low, high = (0, 200) if dtype == "uint8" else (0, 20000)
        scene = changed(
            scene, lambda name, a: image(((a + 1) / 2 * (high - low) + low).round().astype(dtype), name, 2.0)
        )
        _, result = merged(tmp_path, scene, um=1.0, match_colours=False)
        assert result.dtype == np.dtype(dtype).newbyteorder("=")
        expected = (specimen(places(result.shape, 0.5)) + 1) / 2 * high
        assert np.abs(result - expected)[4:-4, 4:-4].max() < 0.004 * high + 1.5

    @pytest.mark.parametrize("grey", ["none", "slide", "field"])
    def test_colour_and_grey_together(self, tmp_path, scene, grey):
        def paint(name, a):
            a = np.rint((a + 1) * 100).astype(np.uint8)
            return (
                image(a, name) if name == grey else image(np.stack([a, a, a], -1), name, axes="yxc", rgb=True)
            )

        _, result = merged(tmp_path, changed(scene, paint), match_colours=False)
        assert result.ndim == (2 if grey == "slide" else 3)
        expected = (specimen(places(result.shape[-2:], 0.3)) + 1) * 100
        assert np.abs(result - expected)[..., 8:-8, 8:-8].max() < 3

    def test_each_channel_of_a_stack_is_merged_with_its_own(self, tmp_path, scene):
        scene = changed(scene, lambda name, a: image(np.stack([a, -a, 3 * a]), name, axes="cyx"))
        _, result = merged(tmp_path, scene, um=1.0, match_colours=False)
        expected = specimen(places(result.shape[-2:], 0.5))
        for channel, factor in zip(result, (1, -1, 3), strict=True):
            assert np.abs(channel - factor * expected)[4:-4, 4:-4].max() < 0.015

    def test_types_of_other_depth_fill_the_same_range(self, tmp_path, scene):
        def deep(name, a):
            high = 255 if name == "slide" else 65535
            return image(np.rint((a + 1) / 2 * high).astype(np.uint8 if high == 255 else np.uint16), name)

        _, result = merged(tmp_path, changed(scene, deep), match_colours=False)
        expected = (specimen(places(result.shape, 0.3)) + 1) / 2 * 255
        assert np.abs(result - expected)[14:-14, 14:-14].max() < 3

    def test_holes_show_what_is_known(self, tmp_path, scene):
        def pierce(name, a):
            a = a.copy()
            a[(slice(27, 33), slice(35, 45)) if name == "slide" else (slice(0, 10), slice(None))] = np.nan
            return image(a, name, 2.0)

        _, result = merged(tmp_path, changed(scene, pierce), um=1.0, match_colours=True)
        expected = specimen(places(result.shape, 0.5))
        assert np.isfinite(result).all()
        assert np.abs(result - expected)[8:-8, 8:-8].max() < 0.02

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
    def test_thin_images(self, tmp_path, shape):
        field = lay("field", similarity(0.5, 0, centre=(0, 0), onto=(-0.25, -0.25)), shape)
        scene = Placements([OverviewInfo("slide", None, (1, 3), None)], [field])
        images = {
            "slide": image(np.full((1, 3), 5, np.uint8), "slide"),
            "field": image(np.full(shape, 9, np.uint8), "field"),
        }
        _, result = merged(tmp_path, (scene, images), feather=0, match_colours=False)
        assert result.shape == (2, 6)
        assert result[0, 0] == 9
        assert result[1, -1] == 5


class TestBlending:
    def flat(self, tmp_path, values, fields, **settings):
        scene = Placements([OverviewInfo("slide", None, SHAPE, 2.0)], fields)
        shapes = {"slide": SHAPE} | {field.name: field.shape_yx for field in fields}
        images = {name: image(np.full(shapes[name], v, np.float32), name) for name, v in values.items()}
        return merged(tmp_path, (scene, images), match_colours=False, **settings)[1]

    def test_the_rim_fades_in(self, tmp_path):
        field = lay("field", similarity(0.5, 0, centre=(0, 0), onto=(10, 10)), (40, 60))
        result = self.flat(tmp_path, {"slide": 1, "field": 2}, [field], feather=0.25)
        row = result[40, 15:90]  # through the field, 2 pixels of the result per pixel of the overview
        assert row[0] == 1
        assert row[-1] == 1
        rise = row[:40]
        assert (np.diff(rise) >= 0).all()
        assert np.count_nonzero((rise > 1) & (rise < 2)) in (9, 10)  # a quarter of 40
        assert (row[18:50] == 2).all()

    def test_without_a_rim_the_edge_is_sharp(self, tmp_path):
        field = lay("field", similarity(0.5, 0, centre=(0, 0), onto=(10.25, 10.25)), (40, 60))
        result = self.flat(tmp_path, {"slide": 1, "field": 2}, [field], feather=0)
        assert set(np.unique(result)) == {1, 2}
        assert np.count_nonzero(result == 2) == 40 * 60

    def test_the_finest_lies_on_top(self, tmp_path):
        fine = lay("fine", similarity(0.25, 0, centre=(0, 0), onto=(20, 20)), (40, 40))
        coarse = lay("coarse", similarity(0.5, 0, centre=(0, 0), onto=(15, 15)), (60, 60))
        result = self.flat(tmp_path, {"slide": 1, "fine": 3, "coarse": 2}, [fine, coarse], um=2.0, feather=0)
        assert (result[25, 25], result[40, 40], result[5, 5]) == (3, 2, 1)

    def test_uncertain_fields_are_left_out_unless_wanted(self, tmp_path):
        good = lay("good", similarity(0.5, 0, centre=(0, 0), onto=(10, 10)), (20, 20))
        doubtful = lay("doubtful", similarity(0.5, 0, centre=(0, 0), onto=(40, 40)), (20, 20), "uncertain")
        values = {"slide": 1, "good": 2, "doubtful": 3}
        plain = self.flat(tmp_path / "a", values, [good, doubtful], um=2.0)
        assert (plain[14, 14], plain[44, 44]) == (2, 1)
        both = self.flat(tmp_path / "b", values, [good, doubtful], um=2.0, uncertain=True)
        assert (both[14, 14], both[44, 44]) == (2, 3)

    def test_a_field_beyond_the_edge_is_cut(self, tmp_path):
        field = lay("field", similarity(0.5, 0, centre=(0, 0), onto=(-100, -100)), (20, 20))
        half = lay("half", similarity(0.5, 0, centre=(0, 0), onto=(-3, -3)), (20, 20))
        result = self.flat(tmp_path, {"slide": 1, "field": 2, "half": 3}, [field, half], um=2.0)
        assert result.shape == SHAPE
        assert set(np.unique(result[10:])) == {1}
        assert result[0, 0] == 3

    def test_whole_fields_reach_beyond_the_overview_and_lie_where_they_did(self, tmp_path, scene):
        placements, images = scene
        matrix = similarity(0.3, 25, centre=(35, 45), onto=(-2, 79))
        field = lay("field", matrix, (70, 90), field_um=0.6)
        images = images | {"field": image(specimen(field.to_overview(pixels((70, 90)))), "field")}
        scene = replace(placements, fields=[field]), images
        path, result = merged(tmp_path, scene, um=1.0, whole=True, match_colours=False)
        placement = open_image(path).placement
        # The centre of the overview's first pixel is the origin; a pixel of the result is half of one.
        first = (np.array(placement.translate) / 2 + 0.25) / 0.5
        np.testing.assert_allclose(first, np.rint(first), atol=1e-9)
        assert first[0] < 0 == first[1]
        there = (pixels(result.shape) + first + 0.5) * 0.5 - 0.5
        inside = to_field(field, there)
        deep = ((inside >= 2) & (inside <= np.array((70, 90)) - 3)).all(-1)
        assert deep[: -int(first[0])].any()
        assert deep[:, 160:].any()
        assert np.abs(result - specimen(there))[deep].max() < 0.02
        overview = ((there >= 0) & (there <= np.array(SHAPE) - 1)).all(-1)
        assert np.isfinite(result[overview]).all()
        far = ((inside < -2) | (inside > np.array((70, 90)) + 1)).any(-1)
        beyond = ((there < -0.5) | (there > np.array(SHAPE) - 0.5)).any(-1)
        assert np.isnan(result[far & beyond]).all()

    def test_whole_integers_are_0_where_nothing_is_known(self, tmp_path):
        field = lay("field", similarity(0.5, 0, centre=(0, 0), onto=(-10.25, 3.75)), (40, 60))
        images = {
            "slide": image(np.full(SHAPE, 9, np.uint16), "slide", 2.0),
            "field": image(np.full((40, 60), 5, np.uint16), "field"),
        }
        scene = Placements([OverviewInfo("slide", None, SHAPE, 2.0)], [field]), images
        _, result = merged(tmp_path, scene, um=2.0, whole=True, feather=0, match_colours=False)
        assert result.shape == (SHAPE[0] + 10, SHAPE[1])
        assert (result[:20, 4:34] == 5).all()
        assert not result[:10, :4].any()
        assert not result[:10, 34:].any()
        assert (result[20:] == 9).all()

    def test_what_is_cut_is_told(self, tmp_path):
        def at(name, y, size):
            return lay(name, similarity(0.5, 0, centre=(0, 0), onto=(y, 5)), (size, size))

        fields = [at("over", -3, 20), at("flush", -0.25, 20), at("inside", 30, 20)]
        images = {"slide": image(np.zeros(SHAPE), "slide", 2.0)}
        images |= {field.name: image(np.ones((20, 20)), field.name) for field in fields}
        scene = Placements([OverviewInfo("slide", None, SHAPE, 2.0)], fields)
        for whole, told in ((False, ["Cut at the overview's edge: over."]), (True, [])):
            progress = SilentProgress()
            job = MergeJob(placements="none.json", output=tmp_path / f"{whole}.ome.zarr", whole=whole)
            merge(job, placements=scene, images=images, progress=progress)
            assert [message[:33] for message in progress.warnings] == told

    def test_colours_become_those_of_the_overview(self, tmp_path, scene):
        scene = changed(scene, lambda name, a: image(a if name == "slide" else 7 + 2.5 * a, name))
        _, result = merged(tmp_path, scene, um=None)
        expected = specimen(places(result.shape, 0.3))
        assert np.abs(result - expected)[14:-14, 14:-14].max() < 0.03

    def test_a_blank_field_becomes_the_mean(self, tmp_path, scene):
        scene = changed(scene, lambda name, a: image(a if name == "slide" else np.full_like(a, 9), name))
        _, result = merged(tmp_path, scene)
        assert np.isfinite(result).all()
        assert np.abs(result).max() < 1.1


class TestStreaming:
    def test_a_part_is_computed_as_the_whole(self, scene):
        placements, images = scene
        field = placements.fields[0]
        ones = np.ones((1, 1)), np.zeros((1, 1))
        mosaic = Mosaic(images["slide"], [Overlay(field, lambda: images["field"], *ones, 9.0)], 0.3)
        whole = mosaic.compute(0, slice(0, 200), slice(0, 267))[0]
        for y in range(0, 200, 67):
            for x in range(0, 267, 90):
                part = mosaic.compute(0, slice(y, min(y + 67, 200)), slice(x, min(x + 90, 267)))[0]
                assert np.abs(part - whole[y : y + 67, x : x + 90]).max() < 1e-5

    @pytest.mark.parametrize("step", [0.1, 1.0, 37.0])
    def test_no_more_is_read_at_once_than_a_few_million_pixels(self, step):
        class Endless:
            shape, dtype, ndim, largest = (200_000, 200_000), np.dtype(np.uint8), 2, 0

            def __getitem__(self, index):
                y, x = index
                assert 0 <= y.start < y.stop <= 200_000
                type(self).largest = max(type(self).largest, (y.stop - y.start) * (x.stop - x.start))
                return np.broadcast_to(np.uint8(7), (y.stop - y.start, x.stop - x.start))

        huge = image(Endless(), "huge")
        field = lay("huge", similarity(0.1, 40, centre=(1e5, 1e5), onto=(1e5, 1e5)), (200_000, 200_000))
        overlay = Overlay(field, lambda: huge, np.ones((1, 1)), np.zeros((1, 1)), 0.0)
        mosaic = Mosaic(huge, [overlay], step)
        middle = int(1e5 / step)
        side = 64 if step == 37 else 512
        block = mosaic.compute(0, slice(middle, middle + side), slice(middle, middle + side))
        assert (block == 7).all()
        assert Endless.largest < 8_000_000

    def test_a_cancelled_merge_resumes_to_the_same_bytes(self, tmp_path, scene, cancel_after, monkeypatch):
        monkeypatch.setattr(streaming, "TILE_PX", 64)
        placements, images = scene
        whole, _ = merged(tmp_path / "whole", scene)
        job = MergeJob(placements="none.json", output=tmp_path / "out.ome.zarr")
        with pytest.raises(Cancelled):
            merge(job, placements=placements, images=images, progress=cancel_after(5))
        assert not job.output.exists()
        with pytest.raises(OutputError, match="other settings"):
            merge(job.model_copy(update={"feather": 0.3}), placements=placements, images=images)
        moved = replace(placements.fields[0], matrix_yx=TURNED + np.diag([1e-9, 0, 0]))
        with pytest.raises(OutputError, match="other settings"):
            merge(job, placements=replace(placements, fields=[moved]), images=images)
        seen = []

        class Watch:
            def advance(self, label, done, total):
                seen.append((label, done))

            def warn(self, message):
                raise AssertionError(message)

        merge(job, placements=placements, images=images, progress=Watch())
        assert min(done for label, done in seen if label == "tiles") >= 5
        one, two = (
            {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()}
            for f in (whole, job.output)
        )
        assert one == two
        with pytest.raises(OutputError, match="exists already"):
            merge(job, placements=placements, images=images)
        merge(job.model_copy(update={"restart": True}), placements=placements, images=images)


class TestFaults:
    def test_nothing_is_placed(self, tmp_path, scene):
        placements, images = scene
        doubtful = replace(placements, fields=[replace(placements.fields[0], status="uncertain")])
        with pytest.raises(InputError, match="None of the 1 fields is placed on slide, 1 of them uncertain"):
            merged(tmp_path, (doubtful, images))

    def test_which_overview(self, tmp_path, scene):
        placements, images = scene
        two = replace(placements, overviews=[*placements.overviews, OverviewInfo("b", None, (3, 3), None)])
        with pytest.raises(JobError, match="Choose one: slide, b"):
            merged(tmp_path, (two, images))
        with pytest.raises(JobError, match="no overview 'c'"):
            merged(tmp_path, (two, images), overview="c")
        merged(tmp_path, (two, images), overview="slide")

    def test_a_pixel_size_needs_a_known_one(self, tmp_path, scene):
        placements, images = scene
        unknown = replace(placements, overviews=[OverviewInfo("slide", None, SHAPE, None)])
        with pytest.raises(InputError, match="pixel size of slide is not known"):
            merged(tmp_path, (unknown, images), um=1.0)

    def test_planes_that_do_not_match(self, tmp_path, scene):
        placements, images = scene
        stack = np.stack([images["field"].array] * 2)
        with pytest.raises(InputError, match="field has 2 planes, the overview 1"):
            merged(tmp_path, (placements, images | {"field": image(stack, "field", axes="zyx")}))

    def test_an_image_that_is_gone(self, tmp_path, scene):
        placements, images = scene
        lost = replace(placements, fields=[replace(placements.fields[0], path=str(tmp_path / "gone.tif"))])
        with pytest.raises(InputError, match=r"gone\.tif does not exist"):
            merged(tmp_path, (lost, {"slide": images["slide"]}))

    def test_a_missing_file_of_placements(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            merge(MergeJob(placements=tmp_path / "none.json", output=tmp_path / "out"))


def test_files_and_the_job_file(tmp_path, rng):
    """From the files of a registration to the store, with the provenance kept."""
    tifffile.imwrite(tmp_path / "slide.tif", np.full((40, 50, 3), 200, np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "field.tif", np.full((20, 30, 3), 100, np.uint8), photometric="rgb")
    matrix = similarity(0.5, 0, centre=(0, 0), onto=(10, 10))
    field = FieldPlacement(
        "field", str(tmp_path / "field.tif"), "slide", (20, 30), "placed", matrix_yx=matrix
    )
    overview = OverviewInfo("slide", str(tmp_path / "slide.tif"), (40, 50), 1.0)
    write_placements(Placements([overview], [field]), tmp_path / "placements.json")
    job = MergeJob(placements=tmp_path / "placements.json", output=tmp_path / "out", match_colours=False)
    path = merge(job)
    assert path == tmp_path / "out.ome.zarr"
    result = open_image(path)
    assert result.rgb
    assert (result.height, result.width) == (80, 100)
    assert result.read(0, slice(30, 31), slice(35, 36)).ravel().tolist() == [100, 100, 100]
    provenance = json.loads((path / "zarr.json").read_text())["attributes"]["microsr"]["provenance"]
    assert provenance["task"] == "merge"
    assert provenance["fields"] == ["field"]
