"""A batch: every input once, failures beside the rest, a second start only does what is missing."""

import csv
import os
import shutil

import numpy as np
import pytest
import tifffile
import yaml
import yaozarrs
import zarr

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.jobs import make_jobs
from napari_microsr.batch.manifest import Manifest
from napari_microsr.batch.run import BatchRun, run_batch
from napari_microsr.core.image import open_image
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, JobError, MicroSRError, OutputError
from napari_microsr.registration.job import RegisterJob
from napari_microsr.superres.job import UpscaleJob, upscale

SETTINGS = {"model": "bicubic", "device": "cpu"}


def batch_of(inputs, output, **more):
    return BatchJob(
        **{"do": "upscale", "inputs": [str(inputs)], "output": output, "settings": SETTINGS} | more
    )


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def table(folder):
    return list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))


def states(found):
    return {state.key: state.state for state in found}


def test_each_picture_gets_what_a_run_of_its_own_makes(slides, tmp_path):
    found = run_batch(batch_of(slides, tmp_path / "run"))
    assert [state.key for state in found] == ["a", "b2", "b10"]  # in number order
    for state in found:
        alone = tmp_path / "alone" / f"{state.key}.ome.zarr"
        upscale(UpscaleJob(source=state.source, output=alone, **SETTINGS))
        assert files_of(tmp_path / "run" / f"{state.key}.ome.zarr") == files_of(alone)


def test_a_plate_becomes_a_plate_of_the_same_layout(plate, tmp_path):
    path, pixels = plate
    run_batch(batch_of(path, tmp_path / "run"))
    result = tmp_path / "run" / "cells.ome.zarr"
    yaozarrs.validate_zarr_store(str(result))
    ours, theirs = (zarr.open_group(p, mode="r").attrs["ome"]["plate"] for p in (result, path))
    for key in ("rows", "columns", "wells", "acquisitions"):
        assert ours[key] == theirs[key]
    assert zarr.open_group(result / "B/3", mode="r").attrs["ome"]["well"]["images"] == [
        {"path": "0", "acquisition": 7},
        {"path": "1", "acquisition": 7},
    ]
    for place, field in pixels.items():
        channels = [zarr.open_group(p / place, mode="r").attrs["ome"]["omero"] for p in (result, path)]
        assert channels[0] == channels[1]
        image = open_image(result / place)
        assert image.array.shape == (2, 46, 34)
        assert image.placement.pixel_size_um == (0.325, 0.325)
        # A fine pixel's centre lies a quarter of a coarse one before that of the first coarse one.
        assert image.placement.translate[-2:] == pytest.approx((-0.1625, -0.1625))
        # Bicubic magnification keeps the mean; the edges are what is repeated.
        assert np.mean(image.array[:]) == pytest.approx(field.mean(), rel=0.02)


def test_a_plate_may_be_given_its_place(plate, tmp_path):
    run_batch(batch_of(plate[0], tmp_path / "run", plate=tmp_path / "fine.ome.zarr"))
    yaozarrs.validate_zarr_store(str(tmp_path / "fine.ome.zarr"))
    assert not (tmp_path / "run" / "cells.ome.zarr").exists()


def test_one_failure_does_not_stop_the_rest(slides, tmp_path, noted):
    (slides / "broken.tif").write_bytes(b"II*\0 and then nothing")
    found = run_batch(batch_of(slides, tmp_path / "run"))
    assert states(found) == {"a": "done", "b2": "done", "b10": "done", "broken": "failed"}
    failed = next(state for state in found if state.state == "failed")
    assert "broken.tif" in failed.error
    assert failed.remedy
    rows = table(tmp_path / "run")
    assert {row["input"]: row["state"] for row in rows} == states(found)
    # Mended, it alone is done.
    (slides / "broken.tif").write_bytes((slides / "a.tif").read_bytes())
    before = len(noted(tmp_path / "run"))
    assert set(states(run_batch(batch_of(slides, tmp_path / "run"))).values()) == {"done"}
    assert {line["key"] for line in noted(tmp_path / "run")[before:]} == {"broken"}


def test_a_second_start_does_what_is_missing_or_changed(slides, tmp_path, noted):
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    run_batch(batch)
    lines = len(noted(run))
    run_batch(batch)
    assert len(noted(run)) == lines
    (run / "a.ome.zarr").rename(tmp_path / "moved.ome.zarr")
    tifffile.imwrite(slides / "b2.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    run_batch(batch)
    assert {line["key"] for line in noted(run)[lines:]} == {"a", "b2"}
    assert open_image(run / "b2.ome.zarr").height == 18
    assert files_of(run / "a.ome.zarr") == files_of(tmp_path / "moved.ome.zarr")
    # Other settings: all are done again.
    lines = len(noted(run))
    run_batch(batch_of(slides, run, settings={**SETTINGS, "residual": True}))
    assert {line["key"] for line in noted(run)[lines:]} == {"a", "b2", "b10"}
    assert (run / "a.residual.ome.zarr").is_dir()


def test_a_result_that_was_not_noted_any_more_counts(slides, tmp_path, noted):
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    run_batch(batch)
    lines = (run / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (run / "manifest.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # killed in the write
    written = os.stat(run / "b10.ome.zarr" / "zarr.json").st_mtime_ns
    assert set(states(run_batch(batch)).values()) == {"done"}
    assert os.stat(run / "b10.ome.zarr" / "zarr.json").st_mtime_ns == written


def test_a_cancel_keeps_what_is_done_and_the_next_start_goes_on(slides, tmp_path, noted):
    class Cancelling(SilentProgress):
        def advance(self, label, done, total):
            if done == 1:
                raise Cancelled

    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    with pytest.raises(Cancelled):
        run_batch(batch, Cancelling())
    last = {line["key"]: line["state"] for line in noted(run)}
    assert last == {"a": "done", "b2": "cancelled"}
    rows = {row["input"]: row["state"] for row in table(run)}
    assert rows == {"a": "done", "b2": "cancelled", "b10": "waiting"}
    assert set(states(run_batch(batch)).values()) == {"done"}


def test_only_some_are_done_and_the_others_stay_as_they_are(slides, tmp_path, noted):
    (slides / "b2.tif").write_bytes(b"II*\0 nothing")
    (slides / "b10.tif").write_bytes(b"II*\0 nothing")
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    assert states(run_batch(batch)) == {"a": "done", "b2": "failed", "b10": "failed"}
    shutil.rmtree(run / "a.ome.zarr")
    lines = len(noted(run))
    tifffile.imwrite(slides / "b2.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    seen = []
    ends = run_batch(batch, watch=lambda state: seen.append((state.key, state.state)), only={"b2"})
    assert states(ends) == {"a": "waiting", "b2": "done", "b10": "failed"}
    assert seen[:3] == [("a", "waiting"), ("b2", "waiting"), ("b10", "failed")]
    assert {line["key"] for line in noted(run)[lines:]} == {"b2"}
    assert {row["input"]: row["state"] for row in table(run)} == states(ends)
    assert states(run_batch(batch, only=())) == states(ends)


def test_a_run_that_was_killed_is_reported_by_the_next_before_it_goes_on(slides, tmp_path):
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    run_batch(batch)
    # As a kill in the second item leaves it: the report of an earlier run, and nothing after the first.
    lines = (run / "manifest.jsonl").read_text().splitlines(keepends=True)
    (run / "manifest.jsonl").write_text("".join(lines[:3]))
    shutil.rmtree(run / "b2.ome.zarr")
    shutil.rmtree(run / "b10.ome.zarr")
    (run / "report.html").write_text("old")
    os.utime(run / "report.html", (1, 1))
    found = []

    class Looking(SilentProgress):
        def advance(self, label, done, total):
            if not found:
                found.append((run / "report.html").read_text())

    run_batch(batch, Looking())
    assert "3 inputs: 2 waiting, 1 done" in found[0]
    assert "3 inputs: 3 done" in (run / "report.html").read_text()


def test_a_finished_run_writes_its_report_anew(slides, tmp_path):
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    run_batch(batch)
    (run / "report.html").write_text("damaged")
    (run / "summary.csv").unlink()
    run_batch(batch)
    assert "3 inputs: 3 done" in (run / "report.html").read_text()
    assert len(table(run)) == 3


def test_to_look_at_a_manifest_changes_nothing(slides, tmp_path):
    batch, run = batch_of(slides, tmp_path / "run"), tmp_path / "run"
    assert Manifest(run, read_only=True).last == {}
    assert not run.exists()
    run_batch(batch)
    content = (run / "manifest.jsonl").read_bytes()[:-9]  # killed in the write
    (run / "manifest.jsonl").write_bytes(content)
    manifest = Manifest(run, read_only=True)
    found = BatchRun(manifest, [(item.key, job) for item, job in make_jobs(batch)]).states
    assert {state.state for state in found.values()} == {"done"}
    assert manifest.last["b10"].state == "done"
    assert (run / "manifest.jsonl").read_bytes() == content


def test_a_file_that_a_stopped_task_leaves_is_no_result(tmp_path, noted):
    """A registration that is cancelled writes what it found; a training has no output of a known name."""
    job = RegisterJob(overviews=["o.tif"], fields=["f.tif"], output=tmp_path / "p.json")
    done = []

    def perform(job, progress):
        job.output.write_text("{}")
        done.append(job)
        if len(done) == 1:
            raise Cancelled
        return {"outputs": [str(job.output)], "fields": []}

    with pytest.raises(Cancelled):
        BatchRun(Manifest(tmp_path), [("a", job)], do=perform).run(SilentProgress(), lambda _: None)
    (state,) = BatchRun(Manifest(tmp_path), [("a", job)], do=perform).run(SilentProgress(), lambda _: None)
    assert (state.state, len(done)) == ("done", 2)
    BatchRun(Manifest(tmp_path), [("a", job)], do=perform).run(SilentProgress(), lambda _: None)
    assert len(done) == 2


@pytest.mark.parametrize("setting", ["output", "plate"])
def test_a_run_folder_or_a_plate_behind_a_url_is_refused(plate, tmp_path, setting):
    places = {"output": tmp_path / "run", setting: "memory://bucket/fine.ome.zarr"}
    with pytest.raises(MicroSRError, match="is a URL"):
        run_batch(BatchJob(do="upscale", inputs=[str(plate[0])], settings=SETTINGS, **places))
    assert not (tmp_path / "run").exists()


def test_a_foreign_result_is_not_replaced(slides, tmp_path):
    (tmp_path / "run" / "a.ome.zarr").mkdir(parents=True)
    found = states(run_batch(batch_of(slides, tmp_path / "run")))
    assert found == {"a": "failed", "b2": "done", "b10": "done"}
    assert list((tmp_path / "run" / "a.ome.zarr").iterdir()) == []


def test_who_watches_sees_every_state(slides, tmp_path):
    seen = []
    run_batch(batch_of(slides, tmp_path / "run"), watch=lambda state: seen.append((state.key, state.state)))
    assert seen[:3] == [("a", "waiting"), ("b2", "waiting"), ("b10", "waiting")]
    of_one = [state for key, state in seen if key == "b2"]
    assert of_one[0] == "waiting"
    assert of_one[-1] == "done"
    assert "running" in of_one


def test_the_saved_settings_run_the_same_batch(slides, tmp_path, noted):
    run_batch(batch_of(slides, tmp_path / "run"))
    saved = yaml.safe_load((tmp_path / "run" / "batch.yaml").read_text())
    assert saved.pop("task") == "batch"
    lines = len(noted(tmp_path / "run"))
    run_batch(BatchJob.parse(saved))
    assert len(noted(tmp_path / "run")) == lines


def test_a_folder_in_use_is_refused(slides, tmp_path):
    from filelock import FileLock

    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / "microsr.lock"), pytest.raises(OutputError, match="run"):
        run_batch(batch_of(slides, tmp_path / "run"))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"inputs": ["no-such-folder/*.tif"]}, InputError),
        ({"settings": {"nonsense": 1}}, JobError),
        ({"pattern": "nonsense"}, JobError),
        ({"plate": "x.ome.zarr"}, JobError),
        ({"overviews": ["a.tif"]}, JobError),
    ],
)
def test_wrong_settings_say_so(slides, tmp_path, more, error):
    with pytest.raises(error):
        run_batch(batch_of(slides, tmp_path / "run").model_copy(update=more))


@pytest.mark.parametrize("path", ["../../out", "A/../../x", "A", "A/1/2", "/etc/x"])
def test_a_plate_cannot_write_outside_itself(plate, tmp_path, path):
    group = zarr.open_group(plate[0], mode="r+")
    ome = group.attrs["ome"]
    ome["plate"]["wells"][0]["path"] = path
    group.attrs["ome"] = ome
    before = {p for p in tmp_path.parent.rglob("*") if "run" not in p.parts}
    with pytest.raises(InputError):
        run_batch(batch_of(plate[0], tmp_path / "run"))
    assert {p for p in tmp_path.parent.rglob("*") if "run" not in p.parts} == before


def test_a_missing_field_fails_alone(plate, tmp_path):
    import shutil

    shutil.rmtree(plate[0] / "A/1/1")
    found = states(run_batch(batch_of(plate[0], tmp_path / "run")))
    assert found.pop("cells/A/1/1") == "failed"
    assert set(found.values()) == {"done"}
    result = tmp_path / "run" / "cells.ome.zarr"
    yaozarrs.validate_zarr_store(str(result))
    assert zarr.open_group(result / "A/1", mode="r").attrs["ome"]["well"]["images"] == [
        {"path": "0", "acquisition": 7}
    ]


def test_well_by_well_fields_go_onto_the_overview_of_their_well(tmp_path, make_plate):
    make_plate(tmp_path / "over.ome.zarr", ["A1", "B3"], fields=1)
    make_plate(tmp_path / "fields.ome.zarr", ["A1", "B3"], fields=2)
    plates = {"inputs": [str(tmp_path / "fields.ome.zarr")], "overviews": [str(tmp_path / "over.ome.zarr")]}
    jobs = {
        item.key: job for item, job in make_jobs(BatchJob(do="register", output=tmp_path / "run", **plates))
    }
    assert set(jobs) == {"A1", "B3"}
    assert jobs["B3"].overviews == [str(tmp_path / "over.ome.zarr/B/3/0")]
    assert jobs["B3"].fields == [str(tmp_path / f"fields.ome.zarr/B/3/{n}") for n in (0, 1)]
    assert jobs["B3"].output == tmp_path / "run" / "B3.json"
