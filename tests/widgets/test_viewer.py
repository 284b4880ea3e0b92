"""The widget in a real napari window: menus, live layers, closing during a run."""

import threading

import numpy as np
import pytest

pytest.importorskip("napari")

import zarr
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDialog, QPushButton

from napari_microsr.superres.process import NetworkProcess

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


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


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera  # a part of the scene since napari 0.9


@pytest.fixture
def dock(make_napari_viewer, tmp_path):
    """Open the widget as a user does, by its name in the menu."""

    def open_(array, tile_px=32, **layer):
        viewer = make_napari_viewer(show=True)
        viewer.add_image(array, **layer)
        _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
        widget.models.put("bicubic")
        widget.output.choose_folder(str(tmp_path))
        widget.output.name.setText("result")
        widget.advanced.editors["tile_px"].put(tile_px)
        return viewer, widget

    return open_


def test_a_run_in_the_window_leaves_the_view_alone(dock, qtbot, rng):
    array = rng.integers(1, 255, (400, 300, 3), np.uint8)
    viewer, widget = dock(array, tile_px=128, rgb=True, scale=(0.5, 0.5), units=("um", "um"))
    camera(viewer).zoom *= 3
    qtbot.wait(50)
    zoom, centre = camera(viewer).zoom, camera(viewer).center
    qtbot.mouseClick(widget.button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        pass
    qtbot.wait(50)
    assert "Done" in widget.message.text()
    assert camera(viewer).zoom == zoom
    assert camera(viewer).center == centre
    result = viewer.layers[-1]
    assert result.thumbnail[..., :3].any(), "the coarsest level was read again"
    np.testing.assert_allclose(
        np.add(result.extent.world, [[-0.125, -0.125], [0.125, 0.125]]),
        np.add(viewer.layers[0].extent.world, [[-0.25, -0.25], [0.25, 0.25]]),
    )


def test_a_pyramid_seen_from_afar_fills_too(dock, gate, qtbot, rng):
    array = rng.integers(100, 255, (512, 512), np.uint8)
    viewer, widget = dock(array, tile_px=256)
    camera(viewer).zoom /= 8
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=30_000)
    result = viewer.layers[-1]
    qtbot.wait(50)
    assert result.data_level == len(result.data) - 1
    assert not result.get_value((300, 300), world=True)[1]
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        gate.release(3)
        qtbot.waitUntil(lambda: result.thumbnail[..., :3].any(), timeout=10_000)
        gate.release(1)


def test_the_visible_region_comes_first(dock, gate, qtbot, tmp_path, rng):
    array = rng.integers(1, 255, (256, 256), np.uint8)
    viewer, widget = dock(array, tile_px=32)
    camera(viewer).center = (0, 208, 208)
    camera(viewer).zoom *= 10
    qtbot.waitUntil(lambda: viewer.layers[0].corner_pixels[0].min() > 150, timeout=30_000)
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=30_000)
    gate.release(1)
    qtbot.waitUntil(lambda: widget.bar.value() == 1, timeout=30_000)
    level = zarr.open_array(tmp_path / "result.ome.zarr.partial" / "0", mode="r")
    assert level[384:448, 384:448].mean() > 50, "the tile in the middle of the view"
    assert not level[:64, :64].any()
    widget.task.cancel()
    with qtbot.waitSignal(widget.task.ended, timeout=30_000):
        gate.release(1)


def test_closing_the_dock_stops_the_run(dock, gate, qtbot, tmp_path):
    viewer, widget = dock(np.ones((128, 128), np.uint8))
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=30_000)
    task = widget.task
    docked = widget.parent()
    with qtbot.waitSignal(task.ended, timeout=30_000):
        (close,) = docked.findChildren(QPushButton, "QTitleBarCloseButton")
        qtbot.mouseClick(close, LEFT)
        gate.release(1)
    assert task.cancelled
    assert (tmp_path / "result.ome.zarr.partial").is_dir()
    assert not (tmp_path / "result.ome.zarr").exists()


def test_closing_the_window_asks_and_stops_the_run(dock, gate, qtbot, tmp_path):
    viewer, widget = dock(np.ones((128, 128), np.uint8))
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=30_000)
    window = viewer.window._qt_window
    asked = []

    def answer():
        dialog = window.findChild(QDialog)
        asked.append([label.text() for label in dialog.findChildren(type(widget.message))])
        dialog.reject()

    # A close by the window manager is what makes napari ask; only the event says so.
    QTimer.singleShot(200, answer)
    from qtpy.QtGui import QCloseEvent

    event = QCloseEvent()
    event.spontaneous = lambda: True
    window.closeEvent(event)
    assert any("Super-resolve: " in text for text in asked[0])
    assert not event.isAccepted()
    assert widget.task is not None

    task = widget.task
    with qtbot.waitSignal(task.ended, timeout=30_000):
        viewer.close()
        gate.release(1)
    assert task.cancelled
    assert (tmp_path / "result.ome.zarr.partial").is_dir()


def test_sample_and_demo_open_in_place(make_napari_viewer, tmp_path):
    from napari_microsr.core.image import ImageSource
    from napari_microsr.core.placement import Placement
    from napari_microsr.superres.job import UpscaleJob, upscale
    from napari_microsr.widgets.demo import fill_viewer

    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-microsr", "slide")
    assert layer.rgb
    assert layer.data.shape == (2967, 2220, 3)
    np.testing.assert_allclose(layer.scale, 0.499)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    viewer.layers.clear()
    crop = layer.data[:200, :300]
    place = Placement(("y", "x"), ("um", "um"), tuple(layer.scale), (0.0, 0.0))
    source = ImageSource.from_array(crop, rgb=True, placement=place)
    job = UpscaleJob(source="crop", output=tmp_path / "slide-bicubic", model="bicubic")
    (store,) = upscale(job, source=source)
    fill_viewer(viewer, store)
    slide, result = viewer.layers
    assert result.rgb
    np.testing.assert_allclose(result.scale, slide.scale / 2)
    np.testing.assert_allclose(result.translate, -slide.scale / 4)
    assert result.metadata["microsr"]["model"]["id"] == "bicubic"
    assert len(viewer.window.dock_widgets) == 1
