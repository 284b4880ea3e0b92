"""The widget Evaluate in a real napari window."""

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QLabel, QPushButton
from scipy.ndimage import gaussian_filter

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(make_napari_viewer, rng):
    """Open the widget as a user does, in a dock of 300 px on the screen of a small laptop."""
    truth = np.clip(128 + 300 * gaussian_filter(rng.normal(size=(64, 64)), 1.5), 0, 255)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.add_image(truth.reshape(32, 2, 32, 2).mean((1, 3)), name="low", scale=(2, 2), translate=(0.5, 0.5))
    viewer.add_image(np.clip(truth + rng.normal(0, 5, truth.shape), 0, 255), name="result with a long name")
    viewer.add_image(truth, name="truth")
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Evaluate")
    widget.choice.input_box.setCurrentText("low")
    viewer.window._qt_window.resizeDocks([widget.parent()], [300], Qt.Orientation.Horizontal)
    return viewer, widget


def canvas_position(viewer, world):
    """Where a place of the world lies on the canvas, from the camera alone."""
    camera = getattr(viewer, "scene", viewer).camera
    canvas = viewer.window._qt_viewer.canvas.native
    y, x = (np.array(world) - np.array(camera.center)[-2:]) * camera.zoom
    return canvas, (canvas.width() / 2 + x, canvas.height() / 2 + y)


def test_no_text_is_cut_in_a_narrow_dock(dock, qtbot):
    viewer, widget = dock
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        pass
    widget.profile.add_line()
    widget.zoom.show_spot((30.0, 30.0))
    qtbot.waitUntil(lambda: widget.profile.profile is not None and widget.zoom.spot is not None)
    assert widget.width() <= 300
    assert viewer.window._qt_window.height() <= 800
    for tab in range(widget.tabs.count()):
        widget.tabs.setCurrentIndex(tab)
        qtbot.wait(50)
        page = widget.tabs.currentWidget()
        assert page.widget().width() <= page.viewport().width(), "nothing lies beyond the edge"
        for part in (*page.findChildren(QLabel), *page.findChildren(QAbstractButton)):
            if part.isVisible() and part.text():
                needed = part.sizeHint().width() if not getattr(part, "wordWrap", bool)() else 0
                assert part.width() >= needed, part.text()
    assert widget.tabs.tabBar().sizeHint().width() <= widget.width(), "all tabs are in sight"


def test_a_click_on_the_canvas_shows_that_spot(dock, qtbot):
    from qtpy.QtCore import QPoint

    viewer, widget = dock
    qtbot.waitExposed(viewer.window._qt_window)
    widget.tabs.setCurrentIndex(4)
    qtbot.mouseClick(widget.zoom.pick_button, LEFT)
    qtbot.wait(100)
    canvas, (x, y) = canvas_position(viewer, (20.0, 41.0))
    qtbot.mouseClick(canvas, LEFT, pos=QPoint(round(x), round(y)))
    qtbot.waitUntil(lambda: widget.zoom.spot is not None, timeout=10_000)
    assert widget.zoom._centre == pytest.approx((20, 41), abs=0.5)
    value = viewer.layers["truth"].data[20, 41]
    assert f"[20, 41]: {value:.4g}" in widget.zoom.text.text()


def test_a_dragged_end_moves_the_profile_during_the_drag(dock, qtbot):
    from qtpy.QtCore import QPoint

    viewer, widget = dock
    widget.tabs.setCurrentIndex(3)
    points = viewer.add_points([[10.0, 10.0], [10.0, 50.0]], name="ends", size=4)
    qtbot.waitUntil(lambda: widget.profile.profile is not None)
    points.mode = "select"
    qtbot.wait(100)
    before = widget.profile.profile.distance[-1]
    canvas, start = canvas_position(viewer, (10.0, 50.0))
    _, stop = canvas_position(viewer, (40.0, 50.0))
    qtbot.mousePress(canvas, LEFT, pos=QPoint(*map(round, start)))
    for share in (0.3, 0.6, 1.0):
        x, y = (round(a + share * (b - a)) for a, b in zip(start, stop, strict=True))
        drag(canvas, x, y)
        qtbot.wait(30)
    qtbot.waitUntil(lambda: widget.profile.profile.distance[-1] > before + 5, timeout=5000)
    qtbot.mouseRelease(canvas, LEFT, pos=QPoint(*map(round, stop)))
    qtbot.waitUntil(lambda: widget.profile.profile.distance[-1] == pytest.approx(50, abs=2))


def drag(canvas, x, y):
    """Move the mouse with its button down, which qtbot cannot."""
    from qtpy.QtCore import QEvent, QPointF
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    at = QPointF(x, y)
    none = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(
        QEvent.Type.MouseMove, at, canvas.mapToGlobal(at), Qt.MouseButton.NoButton, LEFT, none
    )
    QApplication.sendEvent(canvas, event)


def test_closing_the_dock_ends_listening(dock, qtbot):
    viewer, widget = dock
    widget.tabs.setCurrentIndex(4)
    qtbot.mouseClick(widget.zoom.pick_button, LEFT)
    assert widget.zoom._click in viewer.mouse_drag_callbacks
    (close,) = widget.parent().findChildren(QPushButton, "QTitleBarCloseButton")
    qtbot.mouseClick(close, LEFT)
    assert widget.zoom._click not in viewer.mouse_drag_callbacks
