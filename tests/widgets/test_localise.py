"""The widget Localise, driven by mouse and keyboard on a viewer without a window."""

import shlex
import threading

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
import torch
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.weights import ModelCard, export
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.draw_job import draw_image
from napari_microsr.smlm.finders import GaussianMle
from napari_microsr.smlm.formats import Field, read_table, write_table
from napari_microsr.smlm.frc_job import FrcJob, measure_resolution
from napari_microsr.smlm.job import LocalizeJob, localize
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.networks.dsir import DsirAutoencoder, calibrate, enlarge
from napari_microsr.smlm.psf import expected_photons
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.widgets.localise import LocaliseWidget
from napari_microsr.widgets.localise_camera import ESTIMATE

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
FRAMES, SHAPE = 12, (33, 41)
SPOTS = ((8.2, 9.7), (8.4, 30.1), (24.9, 12.0), (25.3, 31.6))
"""y, x; they shine in every frame, those of odd frames moved by 0.2 px."""


@pytest.fixture
def stack():
    """Counts (t, y, x): four bright spots per frame, offset 100."""
    rng = np.random.default_rng(3)
    frame = np.repeat(np.arange(FRAMES), len(SPOTS))
    y, x = (np.tile([spot[axis] for spot in SPOTS], FRAMES) + 0.2 * (frame % 2) for axis in (0, 1))
    light = expected_photons(
        frame, x, y, np.full(len(x), 3000.0), np.full(len(x), 1.2), n_frames=FRAMES, shape_yx=SHAPE
    )
    return Camera(offset=100).expose(rng, light + 10)


@pytest.fixture
def open_widget(qtbot, tmp_path):
    def open_(viewer, pixel_nm=100, output="found"):
        widget = LocaliseWidget(viewer)
        qtbot.addWidget(widget)
        widget.resize(300, 700)
        widget.show()
        widget.models.put("gaussian-mle")
        widget.form.put({"pixel_nm": pixel_nm, "offset": 100.0, "psf_sigma_px": 1.2})
        widget.advanced.put({"block_frames": 4})
        for edit, text in ((widget.output.folder, str(tmp_path)), (widget.output.name, output)):
            edit.clear()
            qtbot.keyClicks(edit, text)
        return widget

    return open_


@pytest.fixture
def headless(stack, tmp_path):
    job = LocalizeJob(
        source="array", output=tmp_path / "headless.csv", pixel_nm=100, model="gaussian-mle", offset=100,
        psf_sigma_px=1.2,
    )  # fmt: skip
    return lambda **settings: localize(
        job.model_copy(update=settings), source=ImageSource.from_array(stack, axes="tyx")
    )


@pytest.fixture
def drawer(stack, tmp_path):
    """Weights that draw an image, with random values."""
    torch.manual_seed(0)
    network = DsirAutoencoder()
    calibrate(network, [enlarge(torch.from_numpy(stack[:4, None].astype(np.float32)))])
    facts = {
        "id": "drawer", "summary": "A test.", "domain": "smlm", "licence": "none", "task": "localization",
        "architecture": "dsir-autoencoder", "factor": 8, "channels": 1, "parameters": 3339, "halo_px": 4,
        "multiple_of": 1, "normalisation": "identity", "reduced_precision": False, "trained_on": [],
    }  # fmt: skip
    return str(export(network, ModelCard.model_validate(facts), tmp_path))


@pytest.fixture
def gate(monkeypatch):
    """Hold the fitter before each frame until the test lets it go on."""
    turn = threading.Semaphore(0)
    original = GaussianMle.__call__

    def held(self, photons):
        assert turn.acquire(timeout=20)
        return original(self, photons)

    monkeypatch.setattr(GaussianMle, "__call__", held)
    yield turn
    turn.release(1000)


def idle(qtbot, widget):
    qtbot.waitUntil(lambda: widget.task is None, timeout=20_000)


def drawn(widget):
    return np.asarray(widget.results.image.layer.data[0])


def test_run_gives_the_headless_table_and_an_image_of_it(
    model, stack, open_widget, click_run, headless, tmp_path, qtbot
):
    layer = model.add_image(stack, name="cells")
    widget = open_widget(model)
    message = click_run(widget)
    wanted = headless()
    assert len(wanted) == FRAMES * len(SPOTS)
    assert f"Done: {len(wanted)} localisations" in message
    found = widget.results.findings.table
    for name, column in wanted.columns().items():
        np.testing.assert_array_equal(getattr(found, name), column)
    written = read_table(tmp_path / "found.csv", Field(100.0, SHAPE, FRAMES))
    np.testing.assert_allclose(written.x, wanted.x, atol=1e-3)
    image = widget.results.image.layer
    assert image.name == "cells super-resolved"
    assert image.multiscale
    assert [str(unit) for unit in image.units] == ["nanometer"] * 2
    np.testing.assert_allclose(layer.scale[-2:], 100, err_msg="the stack is shown in nm, too")
    qtbot.waitUntil(lambda: drawn(widget).sum() == len(wanted))
    corner = image.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(corner, np.asarray(layer.data_to_world((0, -0.5, -0.5)))[-2:])


def test_the_image_grows_during_the_run_and_cancel_keeps_what_is_done(
    model, stack, open_widget, gate, qtbot, headless, click_run
):
    model.add_image(stack, name="cells")
    widget = open_widget(model)
    qtbot.mouseClick(widget.button, LEFT)
    gate.release(4)
    qtbot.waitUntil(lambda: len(widget.results.findings) == 4 * len(SPOTS), timeout=20_000)
    qtbot.waitUntil(lambda: drawn(widget).sum() == 4 * len(SPOTS))
    assert widget.task is not None
    qtbot.mouseClick(widget.button, LEFT)
    gate.release(4)
    idle(qtbot, widget)
    assert "Run continues" in widget.message.text()
    assert len(widget.results.findings) >= 4 * len(SPOTS)
    gate.release(1000)
    click_run(widget)
    np.testing.assert_array_equal(widget.results.findings.table.x, headless().x)


def test_try_circles_the_visible_frame_and_follows_slider_and_threshold(model, stack, open_widget, qtbot):
    layer = model.add_image(stack, name="cells", scale=(1, 0.1, 0.1), units=("pixel", "um", "um"))
    widget = open_widget(model)
    assert widget.form.get()["pixel_nm"] == 100, "from the layer"
    model.dims.set_current_step(0, 5)
    qtbot.mouseClick(widget.attempt.button, LEFT)
    qtbot.waitUntil(lambda: "detections" in model.layers, timeout=20_000)
    points = model.layers["detections"]
    moved = np.array(SPOTS) + 0.2
    assert set(points.data[:, 0]) == {5}
    order = np.lexsort((points.data[:, 2], points.data[:, 1]))
    np.testing.assert_allclose(points.data[order, 1:], moved, atol=0.15)
    np.testing.assert_allclose(
        points.data_to_world(points.data[0]), layer.data_to_world(points.data[0]), atol=1e-12
    )
    assert "Frame 5: 4 molecules" in widget.attempt.text.text()
    model.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: set(points.data[:, 0]) == {2})
    widget.form.editors["threshold"].setValue(500)
    qtbot.waitUntil(lambda: len(points.data) == 0)
    widget.form.editors["threshold"].setValue(5)
    qtbot.waitUntil(lambda: len(points.data) == 4)
    qtbot.mouseClick(widget.attempt.button, LEFT)
    assert "detections" not in model.layers


def test_try_says_what_is_wrong(model, stack, open_widget, qtbot):
    model.add_image(stack[..., :40].reshape(FRAMES, 33, 40), name="cells")
    widget = open_widget(model, pixel_nm=0)
    qtbot.mouseClick(widget.attempt.button, LEFT)
    assert "pixel size of 0.0 nm is impossible" in widget.attempt.text.text()
    widget.form.put({"pixel_nm": 0.1})
    qtbot.waitUntil(lambda: "give 100 nm" in widget.attempt.text.text())
    widget.form.put({"pixel_nm": 100})
    qtbot.waitUntil(lambda: "4 molecules" in widget.attempt.text.text(), timeout=20_000)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 8, 8, 3), np.uint8), "RGB"),
        (np.zeros((2, 3, 8, 8), np.uint16), "several axes"),
        (np.full((3, 8, 8), np.nan, np.float32), "not finite"),
    ],
)
def test_what_is_no_stack_is_refused(array, said, model, open_widget, click_run):
    model.add_image(array, rgb=array.shape[-1] == 3, contrast_limits=(0, 1))
    widget = open_widget(model)
    assert said in click_run(widget)
    assert widget.results.findings.table is None


def test_without_a_stack_or_a_pixel_size_nothing_begins(model, stack, open_widget, click_run):
    widget = open_widget(model, pixel_nm=0)
    assert "no stack of frames" in click_run(widget)
    model.add_image(stack)
    assert "impossible" in click_run(widget)
    assert widget.task is None


def test_a_new_run_on_another_stack_replaces_the_results(model, stack, open_widget, click_run, qtbot):
    first = model.add_image(stack, name="first", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    widget = open_widget(model)
    click_run(widget)
    model.add_image(
        stack[:3], name="second", scale=(1, 50, 50), translate=(0, 9, 9), units=("pixel", "nm", "nm")
    )
    widget.layer_box.setCurrentIndex(widget.layer_box.findText("second"))
    assert widget.form.get()["pixel_nm"] == 50
    widget.output.name.setText("other")
    click_run(widget)
    assert len(widget.results.findings) == 3 * len(SPOTS)
    names = [layer.name for layer in model.layers]
    assert "first super-resolved" not in names
    assert widget.layer is not first
    np.testing.assert_allclose(widget.results.image.layer.data_to_world((-0.5, -0.5)), (9 - 25, 9 - 25))


def test_filter_drift_and_render_follow_each_other(model, stack, open_widget, click_run, qtbot):
    model.add_image(stack, name="cells")
    widget = open_widget(model)
    click_run(widget)
    results = widget.results
    widget.tabs.setCurrentIndex(1)
    results.filter.frames.set_limits(0, 5)
    qtbot.waitUntil(lambda: drawn(widget).sum() == 6 * len(SPOTS))
    results.render.renderer.setCurrentText("gaussian")
    qtbot.waitUntil(lambda: (drawn(widget) % 1).any())
    assert drawn(widget).sum() == pytest.approx(6 * len(SPOTS), rel=1e-3)
    results.render.renderer.setCurrentText("histogram")
    results.render.pixel.setValue(50)
    np.testing.assert_allclose(results.image.layer.scale, 50)
    qtbot.waitUntil(lambda: drawn(widget).sum() == 6 * len(SPOTS))
    widget.tabs.setCurrentIndex(2)
    results.drift.method.setCurrentText("rcc")
    qtbot.mouseClick(results.drift.button, LEFT)
    idle(qtbot, widget)
    assert "too few" in widget.message.text()
    widget.tabs.setCurrentIndex(3)
    qtbot.mouseClick(results.render.points_button, LEFT)
    assert len(model.layers["cells points"].data) == 6 * len(SPOTS)


def test_an_unknown_camera_is_estimated(model, open_widget, qtbot):
    rng = np.random.default_rng(4)
    light = simulate_frames(rng, 60, (48, 48), Scene(), Camera()).photons
    counts = np.rint(light / 0.5 + 200).astype(np.uint16)
    model.add_image(counts, name="cells")
    widget = open_widget(model)
    widget.camera.setCurrentText(ESTIMATE)
    idle(qtbot, widget)
    assert "is estimated" in widget.message.text()
    shown = widget.form.get()
    assert shown["gain"] == pytest.approx(0.5, rel=0.15)
    assert shown["offset"] == pytest.approx(200, abs=12)


def test_the_percentile_and_the_users_own_contrast(model, stack, open_widget, click_run, qtbot):
    model.add_image(stack, name="cells")
    widget = open_widget(model)
    click_run(widget)
    image = widget.results.image.layer
    level = drawn(widget)
    widget.results.render.bright.setValue(100)
    assert image.contrast_limits == [0, level.max()]
    widget.results.render.bright.setValue(50)
    assert image.contrast_limits[1] == np.percentile(level[level > 0], 50)
    image.contrast_limits = (0, 7)
    with qtbot.waitSignal(widget.results.image.drawn):
        widget.results.filter.columns["photons"].set_limits(0, np.inf)
    assert image.contrast_limits == [0, 7], "it is the user's"


def test_drift_is_taken_out_and_put_back(model, open_widget, tmp_path, qtbot):
    rng = np.random.default_rng(5)
    sites, frames = rng.uniform(4, 28, (150, 2)), 200
    site, frame = rng.integers(0, 150, 8000), np.sort(rng.integers(0, frames, 8000))
    drift = 1.5 * frame / frames
    noise = rng.normal(0, 0.05, (2, 8000))
    rows = Localizations.from_columns(
        frame=frame, y=sites[site, 0] + noise[0], x=sites[site, 1] + noise[1] + drift, pixel_nm=100.0,
        shape_yx=(32, 32), n_frames=frames, x_err=np.full(8000, 0.05), y_err=np.full(8000, 0.05),
    )  # fmt: skip
    write_table(tmp_path / "drifting.hdf5", rows)
    widget = open_widget(model)
    widget.results.export.opened.emit(tmp_path / "drifting.hdf5", None)
    idle(qtbot, widget)
    assert "8,000 localisations" in widget.message.text()
    assert "drifting super-resolved" in model.layers
    tab = widget.results.drift
    widget.tabs.setCurrentIndex(2)
    qtbot.mouseClick(tab.button, LEFT)
    idle(qtbot, widget)
    moved = widget.results.findings.kept
    left = moved.x - sites[site, 1] - np.mean(moved.x - sites[site, 1])
    assert np.std(left) < 0.07, "0.05 px of it is noise, without correction it is 0.44"
    assert tab.curve.isVisible()
    widget.results.export.saved.emit(tmp_path / "still.csv")
    idle(qtbot, widget)
    curve = np.loadtxt(tmp_path / "still.drift.csv", delimiter=",", skiprows=1)
    assert np.ptp(curve[:, 1]) == pytest.approx(150, abs=25)
    widget.tabs.setCurrentIndex(3)
    qtbot.mouseClick(widget.results.render.measure_button, LEFT)
    idle(qtbot, widget)
    write_table(tmp_path / "moved.parquet", moved)
    told = measure_resolution(FrcJob(table=tmp_path / "moved.parquet"))
    said = widget.results.render.resolution.text()
    assert f"Resolution (FRC): {told['resolution_nm']:.0f} ± {told['resolution_sd_nm']:.0f} nm." in said
    assert "Median uncertainty in the table: 5.0 nm" in widget.results.render.resolution.text()
    assert widget.results.render.curve.isVisible()
    widget.tabs.setCurrentIndex(2)
    qtbot.mouseClick(tab.undo_button, LEFT)
    assert widget.results.render.curve.isHidden(), "it was of the corrected table"
    np.testing.assert_allclose(widget.results.findings.kept.x, rows.x, atol=1e-4)
    assert not tab.curve.isVisible()


def test_events_are_merged_and_the_kept_table_saved(model, stack, open_widget, click_run, tmp_path, qtbot):
    model.add_image(stack, name="cells")
    widget = open_widget(model)
    click_run(widget)
    widget.tabs.setCurrentIndex(1)
    widget.results.filter.radius.setValue(60)
    qtbot.mouseClick(widget.results.filter.merge_button, LEFT)
    idle(qtbot, widget)
    assert "became 4 events" in widget.message.text()
    widget.results.export.saved.emit(tmp_path / "events.csv")
    idle(qtbot, widget)
    saved = read_table(tmp_path / "events.csv", Field(pixel_nm=100.0))
    np.testing.assert_allclose(np.sort(saved.y), np.sort(np.array(SPOTS)[:, 0] + 0.1), atol=0.05)
    widget.results.export.opened.emit(tmp_path / "missing.csv", None)
    idle(qtbot, widget)
    assert "does not exist" in widget.message.text()
    assert len(widget.results.findings) == 4, "the table stays"


def test_the_image_is_saved_and_shown_in_its_place(model, stack, open_widget, click_run, tmp_path, qtbot):
    layer = model.add_image(stack, name="cells", scale=(1, 0.1, 0.1), units=("pixel", "um", "um"))
    widget = open_widget(model)
    widget.results.render.save.emit(tmp_path / "none.tif")
    assert "no localisations" in widget.message.text()
    click_run(widget)
    widget.results.filter.frames.set_limits(0, 3)
    widget.results.render.pixel.setValue(20)
    qtbot.waitUntil(lambda: drawn(widget).sum() == 4 * len(SPOTS))
    for name in ("image.ome.zarr", "image.tif"):
        widget.results.render.save.emit(tmp_path / name)
        idle(qtbot, widget)
        assert "Saved the image" in widget.message.text()
    whole = tifffile.imread(tmp_path / "image.tif")
    height, width = whole.shape
    assert (height, width) == (SHAPE[0] * 5, SHAPE[1] * 5)
    np.testing.assert_array_equal(whole, drawn(widget)[:height, :width])
    stored = model.layers["image"]
    level = stored.data[0] if stored.multiscale else stored.data
    np.testing.assert_array_equal(np.asarray(level), whole)
    np.testing.assert_allclose(
        stored.data_to_world((-0.5, -0.5)), np.asarray(layer.data_to_world((0, -0.5, -0.5)))[-2:], atol=1e-9
    )
    widget.results.render.save.emit(tmp_path / "image.ome.zarr")
    idle(qtbot, widget)
    assert "exists already" in widget.message.text()
    offered = [widget.layer_box.itemText(i) for i in range(widget.layer_box.count())]
    assert offered == ["cells"], "in drawn images there is nothing to localise"


def test_the_command_does_the_same(model, stack, open_widget, tmp_path, qtbot):
    from napari_microsr.cli import app

    path = tmp_path / "my frames.tif"
    tifffile.imwrite(path, stack)
    model.add_image(stack, name="frames", metadata={"microsr": {"file": str(path)}})
    widget = open_widget(model)
    qtbot.mouseClick(widget.copy_button, LEFT)
    line = QGuiApplication.clipboard().text()
    words = shlex.split(line)
    assert words[:2] == ["microsr", "localize"]
    _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    assert bound.arguments["job"] == widget.job()


def test_a_stack_that_is_no_file_has_no_command(model, stack, open_widget, tmp_path, qtbot):
    path = tmp_path / "frames.tif"
    tifffile.imwrite(path, stack)
    model.add_image(stack + 1, name="changed", metadata={"microsr": {"file": str(path)}})
    widget = open_widget(model)
    qtbot.mouseClick(widget.copy_button, LEFT)
    assert "not the unchanged content of a file" in widget.message.text()


def test_a_single_frame_is_localised(model, stack, open_widget, click_run, qtbot):
    layer = model.add_image(stack[0].astype(">u2"), name="frame", scale=(2, 2), translate=(5, 7))
    widget = open_widget(model)
    qtbot.mouseClick(widget.attempt.button, LEFT)
    qtbot.waitUntil(lambda: "detections" in model.layers, timeout=20_000)
    points = model.layers["detections"]
    assert points.data.shape == (len(SPOTS), 2)
    np.testing.assert_allclose(points.data_to_world((3, 4)), layer.data_to_world((3, 4)))
    assert f"Done: {len(SPOTS)} localisations" in click_run(widget)
    assert "detections" not in model.layers, "the run ends the try"


def test_settings_are_kept_and_reset(model, stack, open_widget, click_run, qtbot):
    model.add_image(stack, name="cells")
    widget = open_widget(model)
    widget.form.put({"offset": 0.0, "gain": 0.5, "last_frame": 3})
    click_run(widget)
    again = LocaliseWidget(model)
    qtbot.addWidget(again)
    shown = again.form.get()
    assert (shown["offset"], shown["gain"], shown["last_frame"]) == (0, 0.5, None)
    assert again.models.get() == "gaussian-mle"
    qtbot.mouseClick(again.reset_button, LEFT)
    assert again.form.get()["offset"] is None


def test_a_model_that_draws_gives_an_image_over_the_stack(
    model, stack, open_widget, click_run, drawer, tmp_path, qtbot
):
    layer = model.add_image(stack, name="cells", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    widget = open_widget(model, output="")
    widget.models.put(drawer)
    assert widget.output.get().name == "cells-drawer.ome.zarr"
    message = click_run(widget)
    assert "Done: the image is in" in message
    (image,) = [it for it in model.layers if it.name == "cells drawn"]
    path = tmp_path / "cells-drawer.ome.zarr"
    job = LocalizeJob(source="a", output=tmp_path / "b.ome.zarr", pixel_nm=100, model=drawer, device="cpu")
    wanted = draw_image(job, source=ImageSource.from_array(stack, axes="tyx"))
    np.testing.assert_array_equal(open_image(path).array[:], open_image(wanted).array[:])
    np.testing.assert_allclose(np.asarray(image.data), open_image(wanted).array[:])
    corner = image.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(corner, np.asarray(layer.data_to_world((0, -0.5, -0.5)))[-2:])
    far = image.data_to_world((8 * SHAPE[0] - 0.5, 8 * SHAPE[1] - 0.5))
    np.testing.assert_allclose(far, np.asarray(layer.data_to_world((0, SHAPE[0] - 0.5, SHAPE[1] - 0.5)))[-2:])
    assert widget.layer is layer, "what was drawn is no stack to localise"
    widget.models.put("gaussian-mle")
    assert widget.output.get().name == "cells-gaussian-mle.csv"
