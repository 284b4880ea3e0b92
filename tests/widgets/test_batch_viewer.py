"""The widget Batch in a real napari window: results in their panels, closing during a run."""

import threading

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QPushButton

from napari_microsr.batch.job import BatchJob
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.run import run_batch
from napari_microsr.smlm.formats import write_table
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.superres.process import NetworkProcess
from napari_microsr.widgets.batch_open import show_result

pytestmark = [pytest.mark.gui, pytest.mark.viewer]
LEFT = Qt.MouseButton.LeftButton


def panel(viewer, name):
    return viewer.window.add_plugin_dock_widget("napari-microsr", name)[1]


def finished(qtbot, widget):
    if widget.task is not None:
        with qtbot.waitSignal(widget.task.ended, timeout=30_000):
            pass
    return widget.message.text()


def test_results_open_in_the_panel_of_their_task(make_napari_viewer, qtbot, tmp_path, slide):
    viewer = make_napari_viewer()
    spots = np.array([3.0, 8.0])
    table = Localizations.from_columns(
        frame=[0, 1], x=spots, y=spots, photons=[500, 600], background=[5, 5], sigma_px=[1.2, 1.2],
        x_err=[0.1, 0.1], y_err=[0.1, 0.1], pixel_nm=123.0, shape_yx=(16, 16), n_frames=2,
    )  # fmt: skip
    write_table(tmp_path / "cell.csv", table)
    state = ItemState("cell", "done", task="localize", outputs=(str(tmp_path / "cell.csv"),))
    assert "Opened in Localise" in show_result(viewer, state, 123.0)
    assert "2 localisations" in finished(qtbot, panel(viewer, "Localise"))
    assert panel(viewer, "Localise").results.findings.table.pixel_nm == 123

    for name, pixels, um in (("4x", slide["overview"], 2), ("low", slide["fields"]["low"], 1)):
        size = {"resolution": (1e4 / um, 1e4 / um), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / f"day1_{name}.tif", pixels, photometric="rgb", **size)
    batch = BatchJob(
        do="register",
        inputs=[str(tmp_path / "{day}_low.tif")],
        overviews=[str(tmp_path / "{day}_4x.tif")],
        output=tmp_path / "run",
    )
    (done,) = run_batch(batch)
    assert "Opened in Register" in show_result(viewer, done, None)
    register = panel(viewer, "Register")
    assert "1 placed" in finished(qtbot, register)
    field = viewer.layers["day1_low"]
    middle = field.data_to_world(np.array([199 / 2, 259 / 2]))
    np.testing.assert_allclose(np.asarray(middle) / 2, (100, 120), atol=0.3)


@pytest.mark.parametrize("close", ["dock", "window"])
def test_closing_ends_the_run(make_napari_viewer, qtbot, tmp_path, rng, monkeypatch, close):
    turn, original = threading.Semaphore(0), NetworkProcess.__call__

    def held(self, windows, channel):
        assert turn.acquire(timeout=30)
        return original(self, windows, channel)

    monkeypatch.setattr(NetworkProcess, "__call__", held)
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 255, (20, 20), np.uint8))
    viewer = make_napari_viewer(show=True)
    widget = panel(viewer, "Batch")
    widget.inputs.edit.put([str(tmp_path)])
    widget.output.put(str(tmp_path / "run"))
    widget.tasks.forms["upscale"].models.put("bicubic")
    qtbot.mouseClick(widget.button, LEFT)
    task = widget.task
    qtbot.waitUntil(lambda: any(s.state == "running" for s in widget.progress.states), timeout=30_000)
    with qtbot.waitSignal(task.ended, timeout=30_000):
        if close == "dock":
            (button,) = widget.parent().findChildren(QPushButton, "QTitleBarCloseButton")
            qtbot.mouseClick(button, LEFT)
        else:
            viewer.close()
        turn.release(10)
    assert task.cancelled
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    assert not (tmp_path / "run" / "b.ome.zarr").exists()
