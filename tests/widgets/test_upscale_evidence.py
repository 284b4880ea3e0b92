"""The evidence of a result in the widget Super-resolve: maps as layers, numbers, warnings and advice."""

import numpy as np
import pytest

pytest.importorskip("napari")

import zarr
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter

from napari_microsr.superres.summary import read_evidence
from napari_microsr.widgets.stored import open_result

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def picture(rng):
    smooth = gaussian_filter(rng.normal(size=(96, 80, 3)), (1, 1, 0))
    return (130 + 30 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def finest(layer):
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def test_maps_are_layers_with_the_numbers_of_the_run(picture, model, open_widget, click_run, tmp_path):
    layer = model.add_image(picture, rgb=True, scale=(0.5, 0.5), units=("um", "um"), name="tissue")
    widget = open_widget(model, network="histology-x2")
    widget.form.editors["consistency"].put(True)
    widget.advanced.editors["compare_with"].put("bicubic")
    message = click_run(widget)
    assert "Reduced again, the result is" in message
    assert "Disagreement with bicubic" in message
    names = [it.name for it in model.layers]
    assert names == [
        "tissue",
        *(f"tissue histology-x2{end}" for end in (" disagreement", " consistency", "")),
    ]
    _, apart, strayed, result = model.layers
    assert not apart.visible
    assert not strayed.visible
    stored = zarr.open_array(tmp_path / "result.consistency.ome.zarr" / "0", mode="r")[:]
    np.testing.assert_allclose(finest(strayed), stored.mean(0), atol=1e-4)
    assert strayed.contrast_limits[0] == -strayed.contrast_limits[1]
    assert apart.contrast_limits[0] == 0
    # The consistency map lies on the input's pixels, the disagreement on the result's.
    np.testing.assert_allclose(strayed.scale, layer.scale)
    np.testing.assert_allclose(strayed.translate, layer.translate)
    np.testing.assert_allclose(apart.scale, result.scale)
    evidence = read_evidence(tmp_path / "result.ome.zarr")
    assert set(evidence) == {"consistency", "disagreement"}
    for shown in (apart, strayed, result):
        assert shown.metadata["microsr"]["evidence"] == evidence
    assert open_result(tmp_path / "result.ome.zarr")["metadata"]["microsr"]["evidence"] == evidence


def test_every_result_has_its_numbers(picture, model, open_widget, click_run, tmp_path):
    model.add_image(picture[..., 0].astype(np.uint16) * 100)
    assert "bicubic magnification" in click_run(open_widget(model))
    assert model.layers[-1].metadata["microsr"]["evidence"] == read_evidence(tmp_path / "result.ome.zarr")
    assert len(model.layers) == 2


def test_a_model_is_suggested_for_what_the_image_looks_like(picture, model, open_widget, qtbot, rng):
    noisy = (picture + rng.normal(0, 20, picture.shape)).clip(0, 255).astype(np.uint8)
    model.add_image(np.tile(noisy, (2, 2, 1)), rgb=True, name="noisy")
    widget = open_widget(model, network="histology-x2")
    assert "noisy" not in widget.warning.text()
    qtbot.mouseClick(widget.suggest_button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        pass
    assert "Estimated: blur" in widget.message.text()
    assert f"Chosen: {widget.models.get()}" in widget.message.text()
    widget.models.put("histology-x2")
    assert "looks" in widget.warning.text()
    assert "noisy" in widget.warning.text()


def test_an_image_that_tells_nothing_keeps_the_model(model, open_widget, qtbot):
    model.add_image(np.zeros((20, 20), np.uint8))
    widget = open_widget(model)
    qtbot.mouseClick(widget.suggest_button, LEFT)
    with qtbot.waitSignal(widget.task.ended, timeout=20_000):
        pass
    assert "too small or too empty" in widget.message.text()
    assert widget.models.get() == "bicubic"


def test_without_a_layer_nothing_is_suggested(model, open_widget, qtbot):
    widget = open_widget(model)
    qtbot.mouseClick(widget.suggest_button, LEFT)
    assert "no image layer" in widget.message.text()
