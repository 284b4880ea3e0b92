"""The parts of the widget Localise: its table, its plots, its background work, its camera."""

import threading

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari")

from qtpy.QtCore import QObject, Qt

from napari_microsr.errors import InputError
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.job import LocalizeJob
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.widgets.form import JobForm, Labels
from napari_microsr.widgets.latest import Latest
from napari_microsr.widgets.localise_camera import ESTIMATE, METADATA, OWN, TITLES, CameraPicker
from napari_microsr.widgets.localise_filter import FilterTab
from napari_microsr.widgets.localise_findings import Findings
from napari_microsr.widgets.localise_plots import RangePlot

pytestmark = pytest.mark.gui
CAMERA = ("offset", "gain", "em_gain", "qe", "read_noise_e")


def table(n, rng, frames=20, first=0, **columns):
    return Localizations.from_columns(
        frame=np.sort(rng.integers(first, frames, n)),
        x=rng.uniform(0, 30, n),
        y=rng.uniform(0, 20, n),
        photons=rng.uniform(100, 2000, n),
        pixel_nm=100.0,
        shape_yx=(20, 30),
        n_frames=frames,
        **columns,
    )


@pytest.fixture
def parent(qtbot):
    parent = QObject()
    yield parent
    parent.deleteLater()


@pytest.mark.parametrize("step", [1, 130, 500])
def test_findings_grow_to_the_whole_table(step, parent, rng):
    findings, rows = Findings(parent), table(500, rng)
    assert findings.table is None
    assert findings.kept is None
    for start in range(0, 500, step):
        findings.grow(rows.select(slice(start, start + step)))
    assert len(findings) == 500
    np.testing.assert_array_equal(findings.table.x, rows.x)
    np.testing.assert_array_equal(findings.per_frame(), np.bincount(rows.frame, minlength=20))
    np.testing.assert_array_equal(np.sort(findings.sample("photons")), np.sort(rows.photons))
    assert len(findings.sample("sigma_nm")) == 0, "nothing is known of it"


def test_filters_choose_rows_before_and_after_the_drift_is_corrected(parent, rng):
    findings, rows = Findings(parent), table(500, rng)
    findings.begin(rows)
    findings.limit("photons", (500.0, np.inf))
    findings.limit("frame", (3, 9))
    wanted = (rows.photons >= 500) & (rows.frame >= 3) & (rows.frame <= 9)
    np.testing.assert_array_equal(findings.kept.x, rows.x[wanted])
    findings.correct(rows.replace(x=rows.x + 1))
    np.testing.assert_array_equal(findings.kept.x, rows.x[wanted] + 1)
    findings.correct(None)
    findings.limit("photons", None)
    findings.limit("frame", None)
    assert len(findings.kept) == 500


def test_a_filter_of_what_a_table_does_not_know_is_left_out(parent, rng):
    findings = Findings(parent)
    findings.begin(table(50, rng))
    findings.limit("uncertainty_nm", (0, 20))
    assert len(findings.kept) == 50


def test_dragging_a_range_filters(qtbot, parent, rng):
    findings, rows = Findings(parent), table(2000, rng)
    tab = FilterTab(findings)
    qtbot.addWidget(tab)
    tab.resize(300, 600)
    tab.show()
    findings.begin(rows)
    qtbot.waitUntil(lambda: "2,000 localisations" in tab.count.text())
    assert not tab.columns["sigma_nm"].isVisible(), "there is none in this table"
    plot = tab.columns["photons"]
    low, high = plot.region.getRegion()
    assert low == pytest.approx(100, abs=30)
    assert high == pytest.approx(2000, abs=30)
    with qtbot.waitSignal(findings.changed):
        plot.region.setRegion((800.0, high))
    wanted = int((rows.photons >= 800).sum())
    assert len(findings.kept) == wanted
    assert tab.count.text() == f"{wanted:,} of 2,000 localisations are kept."
    assert plot.low.text() == "800"
    assert plot.high.text() == "", "the end of the plot sets no limit"
    with qtbot.waitSignal(findings.changed):
        qtbot.mouseClick(tab.reset, Qt.MouseButton.LeftButton)
    assert len(findings.kept) == 2000


def test_a_range_can_be_typed(qtbot):
    plot = RangePlot("photons", "Photons")
    qtbot.addWidget(plot)
    plot.show()
    plot.draw_histogram(np.linspace(0, 1000, 501))
    with qtbot.waitSignal(plot.ranged) as said:
        qtbot.keyClicks(plot.high, "250")
        qtbot.keyClick(plot.high, Qt.Key.Key_Return)
    assert said.args == ["photons", (-np.inf, 250.0)]
    assert plot.region.getRegion()[1] == 250
    for wrong in ("x", "nan", "900"):
        plot.low.setText(wrong)
        plot.low.editingFinished.emit()
        assert plot.limits == (-np.inf, 250.0)
    plot.draw_histogram(np.linspace(0, 100, 501))
    assert plot.limits == (-np.inf, 250.0), "new data leave the limit alone"
    for values in (np.zeros(0), np.full(3, 7.0)):
        plot.draw_histogram(values)
        assert plot.limits == (-np.inf, 250.0)


def test_of_waiting_work_only_the_newest_is_done(qtbot, parent):
    latest, gate, calls = Latest("test", parent), threading.Event(), []

    def work(number):
        def do():
            calls.append(number)
            assert gate.wait(10)
            return number

        return do

    results = []
    latest.done.connect(results.append)
    for number in range(4):
        latest.submit(work(number))
    gate.set()
    qtbot.waitUntil(lambda: not latest.busy)
    assert calls == [0, 3]
    assert results == [3], "the first was out of date when it was done"


def test_forgotten_work_tells_nothing_and_errors_arrive(qtbot, parent):
    latest, results = Latest("test", parent), []
    latest.done.connect(results.append)
    latest.submit(lambda: 1)
    latest.forget()
    qtbot.waitUntil(lambda: not latest.busy)
    assert results == []

    def fail():
        raise InputError("There is nothing.", "Give something.")

    with qtbot.waitSignal(latest.failed) as said:
        latest.submit(fail)
    assert "Give something" in str(said.args[0])


@pytest.fixture
def camera(qtbot):
    forms = tuple(JobForm(LocalizeJob, part, {}, Labels("")) for part in (CAMERA[:3], CAMERA[3:]))
    forms[0].editors["offset"].setMinimum(-1)
    forms[0].editors["em_gain"].setMinimum(0)
    forms[0].reset()
    picker = CameraPicker(forms)
    for widget in (*forms, picker):
        qtbot.addWidget(widget)
    return picker, lambda: {**forms[0].get(), **forms[1].get()}, forms


def test_a_preset_fills_the_numbers_and_an_edit_makes_them_ones_own(camera):
    picker, shown, forms = camera
    assert shown()["offset"] is None
    picker.setCurrentText(TITLES["emccd"])
    assert shown() == {"offset": 100, "gain": 15, "em_gain": 300, "qe": 1, "read_noise_e": 60}
    forms[1].editors["read_noise_e"].setValue(12)
    assert picker.currentText() == OWN
    picker.setCurrentText(TITLES["photons"])
    assert shown()["offset"] == 0, "an offset of 0 is one"
    asked = []
    picker.estimate.connect(lambda: asked.append(1))
    picker.setCurrentText(ESTIMATE)
    assert asked
    picker.take(Camera(offset=97.5, e_per_adu=0.5))
    assert (shown()["offset"], shown()["gain"]) == (97.5, 0.5)
    assert picker.currentText() == ESTIMATE
    forms[0].editors["gain"].setValue(0.6)
    assert picker.currentText() == OWN


def test_the_metadata_of_a_layer_are_taken(camera, model):
    picker, shown, _ = camera
    known = {"offset": 398.6, "gain": 0.46, "em_gain": 1.0, "qe": 0.82, "read_noise_e": 1.4}
    layer = model.add_image(np.zeros((2, 4, 4)), metadata={"microsr": {"camera": known}})
    picker.look_at(layer)
    assert picker.currentText() == METADATA
    assert shown() == known
    picker.look_at(model.add_image(np.zeros((2, 4, 4))))
    assert picker.findText(METADATA) < 0


def test_the_metadata_of_a_file_are_taken(camera, model, tmp_path):
    picker, shown, _ = camera
    path = tmp_path / "stack.tif"
    note = "[Conversion Factor Coeff] = 0.46\n[Conversion Factor Offset] = 0"
    tifffile.imwrite(path, np.zeros((2, 4, 4), np.uint16), description=note, metadata=None)
    layer = model.add_image(np.zeros((2, 4, 4), np.uint16), metadata={"microsr": {"file": str(path)}})
    picker.look_at(layer)
    assert picker.currentText() == METADATA
    assert (shown()["offset"], shown()["gain"], shown()["em_gain"]) == (0, 0.46, None)
