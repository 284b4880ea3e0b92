"""Correction by hand and by landmarks, comparison, locating, and files of the widget Register."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog

from napari_microsr.registration.formats import read_placements
from napari_microsr.registration.geometry import apply
from napari_microsr.registration.placement import FieldPlacement, Placements
from napari_microsr.widgets import compare_views
from napari_microsr.widgets.compare_pictures import difference
from napari_microsr.widgets.compare_views import OPACITIES

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def registered(model, open_register, click_run, slide):
    """The widget after a run, with the field "turned" chosen."""

    def open_(fields=("low", "turned", "blank"), choose="turned", **overview):
        widget = open_register(model, fields=fields, **overview)
        click_run(widget)
        widget.table.choose(choose)
        return widget

    return open_


@pytest.fixture
def press(qtbot):
    """Click a button of a panel, and wait for what it starts."""

    def click(widget, button):
        widget.pages.setCurrentIndex(1)
        for panel in (widget.correct, widget.compare, widget.locate, widget.files):
            if panel.isAncestorOf(button):
                widget.tabs.setCurrentWidget(panel)
        qtbot.mouseClick(button, LEFT)
        if widget.task is not None:
            with qtbot.waitSignal(widget.task.ended, timeout=20_000):
                pass
        return widget.message.text()

    return click


def shift(layer, y, x):
    """Move a layer as napari's transform mode does: by its affine."""
    affine = np.array(layer.affine.affine_matrix)
    affine[-3:-1, -1] += (y, x)
    layer.affine = affine


def error(widget, name, truth, layers=False):
    matrix = widget.placed.matrix(name, "slide") if layers else widget.book.get(name).matrix_yx
    points = np.array([[0, 0], [0, 259], [199, 0], [199, 259.0]])
    return np.hypot(*(apply(matrix, points) - apply(truth, points)).T).max()


def test_a_field_moved_by_hand_is_refined_from_there(registered, press, model, slide):
    widget = registered()
    truth, layer = slide["truth"]["turned"], model.layers["turned"]
    press(widget, widget.correct.move)
    assert layer.mode == "transform"
    assert not model.layers["low"].visible, "it would cover the overview"
    shift(layer, 5, -6)
    assert "moved by hand" in widget.message.text()
    assert error(widget, "turned", truth, layers=True) > 3
    message = press(widget, widget.correct.refine)
    assert message.startswith("turned: placed")
    assert error(widget, "turned", truth) < 0.5
    assert error(widget, "turned", truth, layers=True) < 0.5
    assert widget.book.get("turned").manual
    press(widget, widget.correct.move)
    assert layer.mode == "pan_zoom"
    assert model.layers["low"].visible


def test_a_manual_place_is_scored_and_stays(registered, press, model, slide):
    widget = registered()
    good = widget.book.get("turned")
    press(widget, widget.correct.score)
    assert widget.book.get("turned").score == pytest.approx(good.score, abs=0.01)
    np.testing.assert_allclose(widget.book.get("turned").matrix_yx, good.matrix_yx, atol=1e-8)
    shift(model.layers["turned"], 8, 8)
    press(widget, widget.correct.score)
    bad = widget.book.get("turned")
    assert bad.score < good.score - 0.3
    assert bad.status != "placed"
    assert bad.overview == "slide"
    np.testing.assert_allclose(bad.matrix_yx[:2, 2] - good.matrix_yx[:2, 2], 4, atol=1e-6)


def test_undo_goes_back_step_by_step_to_before_the_run(registered, press, model, slide):
    widget = registered()
    found = widget.book.get("turned").matrix_yx
    shift(model.layers["turned"], 3, 0)
    press(widget, widget.correct.undo)
    assert "back where it was" in widget.message.text()
    np.testing.assert_allclose(widget.placed.matrix("turned", "slide"), found, atol=1e-9)
    shift(model.layers["turned"], 8, 8)
    press(widget, widget.correct.score)
    press(widget, widget.correct.undo)
    assert widget.book.get("turned").matrix_yx is found
    np.testing.assert_allclose(widget.placed.matrix("turned", "slide"), found, atol=1e-9)
    press(widget, widget.correct.undo)
    assert len(widget.book) == 0
    for name in ("low", "turned"):
        np.testing.assert_array_equal(model.layers[name].affine.affine_matrix, np.eye(3))
    assert "nothing to take back" in press(widget, widget.correct.undo)


def test_a_locked_field_cannot_be_moved_and_survives_undo(registered, press, model):
    widget = registered()
    press(widget, widget.correct.lock)
    assert not widget.correct.move.isEnabled()
    press(widget, widget.correct.undo)
    assert [p.name for p in widget.book] == ["turned"]
    press(widget, widget.correct.lock)
    assert widget.correct.move.isEnabled()


def test_a_field_that_was_not_found_is_laid_into_the_view_at_its_size(registered, press, model):
    widget = registered(choose="blank")
    getattr(model, "scene", model).camera.center = (0, 150, 240)
    press(widget, widget.correct.move)
    layer = model.layers["blank"]
    assert layer.visible
    np.testing.assert_allclose(layer.extent.world.mean(0), (150, 240), atol=0.6)
    np.testing.assert_allclose(np.ptp(layer.extent.world, axis=0), (99.5, 129.5), atol=1)
    press(widget, widget.correct.score)
    assert widget.book.get("blank").status == "not_found"
    assert widget.book.get("blank").matrix_yx is not None


def test_landmarks_are_set_in_turn_and_place_the_field(registered, press, model, slide, qtbot):
    widget = registered()
    truth, layer = slide["truth"]["turned"], model.layers["turned"]
    shift(layer, 30, 40)
    press(widget, widget.correct.landmarks)
    on_field, on_overview = model.layers[-2:]
    assert model.layers.selection.active is on_field
    assert on_field.mode == "add"
    places = np.array([[20, 30], [180, 40], [100, 220.0]])
    for place in places:
        on_field.add(place)
        qtbot.waitUntil(lambda: model.layers.selection.active is on_overview, timeout=2000)
        assert not layer.visible, "the overview shows below it"
        on_overview.add(apply(truth, place))
        qtbot.waitUntil(lambda: model.layers.selection.active is on_field, timeout=2000)
    assert layer.visible
    np.testing.assert_allclose(on_field.data_to_world(places[1]), layer.data_to_world(places[1]))
    press(widget, widget.correct.fit)
    assert error(widget, "turned", truth) < 1e-6
    assert error(widget, "turned", truth, layers=True) < 1e-6
    assert widget.book.get("turned").status == "placed"
    np.testing.assert_allclose(on_field.data_to_world(places[1]), layer.data_to_world(places[1]))
    assert widget.correct.note.text().startswith("Residuals in µm: 1: ")
    on_overview.data = np.add(on_overview.data, [[4, 0], [0, 0], [0, 0]])
    press(widget, widget.correct.fit)
    first = float(str(on_overview.features["label"][0]).split()[1])
    assert 0.5 < first < 8, "in µm"
    press(widget, widget.correct.landmarks)
    assert on_field not in model.layers


def test_too_few_landmarks_say_so(registered, press, model):
    widget = registered()
    assert "no landmarks" in press(widget, widget.correct.fit)
    press(widget, widget.correct.landmarks)
    assert "0 pairs" in press(widget, widget.correct.fit)


def test_views_show_the_field_against_the_overview_and_go_again(registered, press, model, qtbot):
    widget = registered()
    before = {layer.name: layer.visible for layer in model.layers}
    field, buttons = model.layers["turned"], widget.compare.buttons
    press(widget, buttons["checkerboard"])
    qtbot.waitUntil(lambda: "turned checkerboard" in model.layers, timeout=9000)
    picture = model.layers["turned checkerboard"]
    np.testing.assert_allclose(picture.extent.world, field.extent.world, atol=1)
    assert not field.visible
    assert picture not in widget.sources.boxes, "no input of a run"
    press(widget, buttons["difference"])
    qtbot.waitUntil(lambda: "turned difference" in model.layers, timeout=9000)
    picture = model.layers["turned difference"]
    right = float(picture.data.mean())
    assert "turned checkerboard" not in model.layers
    shift(field, 8, 8)
    qtbot.waitUntil(lambda: picture.data.mean() > 2 * right, timeout=9000)
    press(widget, buttons["flicker"])
    assert "turned difference" not in model.layers
    qtbot.waitUntil(lambda: not field.visible, timeout=3000)
    qtbot.waitUntil(lambda: field.visible, timeout=3000)
    press(widget, buttons["none"])
    assert {layer.name: layer.visible for layer in model.layers} == before


def test_a_view_follows_the_chosen_field(registered, press, model, qtbot):
    widget = registered()
    press(widget, widget.compare.buttons["checkerboard"])
    widget.table.choose("low")
    qtbot.waitUntil(lambda: "low checkerboard" in model.layers, timeout=9000)
    assert "turned checkerboard" not in model.layers
    widget.table.choose("blank")
    assert "has a place" in widget.message.text()
    assert widget.compare.view == "none"


def test_a_picture_that_comes_too_late_is_not_shown(registered, press, model, qtbot, monkeypatch):
    held = threading.Event()

    def slowly(*given):
        assert held.wait(20)
        return difference(*given)

    monkeypatch.setattr(compare_views, "difference", slowly)
    widget = registered()
    press(widget, widget.compare.buttons["difference"])
    assert model.layers["turned"].visible, "the canvas waits for nothing"
    press(widget, widget.compare.buttons["checkerboard"])
    held.set()
    qtbot.waitUntil(lambda: "turned checkerboard" in model.layers, timeout=9000)
    assert "turned difference" not in model.layers


def test_a_field_that_vanishes_under_a_view_ends_it(registered, press, model, qtbot, monkeypatch):
    held = threading.Event()

    def slowly(*given):
        assert held.wait(20)
        return difference(*given)

    monkeypatch.setattr(compare_views, "difference", slowly)
    widget = registered()
    press(widget, widget.compare.buttons["difference"])
    model.layers.remove("turned")
    held.set()
    qtbot.waitUntil(lambda: widget.compare.view == "none", timeout=9000)
    assert "turned lies on no overview" in widget.message.text()


def test_a_bent_placement_is_told_and_shown_bent_when_asked(registered, press, model, qtbot):
    widget = registered()
    button = widget.compare.buttons["bent"]
    assert "turned is not bent" in press(widget, button)
    assert widget.compare.view == "none"
    straight = widget.book.get("turned")
    bow = np.array([[2.0, 0, 0], [0, 0, 1.0]])
    widget.book.put(replace(straight, quadratic_yx=bow))
    row = [p.name for p in widget.book].index("turned")
    table = widget.table.model()
    column = next(
        i for i in range(table.columnCount()) if table.headerData(i, Qt.Orientation.Horizontal) == "Reason"
    )
    h, w = straight.shape_yx
    # A parabola leaves its mean by two thirds of its height, here in the corners.
    off = 2 / 3 * np.hypot(2 * (h / max(h, w)) ** 2, (w / max(h, w)) ** 2)
    assert f"up to {off:.2g} px of the overview off" in table.index(row, column).data()
    press(widget, button)
    qtbot.waitUntil(lambda: "turned bent" in model.layers, timeout=9000)
    picture = model.layers["turned bent"]
    assert not model.layers["turned"].visible
    outline = widget.placed.outlines.layer
    assert outline is not None
    # As far from the middle as the bend says: the picture reaches where the straight layer does not.
    assert not np.allclose(picture.extent.world, model.layers["turned"].extent.world, atol=0.2)
    shift(model.layers["turned"], 5, 0)
    qtbot.waitUntil(lambda: "turned bent" not in model.layers, timeout=9000)


def test_opacity_by_verdict_and_back(registered, model, qtbot):
    widget = registered()
    model.layers["low"].opacity = 0.7
    widget.pages.setCurrentIndex(1)
    widget.tabs.setCurrentWidget(widget.compare)
    box = widget.compare.by_verdict
    qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))
    shown = {name: model.layers[name].opacity for name in ("low", "blank")}
    assert shown == {"low": OPACITIES["placed"], "blank": OPACITIES["not_found"]}
    qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))
    assert (model.layers["low"].opacity, model.layers["blank"].opacity) == (0.7, 1.0)


class Click:
    """A mouse event as napari hands it to callbacks."""

    def __init__(self, position):
        self.position, self.type, self.modifiers = position, "mouse_press", ()


def click_canvas(model, position, drag=False):
    event = Click(position)
    for callback in list(model.mouse_drag_callbacks):
        steps = callback(model, event)
        if not hasattr(steps, "send"):
            continue
        for kind in ["mouse_press", *["mouse_move"] * drag, "mouse_release"]:
            event.type = kind
            next(steps, None)


def test_a_click_on_the_overview_lists_the_fields_of_that_spot(registered, press, model, slide, qtbot):
    widget = registered(fields=("low", "turned", "top"))
    spots = {"both": apply(slide["truth"]["top"], np.array([10.0, 10])), "none": np.array([238.0, 2])}
    inside = {
        name
        for name, matrix in slide["truth"].items()
        if (p := apply(np.linalg.inv(matrix), spots["both"]))[0] > -0.5 < p[1]
        and p[0] < 199.5
        and p[1] < 259.5
    }
    press(widget, widget.locate.listen)
    click_canvas(model, 2 * spots["both"], drag=True)
    assert widget.locate.list.count() == 0, "a drag moves the view"
    click_canvas(model, 2 * spots["both"])
    shown = [widget.locate.list.item(row) for row in range(widget.locate.list.count())]
    assert {item.text().split(":")[0] for item in shown} == inside >= {"top"}
    assert "4.0× finer, 0.5 µm per pixel" in shown[0].text()
    (top,) = (item for item in shown if item.text().startswith("top"))
    where = widget.locate.list.visualItemRect(top).center()
    qtbot.mouseClick(widget.locate.list.viewport(), LEFT, pos=where)
    assert widget.table.current() == "top"
    assert model.layers.selection.active is model.layers["top"]
    click_canvas(model, 2 * spots["none"])
    assert widget.locate.list.count() == 0
    press(widget, widget.locate.listen)
    click_canvas(model, 2 * spots["both"])
    assert widget.locate.list.count() == 0


@pytest.fixture
def dialog(monkeypatch):
    """Answer the file dialogs."""

    def answer(path):
        for name in ("getSaveFileName", "getOpenFileName"):
            monkeypatch.setattr(QFileDialog, name, lambda *_: (str(path), ""))
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(path))

    return answer


@pytest.mark.parametrize("kind", ["placements", "positions", "itk", "qupath", "ome-zarr-0.6"])
def test_what_is_exported_can_be_imported(registered, press, model, dialog, tmp_path, kind):
    widget = registered()
    found = widget.book.get("turned").matrix_yx
    widget.files.kinds.setCurrentIndex(widget.files.kinds.findData(kind))
    dialog(tmp_path / "exported")
    assert "Done" in press(widget, widget.files.export)
    suffix = widget.message.text().split("\n")[0].rsplit("exported", 1)[1]
    dialog(tmp_path / f"exported{suffix}")
    shift(model.layers["turned"], 8, 8)
    press(widget, widget.correct.score)
    message = press(widget, widget.files.import_)
    assert message.endswith("1 not found."), message
    np.testing.assert_allclose(widget.book.get("turned").matrix_yx, found, atol=1e-6)
    np.testing.assert_allclose(widget.placed.matrix("turned", "slide"), found, atol=1e-6)


def test_an_import_into_an_empty_viewer_opens_the_images(
    model, open_register, press, dialog, tmp_path, slide, click_run
):
    import tifffile

    from napari_microsr.registration.formats import write_placements
    from napari_microsr.registration.placement import OverviewInfo

    tifffile.imwrite(tmp_path / "slide.tif", slide["overview"], photometric="rgb")
    tifffile.imwrite(tmp_path / "top.tif", slide["fields"]["top"], photometric="rgb")
    top = FieldPlacement(
        "top", str(tmp_path / "top.tif"), "slide", (200, 260), "placed", matrix_yx=slide["truth"]["top"]
    )
    info = OverviewInfo("slide", str(tmp_path / "slide.tif"), (240, 300), None)
    write_placements(Placements([info], [top]), tmp_path / "p.json")
    widget = open_register(model, fields=())
    model.layers.clear()
    dialog(tmp_path / "p.json")
    assert press(widget, widget.files.import_) == "1 placed."
    assert error(widget, "top", slide["truth"]["top"], layers=True) < 1e-6
    assert [layer.name for layer in model.layers] == ["slide", "top", "Field outlines"]


def test_a_wrong_file_is_refused_in_one_sentence(registered, press, dialog, tmp_path):
    widget = registered()
    (tmp_path / "bad.json").write_text("{")
    dialog(tmp_path / "bad.json")
    assert "not valid JSON" in press(widget, widget.files.import_)
    assert widget.button.text() == "&Run"


def test_merge_makes_one_image_over_the_overview(registered, press, model, dialog, tmp_path):
    widget = registered(rotate=10, translate=(5, 6))
    dialog(tmp_path / "merged")
    widget.files.um.put(1.0)
    assert "Done" in press(widget, widget.files.merge)
    merged, slide_layer = model.layers["merged"], model.layers["slide"]
    data = merged.data[0] if merged.multiscale else merged.data
    assert data.shape[:2] == (480, 600)
    ends = [layer.data_to_world((-0.5, -0.5)) for layer in (merged, slide_layer)]
    np.testing.assert_allclose(*ends, atol=1e-6)
    far = merged.data_to_world((479.5, 599.5)), slide_layer.data_to_world((239.5, 299.5))
    np.testing.assert_allclose(*far, atol=1e-6)
    assert read_placements(tmp_path / "slide-placements.json").fields


def test_training_pairs_are_written_of_what_is_placed(registered, press, dialog, tmp_path):
    from napari_microsr.core.image import open_image

    widget = registered(rotate=10, translate=(5, 6))
    dialog(tmp_path / "lab pairs")
    message = press(widget, widget.files.pairs)
    assert "Done" in message
    assert "patches" in message
    document = json.loads((tmp_path / "lab pairs" / "pairs.json").read_text(encoding="utf-8"))
    placed = [placement.name for placement in widget.book if placement.status == "placed"]
    assert [entry["name"] for entry in document["fields"]] == placed
    for entry in document["fields"]:
        low, high = (open_image(tmp_path / "lab pairs" / entry[kind]) for kind in ("low", "high"))
        assert (high.height, high.width) == (entry["factor"] * low.height, entry["factor"] * low.width)
        assert entry["patches"]
    dialog(tmp_path / "lab pairs")
    assert "exists already" in press(widget, widget.files.pairs)
