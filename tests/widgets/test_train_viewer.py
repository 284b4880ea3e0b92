"""The widget Train in a real napari window."""

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QLabel
from scipy.ndimage import gaussian_filter

from napari_microsr.widgets.train_images import LAYERS

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(make_napari_viewer, tmp_path, rng):
    """Open the widget as a user does, in a dock of 320 px, with two layers to train on."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 900)
    for name in ("first", "second field with a long name"):
        image = 128 + 600 * gaussian_filter(rng.normal(size=(64, 64, 3)), (0.8, 0.8, 0))
        viewer.add_image(np.clip(image, 0, 255).astype(np.uint8), name=name, scale=(0.5, 0.5))
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Train")
    widget.images.where.setCurrentText(LAYERS)
    for row in range(2):
        widget.images.layers.item(row, 0).setCheckState(Qt.CheckState.Checked)
    widget.output.folder.setText(str(tmp_path / "runs"))
    widget.output.choose_name("tiny")
    widget.form.put({"steps": 2})
    widget.advanced.put({"check_every": 2, "batch": 2, "patch_px": 16, "device": "cpu"})
    widget.arguments.setText("features: 4, blocks: 1")
    viewer.window._qt_window.resizeDocks([widget.parent()], [320], Qt.Orientation.Horizontal)
    return viewer, widget


def test_a_trained_network_is_chosen_in_super_resolve(dock, qtbot):
    viewer, widget = dock
    camera = getattr(viewer, "scene", viewer).camera
    zoom, centre = camera.zoom, camera.center
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=120_000):
        pass
    assert "Done" in widget.message.text()
    assert (camera.zoom, camera.center) == (zoom, centre), "the view stays"
    check_nothing_is_cut(viewer, widget, qtbot)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    assert "tiny is installed, and chosen in Super-resolve" in widget.message.text()
    _, chooser = viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
    assert chooser.models.get() == "tiny"
    qtbot.mouseClick(widget.watch.look_button, LEFT)
    (top, left), (bottom, right) = viewer.layers["tiny result"].extent.world
    assert top < camera.center[-2] < bottom
    assert left < camera.center[-1] < right, "the result is the one in the middle"


def check_nothing_is_cut(viewer, widget, qtbot):
    """In a narrow dock all texts and tabs are whole."""
    widget.collapsible.expand(animate=False)
    assert widget.width() <= 320
    assert viewer.window._qt_window.height() <= 900
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
