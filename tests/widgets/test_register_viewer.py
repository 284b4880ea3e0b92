"""The widget Register in a real napari window: menu, sample, and the mouse on the canvas."""

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt

from napari_microsr.registration.geometry import apply, parts

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(make_napari_viewer, qtbot, slide, tmp_path):
    """Open the widget as a user does, by its name in the menu, and run it on the slide."""

    def open_(*fields):
        viewer = make_napari_viewer(show=True)
        um = {"units": ("um", "um"), "rgb": True}
        viewer.add_image(slide["overview"], name="slide", scale=(2, 2), **um)
        for name in fields:
            viewer.add_image(slide["fields"][name], name=name, scale=(slide["um"][name],) * 2, **um)
        _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Register")
        widget.output.choose_folder(str(tmp_path))
        qtbot.mouseClick(widget.button, LEFT)
        with qtbot.waitSignal(widget.task.ended, timeout=30_000):
            pass
        qtbot.wait(100)
        return viewer, widget

    return open_


class Mouse:
    """The mouse on the canvas of a viewer, which is told places of the world."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def at(self, y, x):
        camera = getattr(self.viewer, "scene", self.viewer).camera
        _, cy, cx = camera.center
        zoom = camera.zoom
        middle = QPoint(self.canvas.width() // 2, self.canvas.height() // 2)
        return middle + QPoint(round((x - cx) * zoom), round((y - cy) * zoom))

    def click(self, y, x):
        self.qtbot.mouseMove(self.canvas, self.at(y, x))
        self.qtbot.mouseClick(self.canvas, LEFT, pos=self.at(y, x))

    def drag(self, start, end):
        self.qtbot.mouseMove(self.canvas, self.at(*start))
        self.qtbot.mousePress(self.canvas, LEFT, pos=self.at(*start))
        for part in (0.5, 1.0):
            self.qtbot.mouseMove(self.canvas, self.at(*np.add(start, part * np.subtract(end, start))))
            self.qtbot.wait(20)
        self.qtbot.mouseRelease(self.canvas, LEFT, pos=self.at(*end))


def test_the_canvas_shows_the_field_in_its_place(dock, qtbot, slide):
    viewer, widget = dock("turned")
    assert widget.message.text() == "1 placed."
    field = viewer.layers["turned"]
    field.data = np.broadcast_to(np.uint8([255, 0, 0]), field.data.shape)
    viewer.layers["Field outlines"].visible = False
    viewer.reset_view()
    qtbot.wait(100)
    picture = viewer.screenshot(canvas_only=True, flash=False)
    red = (picture[..., 0] > 250) & (picture[..., 1] < 5)
    zoom = getattr(viewer, "scene", viewer).camera.zoom
    area = 200 * 260 * (2 * parts(slide["truth"]["turned"]).scale * zoom) ** 2
    assert red.sum() == pytest.approx(area, rel=0.03)
    shape = np.array(picture.shape[:2])
    centre = apply(slide["truth"]["turned"], np.array([99.5, 129.5])) * 2
    middle = np.array(getattr(viewer, "scene", viewer).camera.center[-2:])
    expected = (centre - middle) * zoom + shape / 2
    np.testing.assert_allclose(np.argwhere(red).mean(0), expected, atol=1.5)


def test_dragged_by_the_mouse_and_refined(dock, qtbot, slide):
    viewer, widget = dock("turned", "low")
    widget.table.choose("turned")
    qtbot.wait(100)
    qtbot.mouseClick(widget.correct.move, LEFT)
    layer = viewer.layers["turned"]
    before = layer.extent.world.mean(0)
    centre = apply(slide["truth"]["turned"], np.array([99.5, 129.5])) * 2
    Mouse(viewer, qtbot).drag(centre, np.add(centre, (9, -8)))
    moved = layer.extent.world.mean(0) - before
    np.testing.assert_allclose(moved, (9, -8), atol=1)
    assert "turned was moved by hand" in widget.message.text()
    qtbot.mouseClick(widget.correct.refine, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        pass
    np.testing.assert_allclose(layer.extent.world.mean(0), before, atol=1)


def test_a_click_on_the_canvas_locates_and_jumps(dock, qtbot, slide):
    viewer, widget = dock("turned", "low")
    viewer.reset_view()
    qtbot.wait(100)
    widget.tabs.setCurrentWidget(widget.locate)
    qtbot.mouseClick(widget.locate.listen, LEFT)
    centre = apply(slide["truth"]["turned"], np.array([99.5, 129.5])) * 2
    Mouse(viewer, qtbot).click(*centre)
    shown = widget.locate.list
    assert [shown.item(row).text().split(":")[0] for row in range(shown.count())] == ["turned"]
    qtbot.mouseClick(shown.viewport(), LEFT, pos=shown.visualItemRect(shown.item(0)).center())
    assert viewer.layers.selection.active is viewer.layers["turned"]
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], centre, atol=2)


def test_landmarks_are_set_by_clicks(dock, qtbot, slide):
    viewer, widget = dock("turned")
    widget.table.choose("turned")
    qtbot.wait(100)
    qtbot.mouseClick(widget.correct.landmarks, LEFT)
    mouse, layer = Mouse(viewer, qtbot), viewer.layers["turned"]
    for pixel in ((40, 50), (150, 60), (90, 200)):
        y, x = layer.data_to_world(pixel)
        for count, marks in enumerate(viewer.layers[-2:]):
            qtbot.waitUntil(lambda marks=marks: viewer.layers.selection.active is marks, timeout=3000)
            mouse.click(y, x)
            assert len(marks.data) > 0, count
    qtbot.mouseClick(widget.correct.fit, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        pass
    assert "placed" in widget.message.text()
    assert widget.book.get("turned").manual


def test_closing_the_dock_ends_views_and_leaves_the_layers(dock, qtbot):
    from qtpy.QtWidgets import QPushButton

    viewer, widget = dock("turned")
    widget.table.choose("turned")
    widget.tabs.setCurrentWidget(widget.compare)
    qtbot.mouseClick(widget.compare.buttons["flicker"], LEFT)
    qtbot.waitUntil(lambda: not viewer.layers["turned"].visible, timeout=3000)
    (close,) = widget.parent().findChildren(QPushButton, "QTitleBarCloseButton")
    qtbot.mouseClick(close, LEFT)
    for _ in range(12):
        assert viewer.layers["turned"].visible
        qtbot.wait(100)
    assert "Field outlines" in viewer.layers


def test_the_sample_opens_as_a_microscope_leaves_it(make_napari_viewer):
    viewer = make_napari_viewer()
    layers = viewer.open_sample("napari-microsr", "slide-with-fields")
    assert layers[0].name == "overview 4x"
    assert len(layers) == 11
    assert all([str(unit) for unit in layer.units] == ["micrometer"] * 2 for layer in layers)
    assert layers[0].scale[0] / layers[1].scale[0] == pytest.approx(2.5)
    assert layers[0].scale[0] / layers[-1].scale[0] == pytest.approx(10)
