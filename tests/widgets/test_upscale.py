"""The widget Super-resolve, driven by mouse and keyboard on a viewer without a window."""

import shlex
import threading

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
import zarr
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPushButton, QSpinBox

from napari_microsr.cli import execute
from napari_microsr.core.image import ImageSource
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.process import NetworkProcess
from napari_microsr.widgets.upscale import UpscaleWidget

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
ADVANCED = {
    "device": "auto",
    "precision": "auto",
    "tile_px": None,
    "overlap_px": None,
    "self_ensemble": False,
    "compare_with": None,
    "blur_px": None,
    "noise": None,
}


def headless(array, folder, model="bicubic", **source):
    """The same image through the library alone."""
    job = UpscaleJob(source="array", output=folder / "headless", model=model)
    (path,) = upscale(job, source=ImageSource.from_array(array, **source))
    return np.asarray(zarr.open_array(path / "0", mode="r"))


def edges(layer, ndim=2):
    size = layer.level_shapes[0][:ndim] if layer.multiscale else layer.data.shape[:ndim]
    return [layer.data_to_world(np.full(ndim, -0.5)), layer.data_to_world(np.array(size) - 0.5)]


def finest(layer):
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


@pytest.fixture
def tick(qtbot):
    """Click on the square of a check box; its middle may lie beyond its text."""

    def click(box):
        qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))

    return click


@pytest.fixture
def gate(monkeypatch):
    """Hold the network before each tile until the test lets it go on."""
    turn = threading.Semaphore(0)
    original = NetworkProcess.__call__

    def held(self, windows, channel):
        assert turn.acquire(timeout=20)
        return original(self, windows, channel)

    monkeypatch.setattr(NetworkProcess, "__call__", held)
    return turn


def test_run_adds_a_layer_with_the_headless_values_in_the_right_place(
    model, open_widget, click_run, tmp_path, rng
):
    array = rng.integers(0, 60_000, (70, 50), np.uint16)
    layer = model.add_image(
        array,
        name="cells",
        scale=(0.5, 0.25),
        rotate=20,
        translate=(3, 4),
        units=("um", "um"),
        colormap="green",
    )
    message = click_run(open_widget(model))
    assert "Done" in message
    assert "result.ome.zarr" in message
    result = model.layers[-1]
    assert result.name == "cells bicubic"
    np.testing.assert_array_equal(finest(result), headless(array, tmp_path))
    np.testing.assert_allclose(edges(result), edges(layer), atol=1e-9)
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels
    assert result.colormap == layer.colormap
    assert result.contrast_limits == layer.contrast_limits
    kept = result.metadata["microsr"]
    assert kept["model"]["id"] == "bicubic"
    assert kept["store"] == str(tmp_path / "result.ome.zarr")
    attributes = dict(zarr.open_group(tmp_path / "result.ome.zarr", mode="r").attrs)
    assert attributes["microsr"]["provenance"]["model"] == {**kept["model"]}


def test_pyramid_rgb_input_gives_an_rgb_pyramid(model, open_widget, click_run, tmp_path, rng):
    array = rng.integers(0, 255, (300, 280, 3), np.uint8)
    model.add_image([array, array[::2, ::2]], multiscale=True, rgb=True)
    click_run(open_widget(model))
    result = model.layers[-1]
    assert result.rgb
    assert result.multiscale
    np.testing.assert_array_equal(finest(result), headless(array, tmp_path, rgb=True).transpose(1, 2, 0))


@pytest.mark.parametrize("labels", [("t", "z", "y", "x"), ("z", "t", "y", "x")])
def test_stack_with_named_axes(labels, model, open_widget, click_run, tmp_path, rng):
    array = rng.random((2, 3, 20, 30), np.float32)
    model.add_image(array, axis_labels=labels, scale=(5, 2, 1, 1))
    click_run(open_widget(model))
    result = model.layers[-1]
    assert result.axis_labels == labels
    assert result.data.shape == (2, 3, 40, 60)
    expected = np.stack(
        [[headless(p, tmp_path / f"{i}{j}") for j, p in enumerate(ps)] for i, ps in enumerate(array)]
    )
    np.testing.assert_array_equal(finest(result), expected)


def test_residual_is_a_second_layer_under_the_result(model, open_widget, click_run, tick, tmp_path, rng):
    array = rng.integers(100, 150, (40, 48, 3), np.uint8)
    layer = model.add_image(array, rgb=True, scale=(2, 2))
    widget = open_widget(model, network="residual-unet-histology")
    tick(widget.form.editors["residual"])
    assert "Done" in click_run(widget)
    _, residual, result = model.layers
    stored = np.asarray(zarr.open_array(tmp_path / "result.residual.ome.zarr" / "0", mode="r"))
    np.testing.assert_allclose(finest(residual), stored.mean(0), atol=1e-4)
    np.testing.assert_array_equal(
        finest(result).transpose(2, 0, 1).astype(int) - array.transpose(2, 0, 1), stored
    )
    np.testing.assert_allclose(edges(residual), edges(layer))
    assert not residual.visible


def test_the_input_shows_through_what_is_not_filled_yet(gate, model, open_widget, qtbot, rng):
    model.add_image(rng.integers(1, 255, (64, 64, 3), np.uint8), rgb=True)
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(32)
    qtbot.mouseClick(widget.button, LEFT)
    gate.release()
    qtbot.waitUntil(lambda: len(model.layers) == 2 and widget.bar.value() == 1, timeout=20_000)
    result = model.layers[1]
    qtbot.waitUntil(lambda: finest(result)[10, 10].any(), timeout=5000)
    assert finest(result).shape == (128, 128, 4)
    assert (finest(result)[:64, :64, 3] == 255).mean() > 0.99
    assert (finest(result)[64:, 64:, 3] == 0).all()
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        gate.release(3)
    assert result.rgb
    assert finest(result).shape == (128, 128, 3)


def test_the_layer_fills_while_the_run_goes_on(gate, model, open_widget, qtbot, rng):
    array = rng.integers(1, 255, (64, 64), np.uint8)
    model.add_image(array)
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(32)
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(model.layers) == 2, timeout=20_000)
    result = model.layers[1]
    assert not finest(result).any()
    gate.release()
    qtbot.waitUntil(lambda: finest(result)[:64, :64].any(), timeout=20_000)
    assert not finest(result)[64:, 64:].any()
    assert widget.button.text() == "&Cancel"
    assert widget.bar.isVisible()
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        gate.release(3)
    assert finest(result)[64:, 64:].any()
    assert widget.button.text() == "&Run"
    assert not widget.bar.isVisible()


def test_cancel_keeps_what_is_done_and_run_continues_it(
    gate, model, open_widget, qtbot, click_run, tmp_path, rng
):
    array = rng.integers(1, 255, (64, 64), np.uint8)
    model.add_image(array)
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(32)
    qtbot.mouseClick(widget.button, LEFT)
    gate.release()
    qtbot.waitUntil(lambda: widget.bar.value() == 1, timeout=20_000)
    qtbot.mouseClick(widget.button, LEFT)
    assert widget.button.text() == "Cancelling…"
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        gate.release()  # the tile in hand, and no other
    assert widget.button.text() == "&Run"
    assert widget.button.isEnabled()
    assert "kept" in widget.message.text()
    assert (tmp_path / "result.ome.zarr.partial").is_dir()
    assert not (tmp_path / "result.ome.zarr").exists()
    assert "continued" in widget.output.note.text()
    partial = finest(model.layers[1])
    assert partial[:64, :64].any()
    assert not partial[64:, 64:].any()

    gate.release(2)  # only what was missing
    assert "Done" in click_run(widget)
    assert len(model.layers) == 2, "the unfinished layer is replaced"
    np.testing.assert_array_equal(finest(model.layers[1]), _released(gate, array, tmp_path))


def _released(gate, array, folder):
    gate.release(100)
    return headless(array, folder)


def test_wrong_channels_are_told_before_the_run_and_by_it(model, open_widget, click_run):
    model.add_image(np.zeros((20, 20), np.uint8), name="grey")
    widget = open_widget(model, network="histology-x2")
    assert "works on RGB" in widget.warning.text()
    message = click_run(widget)
    assert "works on RGB" in message
    assert "Choose a model for single channels" in message
    assert widget.button.text() == "&Run"
    assert len(model.layers) == 1


def test_pixel_size_and_type_outside_the_card_are_told(model, open_widget):
    model.add_image(np.zeros((20, 20, 3), np.float32), rgb=True, scale=(40, 40), units=("um", "um"))
    widget = open_widget(model, network="histology-x2")
    assert "40 µm" in widget.warning.text()
    assert "float32" in widget.warning.text()
    widget.models.put("bicubic")
    assert widget.warning.text() == ""


def test_an_unexpected_error_restores_the_button_and_goes_to_napari(
    monkeypatch, model, open_widget, click_run
):
    from napari.utils.notifications import notification_manager

    def broken(self, windows, channel):
        raise RuntimeError("size mismatch")

    seen = []
    monkeypatch.setattr(NetworkProcess, "__call__", broken)
    monkeypatch.setattr(type(notification_manager), "receive_error", lambda self, *error: seen.append(error))
    model.add_image(np.zeros((20, 20), np.uint8))
    widget = open_widget(model)
    message = click_run(widget)
    assert "RuntimeError: size mismatch" in message
    assert [kind for kind, *_ in seen] == [RuntimeError]
    assert widget.button.text() == "&Run"
    assert widget.button.isEnabled()


def test_no_layer_is_a_sentence(model, open_widget, click_run):
    assert "no image layer" in click_run(open_widget(model))


def test_an_existing_result_is_not_replaced_unless_asked_for(model, open_widget, click_run, tick, tmp_path):
    model.add_image(np.zeros((20, 20), np.uint8))
    widget = open_widget(model)
    click_run(widget)
    assert widget.output.replace.isVisible()
    assert "exists" in widget.output.note.text()
    assert "exists already" in click_run(widget)
    model.layers[0].data = np.full((20, 20), 9, np.uint8)
    tick(widget.output.replace)
    assert widget.output.replace.get()
    assert "Done" in click_run(widget)
    assert len(model.layers) == 2
    assert (finest(model.layers[1]) == 9).all()
    assert np.asarray(zarr.open_array(tmp_path / "result.ome.zarr" / "0")).max() == 9


def test_a_layer_removed_during_the_run_does_not_stop_it(gate, model, open_widget, qtbot, tmp_path, rng):
    array = rng.integers(1, 255, (64, 64), np.uint8)
    model.add_image(array)
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(32)
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(model.layers) == 2, timeout=20_000)
    model.layers.clear()
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        gate.release(4)
    assert "Done" in widget.message.text()
    assert widget.layer is None
    gate.release(100)
    np.testing.assert_array_equal(
        np.asarray(zarr.open_array(tmp_path / "result.ome.zarr" / "0")), headless(array, tmp_path)
    )


def test_settings_are_kept_and_reset(model, open_widget, click_run, home):
    model.add_image(np.zeros((20, 20), np.uint8))
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(64)
    widget.advanced.editors["precision"].put("float32")
    widget.visible_first.put(False)
    click_run(widget)
    assert (home / "upscale.json").is_file()
    again = UpscaleWidget(model)
    assert again.models.get() == "bicubic"
    assert again.advanced.get() == {**ADVANCED, "precision": "float32", "tile_px": 64}
    assert not again.visible_first.get()
    assert again.output.name.text() != "result", "the output is not kept"
    again.reset_button.click()
    assert again.models.get() == UpscaleJob.model_fields["model"].default
    assert again.advanced.get() == ADVANCED
    assert again.visible_first.get()
    third = UpscaleWidget(model)
    assert third.advanced.get()["tile_px"] is None
    for widget in (again, third):
        widget.deleteLater()


@pytest.mark.parametrize("content", ["not json", "[1]", '{"tile_px": "x", "model": 3, "nonsense": 1}'])
def test_damaged_settings_are_the_defaults(content, home, model, qtbot):
    home.mkdir()
    (home / "upscale.json").write_text(content)
    widget = UpscaleWidget(model)
    qtbot.addWidget(widget)
    assert widget.advanced.get() == ADVANCED


def test_the_copied_command_gives_the_same_store(model, open_widget, click_run, qtbot, tmp_path, rng):
    array = rng.integers(0, 255, (60, 50), np.uint8)
    path = tmp_path / "it's a file.tif"
    tifffile.imwrite(path, array)
    layer = Image(array, metadata={"microsr": {"file": str(path)}})
    model.add_layer(layer)
    widget = open_widget(model, name="by widget")
    widget.advanced.editors["tile_px"].put(32)
    qtbot.mouseClick(widget.copy_button, LEFT)
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[:4] == ["microsr", "upscale", str(path), str(tmp_path / "by widget.ome.zarr")]
    assert "Done" in click_run(widget)
    assert execute([*words[1:3], str(tmp_path / "by command.ome.zarr"), *words[4:]]) == 0
    files = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "by widget.ome.zarr", tmp_path / "by command.ome.zarr")
    ]
    assert files[0].keys() == files[1].keys()
    pixels = [{name: data for name, data in tree.items() if name.name != "zarr.json"} for tree in files]
    assert pixels[0]
    assert pixels[0] == pixels[1]


def test_a_layer_that_is_no_file_has_no_command(model, open_widget, qtbot):
    model.add_image(np.zeros((20, 20), np.uint8), name="mine")
    widget = open_widget(model)
    qtbot.mouseClick(widget.copy_button, LEFT)
    assert "mine is not the unchanged content of a file" in widget.message.text()


def test_layers_come_and_go_in_the_list(model, open_widget):
    widget = open_widget(model)
    assert widget.layer_box.count() == 0
    first = model.add_image(np.zeros((4, 4)))
    model.add_labels(np.zeros((4, 4), int))
    second = model.add_image(np.zeros((4, 4)))
    assert [widget.layer_box.itemData(i) for i in range(2)] == [first, second]
    assert widget.layer is first, "a new layer does not change the choice"
    model.layers.remove(first)
    assert widget.layer is second


def test_the_default_output_lies_beside_the_file_and_is_free(model, qtbot, tmp_path, rng):
    model.add_image(np.zeros((4, 4, 3), np.uint8), name="a/b")
    layer = model.layers[0]
    layer._source = type(layer.source)(path=str(tmp_path / "a.tif"))
    (tmp_path / "a-b-histology-x2.ome.zarr").mkdir()
    widget = UpscaleWidget(model)
    qtbot.addWidget(widget)
    assert widget.output.get() == tmp_path / "a-b-histology-x2-2.ome.zarr"


def test_it_fits_a_small_screen(model, open_widget):
    hint = open_widget(model).minimumSizeHint()
    assert hint.height() < 600
    assert hint.width() < 350


def test_everything_is_reached_by_tab_and_has_a_tooltip(model, open_widget, qtbot):
    model.add_image(np.zeros((4, 4), np.uint8))
    widget = open_widget(model)
    widget.collapsible.expand(animate=False)
    kinds = (QComboBox, QLineEdit, QCheckBox, QSpinBox, QPushButton)
    wanted = {
        w
        for kind in kinds
        for w in widget.findChildren(kind)
        if w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.focusProxy() is None
    }
    assert len(wanted) > 10
    reached, here = [], widget
    for _ in range(200):
        here = here.nextInFocusChain()
        reached.append(here)
    assert wanted <= set(reached)
    top, bottom = widget.layer_box, widget.button
    assert reached.index(top) < reached.index(widget.output.folder) < reached.index(bottom)
    without = [w.objectName() or w for w in wanted if not (w.toolTip() or w.parentWidget().toolTip())]
    assert without == []


def test_shortcuts_are_unique(model, open_widget):
    from qtpy.QtWidgets import QLabel

    widget = open_widget(model)
    texts = [w.text() for kind in (QLabel, QCheckBox, QPushButton) for w in widget.findChildren(kind)]
    marks = [text[text.index("&") + 1].lower() for text in texts if "&" in text and "<" not in text]
    assert len(marks) == len(set(marks)) > 8


def test_the_keyboard_runs_it(model, open_widget, qtbot):
    model.add_image(np.zeros((20, 20), np.uint8))
    widget = open_widget(model)
    widget.button.setFocus()
    qtbot.keyClick(widget.button, Qt.Key.Key_Space)
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        pass
    assert "Done" in widget.message.text()


def test_a_deleted_widget_stops_its_run(gate, model, open_widget, qtbot, tmp_path):
    from qtpy import sip

    model.add_image(np.ones((64, 64), np.uint8))
    widget = UpscaleWidget(model)
    widget.models.put("bicubic")
    widget.output.choose_folder(str(tmp_path))
    widget.output.name.setText("result")
    widget.advanced.editors["tile_px"].put(32)
    widget.run()
    task = widget.task
    qtbot.waitUntil(lambda: len(model.layers) == 2, timeout=20_000)
    with qtbot.waitSignal(task.ended, timeout=20_000):
        widget.deleteLater()
        qtbot.waitUntil(lambda: sip.isdeleted(widget), timeout=5000)
        gate.release()
    assert task.cancelled
    assert (tmp_path / "result.ome.zarr.partial").is_dir()
