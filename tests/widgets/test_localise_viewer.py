"""The widget Localise in a real napari window: live layers, a narrow dock, closing."""

import threading

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QLabel, QPushButton
from scipy.spatial import cKDTree

from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.finders import GaussianMle
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.widgets.localise_camera import METADATA

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def stack(rng):
    scene = Scene(density_um2=(0.3, 0.3), photons=(1500.0, 4000.0), background=(10.0, 10.0))
    return np.rint(simulate_frames(rng, 20, (48, 64), scene, Camera()).photons).astype(np.uint16)


@pytest.fixture
def gate(monkeypatch):
    """Hold the fitter before each frame until the test lets it go on."""
    turn = threading.Semaphore(0)
    original = GaussianMle.__call__

    def held(self, photons):
        assert turn.acquire(timeout=30)
        return original(self, photons)

    monkeypatch.setattr(GaussianMle, "__call__", held)
    yield turn
    turn.release(1000)


@pytest.fixture
def dock(make_napari_viewer, tmp_path):
    """Open the widget as a user does, in a dock of 300 px on the screen of a small laptop."""

    def open_(array, **layer):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        viewer.add_image(array, **layer)
        _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Localise")
        widget.models.put("gaussian-mle")
        widget.form.put({"pixel_nm": 100.0, "offset": 0.0, "psf_sigma_px": 1.06})
        widget.advanced.put({"block_frames": 5})
        widget.output.choose_folder(str(tmp_path))
        viewer.window._qt_window.resizeDocks([widget.parent()], [300], Qt.Orientation.Horizontal)
        return viewer, widget

    return open_


def test_the_image_grows_in_the_window(dock, stack, gate, qtbot):
    viewer, widget = dock(stack, name="cells")
    qtbot.mouseClick(widget.button, LEFT)
    gate.release(5)
    qtbot.waitUntil(lambda: "cells super-resolved" in viewer.layers, timeout=30_000)
    image = viewer.layers["cells super-resolved"]
    qtbot.waitUntil(lambda: np.asarray(image.data[0]).any())
    first = np.asarray(image.data[0]).sum()
    qtbot.waitUntil(lambda: image.thumbnail[..., :3].any(), timeout=10_000)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        gate.release(1000)
    found = len(widget.results.findings)
    qtbot.waitUntil(lambda: np.asarray(image.data[0]).sum() == found)
    assert found > first
    np.testing.assert_allclose(
        np.add(image.extent.world, [[-5, -5], [5, 5]])[0],
        np.subtract(viewer.layers["cells"].extent.world[0, -2:], 50),
        err_msg="both begin at one corner",
    )
    widget.results.render.bar.setChecked(True)
    canvas = getattr(viewer, "canvas", None)
    assert (viewer if canvas is None else canvas.overlays).scale_bar.visible


def test_no_text_is_cut_in_a_narrow_dock(dock, stack, qtbot):
    viewer, widget = dock(stack, name="cells")
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        pass
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
    bar = widget.tabs.tabBar()
    assert bar.sizeHint().width() <= widget.width(), "all tabs are in sight"


def test_closing_the_dock_ends_run_and_try(dock, stack, gate, qtbot):
    viewer, widget = dock(stack, name="cells")
    widget.attempt.button.click()
    gate.release(1)
    qtbot.waitUntil(lambda: "detections" in viewer.layers, timeout=30_000)
    (close,) = widget.parent().findChildren(QPushButton, "QTitleBarCloseButton")
    qtbot.mouseClick(close, LEFT)
    assert "detections" not in viewer.layers
    viewer.dims.set_current_step(0, 3)
    qtbot.wait(200)
    assert "detections" not in viewer.layers


def test_the_sample_is_localised_with_its_own_camera(make_napari_viewer, tmp_path, qtbot):
    viewer = make_napari_viewer()
    stack, truth = viewer.open_sample("napari-microsr", "filaments")
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Localise")
    assert widget.layer is stack
    assert widget.form.get()["pixel_nm"] == 100
    assert widget.form.get()["offset"] == 100
    assert widget.camera.currentText() == METADATA
    assert not truth.visible
    widget.models.put("gaussian-mle")
    widget.output.choose_folder(str(tmp_path))
    widget.form.put({"last_frame": 19})
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=60_000):
        pass
    known = truth.data[truth.data[:, 0] < 20]
    found = widget.results.findings.table
    nearest = cKDTree(known * [1000, 1, 1]).query(np.column_stack([found.frame * 1000, found.y, found.x]))[0]
    assert len(found) > 0.3 * len(known), "some share a frame with little of their light"
    assert np.median(nearest) < 0.2
    again, _ = viewer.open_sample("napari-microsr", "filaments")
    np.testing.assert_array_equal(again.data, stack.data)
