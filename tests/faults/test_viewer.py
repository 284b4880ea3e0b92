"""Many runs in one viewer, and things that are closed while a run uses them."""

import gc
import threading
import time

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("qtpy.QtWidgets")
pytestmark = pytest.mark.gui

RUNS = 4


@pytest.fixture
def widget(qtbot, tmp_path, monkeypatch):
    from napari.components import ViewerModel

    from napari_microsr.widgets.upscale import UpscaleWidget

    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "home"))
    viewer = ViewerModel()
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (300, 200), np.uint8), name="cells")
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    widget.models.put("bicubic")
    widget.output.choose_folder(str(tmp_path))
    return widget


def start(widget, qtbot, name):
    from qtpy.QtCore import Qt

    widget.output.name.clear()
    qtbot.keyClicks(widget.output.name, name)
    qtbot.mouseClick(widget.button, Qt.MouseButton.LeftButton)
    assert widget.task is not None, widget.message.text()
    return widget.task


def run_often(widget, qtbot, times):
    """Run, remove the layer and run again; return threads and objects after each run."""
    seen = []
    for number in range(times):
        with qtbot.waitSignal(start(widget, qtbot, f"r{number}").ended, timeout=60_000):
            pass
        for layer in widget.viewer.layers[1:]:
            widget.viewer.layers.remove(layer)
        widget.viewer.layers.selection.active = widget.viewer.layers[0]
        qtbot.wait(50)
        gc.collect()
        seen.append((threading.active_count(), len(gc.get_objects())))
    return seen


def settled(before, seconds=20):
    """Wait until the threads that a run began have ended."""
    end = time.monotonic() + seconds
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    return threading.active_count() <= before


def test_threads_and_objects_stay_as_many_after_many_runs(widget, qtbot):
    seen = run_often(widget, qtbot, RUNS)
    assert seen[-1][0] <= seen[1][0]
    # The first runs load what stays; a leak of a result or a layer is thousands of objects a run.
    assert seen[-1][1] - seen[-2][1] < 1000, seen


@pytest.mark.parametrize("ms", [0, 60, 200])
@pytest.mark.parametrize("what", ["input", "result", "widget"])
def test_what_is_closed_under_a_run_ends_it_without_a_crash(widget, qtbot, what, ms):
    before = threading.active_count()
    task = start(widget, qtbot, "out")
    viewer = widget.viewer
    ended = []
    task.ended.connect(lambda *_: ended.append(1))
    qtbot.wait(ms)
    if what == "widget":
        widget.close()
        widget.deleteLater()
    else:
        for layer in list(viewer.layers[:1] if what == "input" else viewer.layers[1:]):
            viewer.layers.remove(layer)
    end = time.monotonic() + 30
    while (
        task.running and time.monotonic() < end
        if hasattr(task, "running")
        else not ended and time.monotonic() < end
    ):
        qtbot.wait(50)
        if what == "widget":
            break
    qtbot.wait(200)
    assert settled(before + 4)
