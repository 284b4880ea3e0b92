"""The widget Batch, driven by mouse and keyboard on a viewer without a window."""

import json
import re
import shlex
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from qtpy.QtCore import QMimeData, QPoint, Qt, QThreadPool, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QWidget

import napari_microsr
from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.run import run_batch
from napari_microsr.cli import DONE, execute
from napari_microsr.core.job import read_job_file
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.process import NetworkProcess
from napari_microsr.widgets.batch import BatchWidget
from napari_microsr.widgets.batch_inputs import folder_of
from napari_microsr.widgets.batch_table import BatchTable
from napari_microsr.widgets.batch_task import PANELS
from napari_microsr.widgets.settings import load_settings

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
NAMES = ("a", "b2", "b10")
SUPER_RESOLVE, REGISTER, LOCALISE = range(3)


@pytest.fixture
def folder(tmp_path, rng):
    """Three small RGB pictures, with a pixel size."""
    place = tmp_path / "slides"
    place.mkdir()
    for name in NAMES:
        pixels = rng.integers(0, 255, (21, 19, 3), np.uint8)
        size = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}  # 0.5 µm
        tifffile.imwrite(place / f"{name}.tif", pixels, photometric="rgb", **size)
    return place


@pytest.fixture
def open_batch(qtbot):
    """Open the widget with images typed in, and bicubic chosen."""

    def open_(viewer, *inputs):
        widget = BatchWidget(viewer)
        qtbot.addWidget(widget)
        widget.resize(360, 800)
        widget.show()
        widget.inputs.edit.clear()
        qtbot.keyClicks(widget.inputs.edit, "\n".join(map(str, inputs)))
        widget.tasks.forms["upscale"].models.put("bicubic")
        widget.tasks.forms["upscale"].advanced.put({"device": "cpu"})
        return widget

    return open_


@pytest.fixture
def gate(monkeypatch):
    """Hold the network before each tile until the test lets it go on."""
    turn = threading.Semaphore(0)
    original = NetworkProcess.__call__

    def held(self, windows, channel):
        assert turn.acquire(timeout=30)
        return original(self, windows, channel)

    monkeypatch.setattr(NetworkProcess, "__call__", held)
    yield turn
    turn.release(1000)


def click(qtbot, widget, button):
    """Click a button of the panel and wait for the end of what it starts."""
    qtbot.mouseClick(button, LEFT)
    if widget.task is not None:
        with qtbot.waitSignal(widget.task.ended, timeout=20_000):
            pass
    return widget.message.text()


def shown(widget):
    """What the table says of each image."""
    model = widget.progress.table.model()
    rows = range(model.rowCount())
    return {model.index(row, 0).data(): model.index(row, 1).data() for row in rows}


def choose(qtbot, widget, key, double=False):
    """Click on the row of an image."""
    table = widget.progress.table
    widget.tabs.setCurrentWidget(widget.progress)
    keys = [table.model().index(row, 0).data() for row in range(table.model().rowCount())]
    pos = table.visualRect(table.model().index(keys.index(key), 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, pos=pos)
    if double:
        qtbot.mouseDClick(table.viewport(), LEFT, pos=pos)


def files_of(place):
    return {p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file()}


def noted(place):
    return [json.loads(line) for line in (place / "manifest.jsonl").read_text().splitlines()]


def test_preview_lists_and_run_does_what_the_command_does(
    open_batch, model, folder, tmp_path, qtbot, click_run
):
    widget = open_batch(model, folder)
    assert widget.output.folder.text() == str(tmp_path / "slides-upscale")
    assert "3 images: 3 waiting. Run" in click(qtbot, widget, widget.preview_button)
    assert shown(widget) == dict.fromkeys(NAMES, "waiting")
    assert not (tmp_path / "slides-upscale").exists(), "a preview writes nothing"
    assert "Done. 3 images: 3 done." in click_run(widget)
    assert shown(widget) == dict.fromkeys(NAMES, "done")
    for name in NAMES:
        alone = tmp_path / "alone" / f"{name}.ome.zarr"
        upscale(UpscaleJob(source=str(folder / f"{name}.tif"), output=alone, model="bicubic", device="cpu"))
        assert files_of(tmp_path / "slides-upscale" / f"{name}.ome.zarr") == files_of(alone)


def test_an_estimate_tells_time_and_size(open_batch, model, folder, qtbot):
    (folder / "broken.tif").write_bytes(b"II*\0 and then nothing")
    widget = open_batch(model, folder)
    said = click(qtbot, widget, widget.estimate_button)
    assert "4 images: 1 failed, 3 waiting" in said
    # Two times finer, three colours of a byte; a pyramid adds at most a third.
    most = 3 * 3 * (42 * 38) * 4 / 3 / 1e6
    assert re.search(rf"3 of 4 to do; time: about \d+ s; size: {most:.1f} MB", said)
    assert not widget.output.get().exists()


def test_what_fails_says_why_and_is_tried_again(open_batch, model, folder, tmp_path, qtbot, click_run):
    (folder / "broken.tif").write_bytes(b"II*\0 and then nothing")
    widget = open_batch(model, folder)
    assert "1 failed, 3 done" in click_run(widget)
    assert shown(widget) == dict.fromkeys(NAMES, "done") | {"broken": "failed"}
    choose(qtbot, widget, "broken")
    (failed,) = [state for state in widget.progress.states if state.state == "failed"]
    assert failed.error in widget.progress.details.text()
    assert failed.remedy in widget.progress.details.text()
    table = widget.progress.table
    place = table.selectionModel().selectedRows()[0]
    assert failed.remedy in place.data(Qt.ItemDataRole.ToolTipRole)
    assert not widget.progress.open_button.isEnabled()
    # Another panel, another day: the failure is known, and mended it alone is done.
    later = open_batch(model, folder)
    assert "A batch is there" in later.output.note.text()
    click(qtbot, later, later.preview_button)
    assert shown(later)["broken"] == "failed"
    (folder / "broken.tif").write_bytes((folder / "a.tif").read_bytes())
    lines = len(noted(tmp_path / "slides-upscale"))
    # What is missing for another reason is not what was asked for.
    (tmp_path / "slides-upscale" / "a.ome.zarr").rename(tmp_path / "moved.ome.zarr")
    assert "4 images: 1 waiting, 3 done" in click(qtbot, later, later.progress.retry_button)
    assert {line["key"] for line in noted(tmp_path / "slides-upscale")[lines:]} == {"broken"}
    assert not later.progress.retry_button.isEnabled()


def test_a_cancelled_batch_goes_on_where_it_was(open_batch, model, folder, gate, qtbot, tmp_path, click_run):
    widget = open_batch(model, folder)
    gate.release(1)
    qtbot.mouseClick(widget.button, LEFT)
    task = widget.task
    qtbot.waitUntil(lambda: shown(widget).get("b2", "").startswith("running"), timeout=20_000)
    assert shown(widget)["a"] == "done"
    choose(qtbot, widget, "a", double=True)
    assert [layer.name for layer in model.layers] == ["a"], "opened while the rest runs"
    assert not widget.preview_button.isEnabled()
    qtbot.mouseClick(widget.button, LEFT)
    assert widget.button.text() == "Cancelling…"
    with qtbot.waitSignal(task.ended, timeout=20_000):
        gate.release(1)
    assert task.cancelled
    assert "Cancelled. 3 images: 1 cancelled, 1 waiting, 1 done. Run does" in widget.message.text()
    assert shown(widget)["b10"] == "waiting"
    lines = len(noted(tmp_path / "slides-upscale"))
    gate.release(100)
    assert "3 done" in click_run(widget)
    assert "a" not in {line["key"] for line in noted(tmp_path / "slides-upscale")[lines:]}


def test_a_closed_panel_ends_the_run(open_batch, model, folder, gate, qtbot, tmp_path):
    widget = open_batch(model, folder)
    qtbot.mouseClick(widget.button, LEFT)
    task = widget.task
    qtbot.waitUntil(lambda: "running 0 %" in shown(widget).values(), timeout=20_000)
    dock = QWidget()
    with qtbot.waitSignal(task.ended, timeout=20_000):
        widget.setParent(dock)
        widget.setParent(None)
        gate.release(1)
    assert task.cancelled
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    assert noted(tmp_path / "slides-upscale")[-1]["state"] == "cancelled"


def test_a_result_opens_as_a_layer_in_its_place(open_batch, model, folder, qtbot, click_run):
    widget = open_batch(model, folder)
    widget.tasks.forms["upscale"].form.put({"residual": True})
    click_run(widget)
    choose(qtbot, widget, "b2", double=True)
    assert [layer.name for layer in model.layers] == ["b2 residual", "b2"]
    assert [layer.visible for layer in model.layers] == [False, True]
    layer = model.layers["b2"]
    assert layer.data.shape == (42, 38, 3)
    np.testing.assert_allclose(layer.scale, 0.25)
    np.testing.assert_allclose(layer.translate, -0.125)
    qtbot.mouseClick(widget.progress.open_button, LEFT)
    assert len(model.layers) == 2, "it is there already"
    choose(qtbot, widget, "a")
    widget.output.get().joinpath("a.ome.zarr").rename(folder / "moved.ome.zarr")
    qtbot.mouseClick(widget.progress.open_button, LEFT)
    assert "not there any more" in widget.message.text()


def test_names_make_a_plate(open_batch, model, tmp_path, rng, qtbot, click_run):
    wells = tmp_path / "wells"
    wells.mkdir()
    for name in ("A1_f1", "A1_f2", "B3_f1"):
        tifffile.imwrite(wells / f"{name}.tif", rng.integers(0, 4000, (16, 17), np.uint16))
    widget = open_batch(model, wells)
    widget.form.editors["pattern"].setFocus()
    qtbot.keyClicks(widget.form.editors["pattern"], "{well}_f{field}.tif")
    click_run(widget)
    assert shown(widget) == dict.fromkeys(["wells/A/1/1", "wells/A/1/2", "wells/B/3/1"], "done")
    choose(qtbot, widget, "wells/B/3/1", double=True)
    assert model.layers["wells/B/3/1"].data.shape == (32, 34)
    # The plate of results is a plate.
    again = open_batch(model, tmp_path / "wells-upscale" / "wells.ome.zarr")
    again.form.put({"pattern": None})
    click(qtbot, again, again.preview_button)
    assert list(shown(again)) == ["wells/A/1/1", "wells/A/1/2", "wells/B/3/1"]


def test_the_saved_job_file_does_the_same(open_batch, model, folder, tmp_path, qtbot, click_run, monkeypatch):
    widget = open_batch(model, folder / "b*.tif")
    widget.tasks.forms["upscale"].form.put({"consistency": True})
    path = tmp_path / "night.yaml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path.with_suffix("")), ""))
    qtbot.mouseClick(widget.save_button, LEFT)
    task, settings = read_job_file(path)
    assert task == "batch"
    assert settings["settings"] == {"model": "bicubic", "consistency": True, "device": "cpu"}
    command = widget.message.text().partition(": ")[2]
    assert execute(shlex.split(command)[1:]) == DONE
    lines = noted(tmp_path / "slides-upscale")
    assert {line["key"] for line in lines if line["state"] == "done"} == {"b2", "b10"}
    assert "2 done" in click_run(widget)
    assert noted(tmp_path / "slides-upscale") == lines, "the panel finds it done"


def test_job_files_are_loaded(open_batch, model, folder, tmp_path, qtbot, monkeypatch):
    widget = open_batch(model)
    path = tmp_path / "job.yaml"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))

    def load(text):
        path.write_text(text)
        qtbot.mouseClick(widget.tasks.load_button, LEFT)
        return widget.message.text()

    load("{task: localize, source: x.tif, output: x.csv, pixel_nm: 120, model: gaussian-mle, offset: 0}")
    assert widget.do.currentText() == "Localise"
    assert widget.tasks.forms["localize"].get() == {"model": "gaussian-mle", "pixel_nm": 120.0, "offset": 0.0}
    batch = {"do": "upscale", "inputs": [str(folder)], "output": tmp_path / "run", "pattern": "opera"}
    load(BatchJob(**batch, settings={"model": "bicubic", "tile_px": 64}).to_yaml())
    assert widget.job() == BatchJob(**batch, settings={"model": "bicubic", "tile_px": 64})
    before = widget.job()
    for text, words in [
        ("task: train", "A batch can do: upscale"),
        ("{task: upscale, tile_px: 1}", "tile_px"),
        ("{task: upscale, model: /no/such.safetensors}", "no model"),
        ("{task: batch, do: upscale}", "inputs"),
        ("- 1", "names no task"),
    ]:
        assert words in load(text)
    assert widget.job().inputs == before.inputs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.inputs.edit.clear(), "There are no images."),
        (lambda w: w.inputs.edit.put(["/no/such/*.tif"]), "/no/such"),
        (lambda w: w.output.folder.clear(), "no folder"),
        (lambda w: w.form.put({"pattern": "nonsense"}), "no pattern"),
        (lambda w: w.tasks.forms["upscale"].advanced.put({"region": "1,2"}), "region"),
        (lambda w: w.do.setCurrentIndex(LOCALISE), "pixel"),
        (lambda w: w.do.setCurrentIndex(REGISTER), "needs overviews"),
    ],
)
def test_what_is_wrong_is_said(open_batch, model, folder, qtbot, click_run, change, words):
    widget = open_batch(model, folder)
    change(widget)
    assert words in click(qtbot, widget, widget.preview_button)
    assert words in click_run(widget)
    assert widget.task is None
    assert widget.preview_button.isEnabled()


def test_a_folder_in_use_is_said(open_batch, model, folder, gate, qtbot, click_run):
    first, second = open_batch(model, folder), open_batch(model, folder)
    qtbot.mouseClick(first.button, LEFT)
    task = first.task
    qtbot.waitUntil(lambda: "running 0 %" in shown(first).values(), timeout=20_000)
    assert "another run" in click_run(second)
    with qtbot.waitSignal(task.ended, timeout=20_000):
        gate.release(100)
    assert shown(first) == dict.fromkeys(NAMES, "done")


def test_a_registration_of_each_slide(open_batch, model, tmp_path, slide, qtbot, click_run):
    for name in ("one", "two"):
        (tmp_path / "day" / name).mkdir(parents=True)
        for file, pixels, um in (("4x", slide["overview"], 2), ("f1", slide["fields"]["low"], 1)):
            size = {"resolution": (1e4 / um, 1e4 / um), "resolutionunit": "CENTIMETER"}
            path = tmp_path / "day" / name / f"{file}.tif"
            tifffile.imwrite(path, pixels, photometric="rgb", **size)
    widget = open_batch(model, tmp_path / "day" / "{slide}" / "f{field}.tif")
    assert not widget.overviews.isVisible()
    widget.do.setCurrentIndex(REGISTER)
    qtbot.keyClicks(widget.overviews.edit, str(tmp_path / "day" / "{slide}" / "4x.tif"))
    assert "2 images: 2 done" in click_run(widget)
    assert [state.figures["placed"] for state in widget.progress.states] == [1, 1]
    choose(qtbot, widget, "two", double=True)
    assert "open it in Register" in widget.message.text()


def test_the_report_opens_in_the_browser(open_batch, model, folder, qtbot, click_run, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: not opened.append(url.toLocalFile()))
    widget = open_batch(model, folder / "a.tif")
    assert not widget.progress.report_button.isEnabled()
    click_run(widget)
    qtbot.mouseClick(widget.progress.report_button, LEFT)
    assert opened == [str(widget.output.get() / "report.html")]


def test_a_network_installed_meanwhile_is_offered(open_batch, model, home):
    widget = open_batch(model)
    card = json.loads((Path(napari_microsr.__file__).parent / "weights" / "bicubic.json").read_text())
    (home / "models").mkdir(parents=True)
    (home / "models" / "mine.json").write_text(json.dumps(card | {"id": "mine"}))
    widget.tabs.setCurrentIndex(1)
    models = widget.tasks.forms["upscale"].models
    assert models.get() == "bicubic"
    assert models.box.findData("mine") >= 0


def test_settings_are_kept_and_reset(open_batch, model, folder, qtbot, click_run):
    widget = open_batch(model, folder / "a.tif")
    widget.tasks.forms["localize"].form.put({"pixel_nm": 101, "offset": 0})
    click_run(widget)
    other = BatchWidget(model)
    qtbot.addWidget(other)
    assert other.job() == widget.job()
    assert other.tasks.forms["localize"].get()["offset"] == 0
    qtbot.mouseClick(other.reset_button, LEFT)
    assert other.inputs.get() == []
    assert other.output.folder.text() == ""
    assert other.tasks.forms["localize"].get() == {"model": "emitters-2d", "pixel_nm": 0.0}
    assert load_settings("batch") == {}


@pytest.mark.parametrize("task", PANELS)
def test_every_setting_of_a_task_has_its_editor(open_batch, model, task):
    form = open_batch(model).tasks.forms[task]
    fields = set(form.job_class.model_fields) - {"source", "output", "overviews", "fields", "restart"}
    assert {*form.form.editors, *form.advanced.editors} | ({"model"} if form.models else set()) == fields


def test_files_are_dropped_and_chosen(open_batch, model, folder, tmp_path, qtbot, monkeypatch):
    widget = open_batch(model)
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(folder / "a.tif")), QUrl("s3://lab/b.ome.zarr")])
    assert widget.inputs.edit.canInsertFromMimeData(dropped)
    widget.inputs.edit.insertFromMimeData(dropped)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(folder / "b2.tif")], ""))
    qtbot.mouseClick(widget.inputs.files_button, LEFT)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.mouseClick(widget.inputs.folder_button, LEFT)
    assert widget.inputs.get() == [
        *(str(folder / "a.tif"), "s3://lab/b.ome.zarr"),
        *(str(folder / "b2.tif"), str(folder)),
    ]
    qtbot.mouseClick(widget.output.browse, LEFT)
    widget.inputs.edit.put(["/elsewhere"])
    assert widget.output.get() == folder, "a folder that was chosen stays"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("slides", "slides"),
        ("slides/a.tif", "slides"),
        ("slides/*.tif", "slides"),
        ("slides/{well}/{field}.tif", "slides"),
        ("gone/a.tif", "gone"),
    ],
)
def test_the_folder_that_a_path_means(folder, tmp_path, text, means):
    assert folder_of(str(tmp_path / text)) == tmp_path / means


def test_the_table_sorts_and_shows_names_as_they_are(qtbot):
    table = BatchTable()
    qtbot.addWidget(table)
    table.resize(600, 300)
    table.show()
    table.states.take(
        [
            ItemState("<b>z</b>", "done", seconds=2.0, figures={"not_found": 2, "rms": 0.123456}),
            ItemState("y", "failed", seconds=10.0, error="Torn.", remedy="Mend it."),
            ItemState("x", "running", share=0.426),
        ]
    )

    def column(number):
        return [table.model().index(row, number).data() for row in range(3)]

    assert column(0) == ["<b>z</b>", "y", "x"]
    assert column(1) == ["done", "failed", "running 43 %"]
    assert column(3) == ["not found 2, rms 0.1235", "Torn. Mend it.", ""]
    head = table.horizontalHeader()

    def sort(number):
        pos = QPoint(head.sectionViewportPosition(number) + 8, head.height() // 2)
        qtbot.mouseClick(head.viewport(), LEFT, pos=pos)

    sort(1)
    assert column(0) == ["y", "x", "<b>z</b>"]
    sort(2)
    assert column(0) == ["x", "<b>z</b>", "y"]
    table.selectRow(2)
    table.states.take([ItemState("y", "running", share=1.0)])
    assert table.current().key == "y", "the choice stays while rows change"
    table.states.take([ItemState("<i>", "waiting")])
    tip = table.states.index(3, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;i&gt;" in tip
    assert "<i>" not in tip


def test_the_library_knows_what_the_panel_did(open_batch, model, folder, click_run):
    widget = open_batch(model, folder)
    click_run(widget)
    before = noted(widget.output.get())
    assert {state.state for state in run_batch(widget.job())} == {"done"}
    assert noted(widget.output.get()) == before
