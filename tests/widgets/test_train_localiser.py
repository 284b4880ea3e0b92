"""The widget Train localiser, driven by mouse and keyboard on a viewer without a window."""

import numpy as np
import pytest

pytest.importorskip("napari")

import yaml
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_microsr.core.epoch import read_metrics
from napari_microsr.core.weights import find
from napari_microsr.smlm import export
from napari_microsr.smlm.training import TrainLocalizerJob
from napari_microsr.widgets.train_localiser import TrainLocaliserWidget

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(export, "FRAMES", {0.2: 1, 2.0: 1, 5.0: 1})
    monkeypatch.setattr(export, "SIDE_PX", 32)


@pytest.fixture
def panel(model, qtbot, tmp_path):
    widget = TrainLocaliserWidget(model)
    qtbot.addWidget(widget)
    widget.show()
    widget.output.folder.setText(str(tmp_path / "runs"))
    widget.output.name.clear()
    qtbot.keyClicks(widget.output.name, "mine")
    tiny = {"steps": 4, "check_every": 2, "batch": 1, "patch_px": 16, "precision": "32-true", "device": "cpu"}
    for form in (widget.form, widget.advanced):
        form.put(tiny)
    return widget


def type_range(widget, qtbot, name, low, high):
    for box, value in ((widget.ranges[name].low, low), (widget.ranges[name].high, high)):
        box.selectAll()
        qtbot.keyClicks(box, str(value))
        qtbot.keyClick(box, Qt.Key.Key_Return)


def test_a_network_is_trained_live_and_used(panel, qtbot, click_run, tmp_path):
    type_range(panel, qtbot, "photons", 300, 4000)
    assert "Done: " in click_run(panel, timeout=60_000)
    assert panel.tabs.tabText(panel.tabs.currentIndex()) == "Watch"
    rows = read_metrics(tmp_path / "runs" / "mine")
    assert [row["step"] for row in rows] == [2, 4]
    (loss,) = panel.watch.loss.getPlotItem().listDataItems()
    np.testing.assert_allclose(loss.getData(), [[row[n] for row in rows] for n in ("step", "loss")])
    assert len(panel.watch.efficiency.getPlotItem().listDataItems()) == 3
    assert "Step 4 of 4: efficiency" in panel.watch.text.text()
    qtbot.mouseClick(panel.watch.use_button, LEFT)
    assert "mine is installed" in panel.message.text()
    assert "300-4000 photons" in find("mine")[0].trained_on[0].source


def test_the_form_is_saved_as_a_job(panel, qtbot, tmp_path, monkeypatch):
    type_range(panel, qtbot, "sigma_px", 1.0, 1.4)
    file = tmp_path / "mine.yaml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    qtbot.mouseClick(panel.save_button, LEFT)
    saved = yaml.safe_load(file.read_text())
    assert saved.pop("task") == "train-localizer"
    assert TrainLocalizerJob.parse(saved) == panel.job()
    assert panel.job().sigma_px == (1.0, 1.4)


def test_what_cannot_be_trained_is_said(panel, qtbot, click_run):
    type_range(panel, qtbot, "photons", 4000, 300)
    assert "photons must run from a smallest to a largest" in click_run(panel)
    type_range(panel, qtbot, "photons", 30, 300)
    panel.form.put({"steps": 3})
    assert "not a multiple of check_every" in click_run(panel)
    qtbot.mouseClick(panel.watch.use_button, LEFT)
    assert "no weights yet" in panel.message.text()
    qtbot.mouseClick(panel.reset_button, LEFT)
    assert panel.ranges["photons"].get() == TrainLocalizerJob.model_fields["photons"].default
