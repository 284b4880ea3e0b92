"""The widget Register, driven by mouse and keyboard on a viewer without a window."""

import shlex
import threading

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication

from napari_microsr.cli import app
from napari_microsr.core.progress import Cancelled
from napari_microsr.registration.formats import read_placements
from napari_microsr.registration.placement import FieldPlacement
from napari_microsr.widgets.register import RegisterWidget

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


def cell(table, row, column):
    return table.model().index(row, column).data()


def names(table):
    return [cell(table, row, 0) for row in range(table.model().rowCount())]


def click_row(qtbot, table, name):
    index = table.model().index(names(table).index(name), 0)
    qtbot.mouseClick(table.viewport(), LEFT, pos=table.visualRect(index).center())


def corners(shape):
    h, w = shape
    return np.array([[0, 0], [0, w - 1], [h - 1, 0], [h - 1, w - 1]], float)


def shown_error(model, name, truth):
    """Largest distance of a field's corners from where they belong on the overview, in its pixels."""
    layer, overview = model.layers[name], model.layers["slide"]
    points = corners(layer.data.shape[:2])
    on = np.array([overview.world_to_data(layer.data_to_world(p)) for p in points])
    right = np.array([(truth @ (*p, 1))[:2] for p in points])
    return np.hypot(*(on - right).T).max()


@pytest.mark.parametrize(
    "overview",
    [{}, {"rotate": 30, "translate": (50, -20)}, {"affine": [[0, -1.5, 9], [1.5, 0, 3], [0, 0, 1]]}],
    ids=["plain", "rotated", "affine"],
)
def test_found_fields_lie_on_the_overview_and_nothing_else_changes(
    model, open_register, click_run, slide, overview
):
    widget = open_register(model, **overview)
    before = {layer.name: (layer.data, layer.data.copy(), layer.scale.copy()) for layer in model.layers}
    place = np.array(model.layers["slide"].affine.affine_matrix)
    message = click_run(widget)
    assert message == "3 placed, 1 not found."
    for name, truth in slide["truth"].items():
        assert shown_error(model, name, truth) < 0.5
    for name, (data, copy, scale) in before.items():
        layer = model.layers[name]
        assert layer.data is data
        np.testing.assert_array_equal(data, copy)
        np.testing.assert_array_equal(layer.scale, scale)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    np.testing.assert_array_equal(model.layers["slide"].affine.affine_matrix, place)
    np.testing.assert_array_equal(model.layers["blank"].affine.affine_matrix, np.eye(3))
    assert not model.layers["blank"].visible
    outlines = model.layers["Field outlines"]
    assert len(outlines.data) == 3
    assert list(outlines.features["name"]) == ["low", "turned", "top"]
    assert [str(unit) for unit in outlines.units] == ["micrometer"] * 2
    assert names(widget.table) == ["low", "turned", "top", "blank"]
    assert cell(widget.table, 3, 1) == "not found"
    assert cell(widget.table, 3, 7)


def test_fields_of_unknown_pixel_size_are_found_and_get_it(model, open_register, click_run, slide):
    widget = open_register(model, fields=("turned",), sized=False)
    assert click_run(widget) == "1 placed."
    layer = model.layers["turned"]
    np.testing.assert_allclose(layer.scale, 0.5, rtol=1e-3)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert shown_error(model, "turned", slide["truth"]["turned"]) < 0.5


def test_a_folder_of_fields_becomes_layers_and_a_bad_file_stops_nothing(
    model, open_register, click_run, slide, tmp_path, qtbot
):
    folder = tmp_path / "fields"
    folder.mkdir()
    for name, um in (("turned", 0.5), ("blank", 0.5)):
        size = (1e4 / um, 1e4 / um)
        tifffile.imwrite(
            folder / f"{name}.tif",
            slide["fields"][name],
            photometric="rgb",
            resolution=size,
            resolutionunit=3,
        )
    (folder / "broken.tif").write_bytes(b"II*\0 and no more")
    widget = open_register(model, fields=())
    qtbot.keyClicks(widget.sources.folder, str(folder))
    assert click_run(widget) == "1 placed, 2 not found."
    assert {layer.name for layer in model.layers} == {"slide", "turned", "Field outlines"}
    assert shown_error(model, "turned", slide["truth"]["turned"]) < 0.5
    np.testing.assert_array_equal(model.layers["turned"].data, slide["fields"]["turned"])
    row = names(widget.table).index("broken")
    assert "broken.tif" in cell(widget.table, row, 7)


def test_a_folder_adds_to_the_layers_and_none_comes_twice(
    model, open_register, click_run, slide, tmp_path, qtbot
):
    tifffile.imwrite(
        tmp_path / "turned.tif",
        slide["fields"]["turned"],
        photometric="rgb",
        resolution=(2e4, 2e4),
        resolutionunit=3,
    )
    widget = open_register(model, fields=("top",))
    qtbot.keyClicks(widget.sources.folder, str(tmp_path / "t*.tif"))
    assert click_run(widget) == "2 placed."
    assert {layer.name for layer in model.layers} == {"slide", "top", "turned", "Field outlines"}
    for name in ("top", "turned"):
        assert shown_error(model, name, slide["truth"][name]) < 0.5
    widget.output.replace.setChecked(True)
    assert click_run(widget) == "2 placed."
    assert len(model.layers) == 4


def test_a_click_on_a_row_selects_the_field_and_shows_it(model, open_register, click_run, qtbot):
    widget = open_register(model)
    click_run(widget)
    click_row(qtbot, widget.table, "top")
    layer = model.layers["top"]
    assert model.layers.selection.active is layer
    centre = getattr(model, "scene", model).camera.center[-2:]
    np.testing.assert_allclose(centre, layer.extent.world.mean(0), atol=1)
    assert widget.verdict.text().startswith("top: placed")


def test_the_table_sorts_by_number(model, open_register, click_run, qtbot):
    widget = open_register(model)
    click_run(widget)
    header = widget.table.horizontalHeader()
    column = 4  # zoom
    where = QPoint(header.sectionViewportPosition(column) + 5, header.height() // 2)
    qtbot.mouseClick(header.viewport(), LEFT, pos=where)
    assert names(widget.table)[0] == "low"
    assert names(widget.table)[-1] == "blank", "what has no number comes last"
    qtbot.mouseClick(header.viewport(), LEFT, pos=where)
    assert names(widget.table)[::3] == ["blank", "low"]


def test_roles_follow_the_pixel_size_until_the_user_chooses(model, open_register, slide):
    widget = open_register(model, fields=("low", "top"))
    roles = {layer.name: widget.sources.role(layer) for layer in model.layers}
    assert roles == {"slide": "overview", "low": "field", "top": "field"}
    model.add_image(slide["overview"], rgb=True, name="second", scale=(2, 2), units=("um", "um"))
    assert widget.sources.role(model.layers["second"]) == "overview"
    box = widget.sources.boxes[model.layers["second"]]
    box.setCurrentIndex(2)
    box.activated.emit(2)
    widget.sources.give_role(model.layers["low"], "overview")
    assert [layer.name for layer in widget.sources.of_role("overview")] == ["low"]
    model.layers.remove("low")
    assert [layer.name for layer in widget.sources.of_role("overview")] == ["slide"]


def test_several_overviews(model, open_register, click_run, slide, qtbot):
    widget = open_register(model, fields=("low",))
    model.add_image(
        slide["overview"][:, ::-1].copy(), rgb=True, name="other", scale=(2, 2), units=("um", "um")
    )
    assert click_run(widget) == "1 placed."
    assert widget.book.get("low").overview == "slide"
    click_row(qtbot, widget.table, "low")
    assert model.layers["slide"].visible
    assert not model.layers["other"].visible


def test_fields_go_with_their_overview(model, open_register, click_run, slide):
    widget = open_register(model, fields=("turned",))
    click_run(widget)
    model.layers["slide"].translate = (100, 50)
    assert shown_error(model, "turned", slide["truth"]["turned"]) < 0.5
    model.layers["slide"].affine = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    assert shown_error(model, "turned", slide["truth"]["turned"]) < 0.5


@pytest.fixture
def slow(monkeypatch, slide):
    """A registration that places one field at a time, when the test lets it."""
    turn = threading.Semaphore(0)
    calls = []

    def register(job, *, overviews, fields, progress, placed, previous):
        calls.append((job, [o.name for o in overviews], [f.name for f in fields], previous))
        for number, field in enumerate(fields):
            progress.advance("fields", number, len(fields))
            assert turn.acquire(timeout=20)
            matrix = slide["truth"].get(field.name)
            status = "not_found" if matrix is None else "placed"
            size = (field.height, field.width)
            placed(FieldPlacement(field.name, None, overviews[0].name, size, status, matrix_yx=matrix))
        raise Cancelled

    monkeypatch.setattr("napari_microsr.registration.job.register", register)
    return turn, calls


def test_fields_appear_one_by_one_and_cancel_keeps_them(model, open_register, slow, qtbot, slide):
    turn, _ = slow
    widget = open_register(model)
    qtbot.mouseClick(widget.button, LEFT)
    assert widget.button.text() == "&Cancel"
    turn.release()
    qtbot.waitUntil(lambda: names(widget.table) == ["low"], timeout=10_000)
    assert shown_error(model, "low", slide["truth"]["low"]) < 1e-6
    qtbot.waitUntil(lambda: widget.bar.value() == 1, timeout=10_000)
    assert "fields 1/4" in widget.bar.format()
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=10_000):
        turn.release()
    assert widget.button.text() == "&Run"
    assert widget.message.text() == "Cancelled. 2 placed."


def test_locked_fields_are_handed_to_the_next_run(model, open_register, slow, click_run, qtbot):
    turn, calls = slow
    turn.release(100)
    widget = open_register(model)
    click_run(widget)
    click_row(qtbot, widget.table, "top")
    widget.pages.setCurrentIndex(1)
    qtbot.mouseClick(widget.correct.lock, LEFT)
    assert "🔒" in cell(widget.table, names(widget.table).index("top"), 1)
    assert not widget.correct.refine.isEnabled()
    click_run(widget)
    previous = calls[1][3]
    assert [field.name for field in previous.fields if field.locked] == ["top"]
    assert widget.book.get("top").locked


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda w, v: v.layers.clear(), "There is no overview."),
        (lambda w, v: [v.layers.remove(n) for n in ("low", "top")], "There is no field."),
        (lambda w, v: w.sources.folder.setText("/nowhere/at/all"), "/nowhere/at/all"),
        (lambda w, v: w.output.get().write_text("{}"), "exists"),
    ],
)
def test_what_cannot_run_says_why(model, open_register, click_run, prepare, says):
    widget = open_register(model, fields=("low", "top"))
    prepare(widget, model)
    assert says in click_run(widget)
    assert widget.button.text() == "&Run"


def test_the_run_writes_the_placements_and_offers_another_name(model, open_register, click_run, tmp_path):
    widget = open_register(model, fields=("top",))
    click_run(widget)
    written = read_placements(tmp_path / "slide-placements.json")
    np.testing.assert_array_equal(written.fields[0].matrix_yx, widget.book.get("top").matrix_yx)
    assert widget.output.get() == tmp_path / "slide-placements-2.json"


def test_settings_are_kept_and_reset(model, open_register, qtbot):
    widget = open_register(model, fields=("top",))
    widget.form.editors["transform"].put("affine")
    widget.advanced.editors["max_rotation_deg"].put(12.5)
    widget.form.editors["field_um"].put(0.5)
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        pass
    second = RegisterWidget(model)
    qtbot.addWidget(second)
    job = second.job()
    assert (job.transform, job.max_rotation_deg, job.field_um, job.overview_um) == ("affine", 12.5, 0.5, None)
    qtbot.mouseClick(second.reset_button, LEFT)
    assert second.options() == type(second.options())()


def test_the_copied_command_does_the_same(model, open_register, click_run, qtbot, slide, tmp_path):
    files = {"over view": ("overview", 2.0), "turned": ("turned", 0.5)}
    for name, (key, um) in files.items():
        pixels = slide["overview"] if key == "overview" else slide["fields"][key]
        size = (1e4 / um, 1e4 / um)
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, photometric="rgb", resolution=size, resolutionunit=3)
    widget = open_register(model, fields=())
    model.layers.clear()
    for name, (_, um) in files.items():
        path = str(tmp_path / f"{name}.tif")
        layer = model.add_image(
            tifffile.imread(path), rgb=True, scale=(um, um), units=("um", "um"), name=name
        )
        layer.metadata["microsr"] = {"file": path}
    widget.output.name.setText("mine")
    widget.advanced.editors["joint"].put(False)
    qtbot.mouseClick(widget.copy_button, LEFT)
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[:2] == ["microsr", "register"]
    assert click_run(widget) == "1 placed."
    (tmp_path / "mine.json").rename(tmp_path / "first.json")
    app(words[1:], exit_on_error=False)
    first, second = (read_placements(tmp_path / f"{name}.json") for name in ("first", "mine"))
    np.testing.assert_array_equal(first.fields[0].matrix_yx, second.fields[0].matrix_yx)


def test_a_layer_that_is_no_file_has_no_command(model, open_register, qtbot):
    widget = open_register(model)
    qtbot.mouseClick(widget.copy_button, LEFT)
    assert "not the unchanged content of a file" in widget.message.text()
