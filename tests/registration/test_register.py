"""Registration from images to the file of placements, on the sample whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_microsr import RegisterJob, register
from napari_microsr.cli import CANCELLED, DONE, FAILED, WRONG_USAGE, execute
from napari_microsr.core.image import ImageSource
from napari_microsr.core.placement import Placement
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats import placements_json
from napari_microsr.registration.geometry import apply, enlarging, parts
from napari_microsr.registration.links import shared_points
from napari_microsr.registration.sample import sample, write_sample

OVERVIEW, FIELDS = sample()
UM = OVERVIEW.um
TRUTH = {field.name: field.truth_yx for field in FIELDS}


def error_px(placement, truth):
    points = shared_points(np.eye(3), placement.shape_yx, placement.shape_yx)
    there = placement.to_overview(points) - apply(truth, points)
    return float(np.linalg.norm(there, axis=1).mean())


def source(image, um, name):
    placement = Placement.of_sizes("yx", dict.fromkeys("yx", (um, "um")) if um else {})
    return ImageSource.from_array(image, rgb=True, placement=placement, name=name)


def half(image):
    """Average 2 x 2 pixels: the fields of the sample are larger than most tests need."""
    h, w = (n // 2 for n in image.shape[:2])
    return image.reshape(h, 2, w, 2, 3).mean((1, 3)).round().astype(np.uint8)


HALF = {field.name: half(field.image) for field in FIELDS}
#: Truth of the halved fields.
SMALL = {name: None if truth is None else truth @ enlarging(2) for name, truth in TRUTH.items()}


def field_sources(names, um=True):
    return [source(HALF[f.name], 2 * f.um if um else None, f.name) for f in FIELDS if f.name in names]


@pytest.fixture(scope="module")
def overview():
    return source(OVERVIEW.image, UM, "overview")


@pytest.fixture
def job(tmp_path):
    return RegisterJob(overviews=["o"], fields=["f"], output=tmp_path / "p.json")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """The registration of the sample, its job, and what was reported on the way."""
    slide, folder = files
    out, reported = tmp_path_factory.mktemp("whole") / "new" / "p.json", []
    job = RegisterJob(overviews=[str(slide)], fields=[str(folder)], output=out)
    return register(job, placed=reported.append), job, reported


def test_the_sample_is_found_and_what_is_not_on_it_is_not(whole):
    result, job, reported = whole
    assert [field.name for field in result.fields] == [field.name for field in FIELDS]
    for field in result.fields:
        truth = TRUTH[field.name]
        if truth is None:
            assert (field.status, field.matrix_yx, field.overview) == ("not_found", None, None)
            assert field.reason
            continue
        assert (field.status, field.overview) == ("placed", "overview 4x")
        # The overview is small, and sharper than most: its blur has to be measured there, too.
        assert error_px(field, truth) < 0.05
        assert 0 < field.expected_error_um < 0.2 * UM
        assert field.field_um == pytest.approx(parts(truth).scale * UM, rel=1e-3)
    assert 0 < result.loop_um < 0.1 * UM
    assert {field.name for field in reported} == set(TRUTH)
    assert {f.name: f for f in reported}["40x 4"] is result.fields[3], "the last report is the result"
    again = placements_json.read(job.output)
    assert [f.status for f in again.fields] == [f.status for f in result.fields]
    np.testing.assert_array_equal(again.fields[0].matrix_yx, result.fields[0].matrix_yx)
    assert again.provenance["task"] == "register"
    assert "unfinished" not in again.provenance


@pytest.mark.parametrize("known", [True, False])
def test_bad_fields_get_a_sentence_each_and_the_others_go_on(tmp_path, overview, known):
    folder = tmp_path / "fields"
    folder.mkdir()
    rgb = {"photometric": "rgb"}
    good = HALF["40x 3"]
    tifffile.imwrite(folder / "good.tif", good, **rgb)
    whole = (folder / "good.tif").read_bytes()
    (folder / "cut off.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "no image.tif").write_bytes(b"no image at all")
    tifffile.imwrite(folder / "blank.tif", np.full_like(good, 240), **rgb)
    tifffile.imwrite(folder / "nan.tif", np.full((200, 300), np.nan, np.float32))
    tifffile.imwrite(folder / "narrow.tif", good[:, :1], **rgb)
    tifffile.imwrite(folder / "dot.tif", good[:1, :1], **rgb)
    (folder / "notes.txt").write_text("not an image")
    out = tmp_path / "p.json"
    job = RegisterJob(
        overviews=["o"], fields=[str(folder)], output=out, field_um=2 * FIELDS[2].um if known else None
    )
    result = {field.name: field for field in register(job, overviews=[overview]).fields}
    assert set(result) == {"good", "cut off", "no image", "blank", "nan", "narrow", "dot"}
    assert error_px(result["good"], SMALL["40x 3"]) < 0.1
    for name in set(result) - {"good"}:
        assert result[name].status == "not_found"
        assert result[name].matrix_yx is None
        assert len(result[name].reason) > 20
    assert "incomplete" in result["cut off"].reason
    assert "blank" in result["blank"].reason
    # The file can be read again, and a second run starts from it.
    assert len(register(job, overviews=[overview]).fields) == 7


def test_unknown_pixel_sizes_are_guessed(job):
    fields = field_sources(("10x 1", "40x 3", "40x 4"), um=False)
    result = register(job, overviews=[source(OVERVIEW.image, None, "slide")], fields=fields)
    for field in result.fields:
        assert field.status == "placed"
        assert error_px(field, SMALL[field.name]) < 0.1
        assert (field.field_um, field.expected_error_um) == (None, None)
    assert result.loop_um is None


def test_a_mirroring_camera_is_one_decision_for_all(job, overview):
    names = ("10x 1", "10x 2", "40x 3", "40x 4", "40x 5", "40x 6")
    fields = [
        source(np.ascontiguousarray(HALF[f.name][:, ::-1]), 2 * f.um, f.name)
        for f in FIELDS
        if f.name in names
    ]
    result = register(job, overviews=[overview], fields=fields)
    flip = np.array([[1, 0, 0], [0, -1, HALF[names[0]].shape[1] - 1], [0, 0, 1.0]])
    for field in result.fields:
        assert field.status == "placed"
        assert parts(field.matrix_yx).mirrored
        assert error_px(field, SMALL[field.name] @ flip) < 0.1


def test_each_field_goes_to_its_overview(job, overview):
    middle = OVERVIEW.image.shape[0] // 2
    upper, lower = OVERVIEW.image[:middle], OVERVIEW.image[middle:]
    slides = [
        source(np.ascontiguousarray(image), UM, name) for image, name in ((lower, "low"), (upper, "up"))
    ]
    result = register(job, overviews=slides, fields=field_sources(("40x 3", "40x 8", "40x 9")))
    assert [field.overview for field in result.fields] == ["up", "low", None]
    assert error_px(result.fields[0], SMALL["40x 3"]) < 0.1
    moved = np.array([[1, 0, -middle], [0, 1, 0], [0, 0, 1.0]])
    assert error_px(result.fields[1], moved @ SMALL["40x 8"]) < 0.1
    assert [info.name for info in result.overviews] == ["low", "up"]


def test_what_the_overview_does_not_show_is_found_by_way_of_the_middle_magnification(job):
    """The overview has lost the place of one 40x field, which the 10x field still shows."""
    lost = OVERVIEW.image.copy()
    y, x = np.round(apply(SMALL["40x 8"], np.array([343, 447.5]))).astype(int)
    lost[y - 90 : y + 90, x - 110 : x + 110] = 240
    names = ("10x 2", "40x 3", "40x 4", "40x 5", "40x 6", "40x 8", "40x 9")
    fields = field_sources(names)
    result = register(job, overviews=[source(lost, UM, "lost")], fields=fields)
    found = {field.name: field for field in result.fields}
    assert found["40x 8"].status == "placed"
    assert "10x 2" in found["40x 8"].reason
    assert found["40x 8"].overview == "lost"
    assert error_px(found["40x 8"], SMALL["40x 8"]) < 0.3
    assert found["40x 9"].status == "not_found"
    alone = register(
        job.model_copy(update={"joint": False}), overviews=[source(lost, UM, "lost")], fields=fields[5:6]
    )
    assert alone.fields[0].status == "not_found"
    assert alone.loop_um is None


def test_fields_tied_together_are_no_worse_than_alone(whole, tmp_path):
    tied, job, _ = whole
    alone = register(job.model_copy(update={"joint": False, "output": tmp_path / "alone.json"}))
    both = [pair for pair in zip(tied.fields, alone.fields, strict=True) if TRUTH[pair[0].name] is not None]
    errors = np.array([[error_px(field, TRUTH[field.name]) for field in pair] for pair in both])
    assert errors[:, 0].mean() < 1.2 * errors[:, 1].mean()
    assert not any(np.array_equal(one.matrix_yx, other.matrix_yx) for one, other in both)


class CancelAfter(SilentProgress):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def advance(self, label, done, total):
        if label == "fields" and done >= self.count:
            raise Cancelled


def test_a_cancelled_run_keeps_what_it_found(job, overview):
    names = ("10x 1", "10x 2", "40x 3", "40x 4", "40x 5", "40x 6")
    with pytest.raises(Cancelled):
        register(job, overviews=[overview], fields=field_sources(names), progress=CancelAfter(1))
    kept = placements_json.read(job.output)
    assert kept.provenance["unfinished"] is True
    assert [field.name for field in kept.fields] == list(names)
    found = [field for field in kept.fields if field.status == "placed"]
    assert 1 <= len(found) < len(names)
    assert all(error_px(field, SMALL[field.name]) < 0.2 for field in found)
    assert all("cancelled" in field.reason for field in kept.fields if field.status == "not_found")


def test_cancelling_before_anything_is_found_writes_nothing(job, overview):
    with pytest.raises(Cancelled):
        register(job, overviews=[overview], fields=field_sources(("40x 3",)), progress=CancelAfter(0))
    assert not job.output.exists()


def test_locked_fields_stay_also_through_the_file(job, overview):
    from dataclasses import replace

    fields = field_sources(("10x 1", "40x 4"))
    first = register(job, overviews=[overview], fields=fields)
    shifted = first.fields[1].matrix_yx + 0.5 * np.eye(3)[:, ::-1] * [0, 0, 1]
    locked = replace(first.fields[1], matrix_yx=shifted, locked=True, manual=True)
    placements_json.write(replace(first, fields=[first.fields[0], locked]), job.output)
    second = register(job, overviews=[overview], fields=fields)
    np.testing.assert_array_equal(second.fields[1].matrix_yx, shifted)
    assert (second.fields[1].locked, second.fields[1].manual) == (True, True)
    assert not second.fields[0].locked
    given = register(
        job.model_copy(update={"output": job.output.with_name("other.json")}),
        overviews=[overview], fields=fields, previous=second,
    )  # fmt: skip
    np.testing.assert_array_equal(given.fields[1].matrix_yx, shifted)


def test_a_file_that_is_not_ours_is_not_replaced(job, overview):
    job.output.write_text('{"something": "else"}')
    with pytest.raises(OutputError, match="exists already"):
        register(job, overviews=[overview], fields=field_sources(("40x 3",)))
    assert json.loads(job.output.read_text()) == {"something": "else"}


def test_a_bad_overview_is_left_out_and_without_any_there_is_an_error(files, tmp_path):
    slide, folder = files
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    progress, out = SilentProgress(), tmp_path / "p.json"
    field = str(folder / "40x 4.tif")
    job = RegisterJob(overviews=[str(tmp_path / "bad.tif"), str(slide)], fields=[field], output=out)
    result = register(job, progress=progress)
    assert result.fields[0].status == "placed"
    assert any("bad.tif" in warning for warning in progress.warnings)
    with pytest.raises(InputError, match=r"bad\.tif"):
        register(job.model_copy(update={"overviews": [str(tmp_path / "bad.tif")]}))
    with pytest.raises(InputError, match="No field can be opened"):
        register(RegisterJob(overviews=[str(slide)], fields=["missing.tif"], output=tmp_path / "q.json"))


def test_an_overview_in_the_folder_of_fields_is_no_field(files, tmp_path):
    slide, folder = files
    names = (slide, folder / "40x 4.tif")
    for path in names:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    places = {"overviews": [str(tmp_path / slide.name)], "output": tmp_path / "p.json"}
    result = register(RegisterJob(fields=[str(tmp_path)], **places))
    assert [field.name for field in result.fields] == ["40x 4"]
    same = register(RegisterJob(fields=[str(tmp_path / slide.name)], **places))
    assert same.fields[0].name == "overview 4x"


def test_the_command_in_all_its_forms(files, tmp_path, capsys, monkeypatch):
    slide, folder = files
    monkeypatch.chdir(tmp_path)
    Path("more.tif").write_bytes(slide.read_bytes())
    images = [str(slide), str(folder / "40x 4.tif"), str(folder / "40x 9.tif")]
    assert execute(["register", *images, "--out", "a.json"]) == DONE
    captured = capsys.readouterr()
    assert captured.out.strip() == "a.json"
    assert "40x 9: not found." in captured.err
    assert execute(["register", *images, "--out", "b.json", "--overview", "more.tif", "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"] == ["b.json"]
    assert [field["status"] for field in told["fields"]] == ["placed", "not_found"]
    assert len(told["overviews"]) == 2
    settings = f"overviews: [{json.dumps(images[0])}]\nfields: {json.dumps(images[1:])}\noutput: c.json\n"
    Path("job.yaml").write_text("task: register\n" + settings)
    assert execute(["run", "job.yaml"]) == DONE
    one, other = (json.loads(Path(name).read_text())["fields"] for name in ("a.json", "c.json"))
    assert one == other, "the same input gives the same numbers"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["o.tif", "--out", "p.json"], WRONG_USAGE, "FIELDS"),
        (["o.tif", "f.tif"], WRONG_USAGE, "--out"),
        (["o.tif", "f.tif", "--out", "p.json", "--max-rotation-deg", "500"], WRONG_USAGE, "180"),
        (["o.tif", "f.tif", "--out", "p.json"], FAILED, "o.tif"),
        (["*.png", "f.tif", "--out", "p.json"], FAILED, "no image in *.png"),
    ],
)
def test_command_faults(arguments, status, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert execute(["register", *arguments]) == status
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_command_says_where_the_result_is(files, tmp_path, capsys, monkeypatch):
    from napari_microsr.cli.console import InterruptibleProgress

    slide, folder = files
    monkeypatch.setattr(InterruptibleProgress, "advance", lambda self, *a: CancelAfter(1).advance(*a))
    out = tmp_path / "p.json"
    assert execute(["register", str(slide), str(folder), "--out", str(out)]) == CANCELLED
    assert str(out) in capsys.readouterr().err
    assert placements_json.read(out).provenance["unfinished"] is True
