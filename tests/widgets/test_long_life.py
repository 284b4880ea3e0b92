"""Many runs in one viewer, and layers, panels and viewers that are closed while a run uses them.

`benchmarks/soak.py --gui-runs 200` does as many runs of each panel in one viewer, and tries more moments.
"""

import gc
import os
import random
import threading

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QThreadPool

from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.widgets.localise import LocaliseWidget
from napari_microsr.widgets.register import RegisterWidget
from napari_microsr.widgets.upscale import UpscaleWidget

pytestmark = pytest.mark.gui
RUNS = int(os.environ.get("MICROSR_LONG_LIFE", 0))
#: Milliseconds after the start of a run.
MOMENTS = [round(random.Random(0).uniform(0, 600)) for _ in range(RUNS // 10)] or [0, 70]
PANELS = {"Super-resolve": UpscaleWidget, "Localise": LocaliseWidget, "Register": RegisterWidget}
#: Objects of Python and bytes of memory that one more run may leave: a layer is thousands of objects.
OBJECTS, BYTES = 300, 200_000


def fill(viewer, widget_class, slide):
    """Show what a panel works on."""
    if widget_class is RegisterWidget:
        um = {"units": ("um", "um"), "rgb": True}
        viewer.add_image(slide["overview"], name="slide", scale=(2, 2), **um)
        viewer.add_image(slide["fields"]["low"], name="low", scale=(slide["um"]["low"],) * 2, **um)
    elif widget_class is LocaliseWidget:
        scene = Scene(density_um2=(0.3, 0.3), photons=(1500.0, 4000.0), background=(10.0, 10.0))
        frames = simulate_frames(np.random.default_rng(0), 20, (33, 41), scene, Camera()).photons
        viewer.add_image(np.rint(frames).astype(np.uint16), name="stack")
    else:
        pixels = np.random.default_rng(0).integers(1, 255, (300, 201), np.uint8)
        viewer.add_image(pixels, name="cells")


def set_up(widget, folder):
    """Fill in the form."""
    widget.output.choose_folder(str(folder))
    if isinstance(widget, UpscaleWidget):
        widget.models.put("bicubic")
        widget.advanced.put({"tile_px": 64})
    elif isinstance(widget, LocaliseWidget):
        widget.models.put("gaussian-mle")
        widget.form.put({"pixel_nm": 100.0, "offset": 0.0, "psf_sigma_px": 1.06})
        widget.advanced.put({"block_frames": 5})


@pytest.fixture(params=PANELS)
def kind(request):
    return PANELS[request.param]


@pytest.fixture
def widget(kind, model, slide, qtbot, tmp_path):
    fill(model, kind, slide)
    widget = kind(model)
    widget.show()
    set_up(widget, tmp_path)
    yield widget
    close(widget)


def close(widget):
    """Close a panel and free it, once."""
    if isalive(widget):
        widget.close()
        widget.deleteLater()


def start(widget, qtbot, name):
    """Press Run; return the run and the list to which its end is added."""
    widget.output.name.setText(name)
    qtbot.mouseClick(widget.button, Qt.MouseButton.LeftButton)
    assert widget.task is not None, widget.message.text()
    ends = []
    widget.task.ended.connect(lambda: ends.append(True))
    return widget.task, ends


#: Threads that stay once they are there: zarr's event loop, napari's slicer, and what Python noted of Qt's.
STAYING = ("MainThread", "zarr", "asyncio", "ThreadPoolExecutor", "Dummy")


@pytest.fixture
def others():
    """Return the threads that other tests of this process have left."""
    return set(threading.enumerate())


def threads(others):
    """Return the threads of runs."""
    new = set(threading.enumerate()) - others
    return [thread.name for thread in new if not thread.name.startswith(STAYING)]


def assert_quiet(qtbot, others):
    """Wait until no thread of a run is left."""
    pool = QThreadPool.globalInstance()
    qtbot.waitUntil(lambda: pool.activeThreadCount() == 0, timeout=30_000)
    gc.collect()

    def none_is_left():
        assert threads(others) == []

    qtbot.waitUntil(none_is_left, timeout=30_000)


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def clear(viewer, inputs):
    """Take away what a run has added."""
    for layer in [layer for layer in viewer.layers if layer not in inputs]:
        viewer.layers.remove(layer)
    viewer.layers.selection.active = inputs[0]


def test_threads_objects_and_memory_stay_as_they_are_run_after_run(widget, model, qtbot, record_property):
    inputs, seen = list(model.layers), []
    runs = RUNS or 6
    for number in range(runs):
        task, ends = start(widget, qtbot, f"r{number}")
        qtbot.waitUntil(lambda ends=ends: bool(ends), timeout=60_000)
        assert task.error is None
        clear(model, inputs)
        qtbot.wait(20)
        gc.collect()
        seen.append((threading.active_count(), len(gc.get_objects()), memory()))
        if RUNS and (number + 1) % (RUNS // 10) == 0:
            record_property(f"{type(widget).__name__}, run {number + 1}", seen[-1])
    # What is loaded once is there after the first third.
    (_, objects, used), last = seen[runs // 3], seen[-1]
    more = runs - 1 - runs // 3
    assert last[0] <= max(count for count, _, _ in seen[: runs // 3 + 1])
    assert (last[1] - objects) / more < OBJECTS
    if RUNS:
        assert (last[2] - used) / more < BYTES


@pytest.mark.parametrize("after_ms", MOMENTS)
@pytest.mark.parametrize("what", ["inputs", "results", "panel"])
def test_what_is_closed_under_a_run_ends_it_without_a_crash(others, widget, model, qtbot, what, after_ms):
    inputs = list(model.layers)
    _, ends = start(widget, qtbot, "out")
    qtbot.wait(after_ms)
    if what == "panel":
        close(widget)
    for layer in [layer for layer in model.layers if what == ("inputs" if layer in inputs else "results")]:
        model.layers.remove(layer)
    qtbot.waitUntil(lambda: bool(ends), timeout=60_000)
    close(widget)
    assert_quiet(qtbot, others)
    model.add_image(np.zeros((4, 4)))  # who still listens to the viewer hears of it
    model.layers.clear()


@pytest.mark.viewer
@pytest.mark.parametrize("after_ms", MOMENTS[-1:] if not RUNS else MOMENTS)
def test_a_viewer_closed_under_a_run_ends_it_without_a_crash(
    others, make_napari_viewer, kind, slide, qtbot, tmp_path, after_ms
):
    viewer = make_napari_viewer(show=False)
    fill(viewer, kind, slide)
    title = {panel: name for name, panel in PANELS.items()}[kind]
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", title)
    set_up(widget, tmp_path)
    _, ends = start(widget, qtbot, "out")
    qtbot.wait(after_ms)
    viewer.close()
    qtbot.waitUntil(lambda: bool(ends), timeout=60_000)
    assert_quiet(qtbot, others)
