"""What a form is set to, saved as a file, does the same without napari: to the byte."""

from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("napari")

import tifffile
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_microsr.cli import DONE, execute

pytestmark = pytest.mark.gui


@pytest.fixture
def click_save(qtbot, tmp_path, monkeypatch):
    """Click on Save job, answer the dialog and return the file."""

    def click(widget):
        file = tmp_path / "saved.yaml"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file.with_suffix("")), ""))
        qtbot.mouseClick(widget.save_button, Qt.MouseButton.LeftButton)
        return file

    return click


def files_of(path):
    paths = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {p.relative_to(path): p.read_bytes() for p in paths}


def replayed(saved):
    """Move the widget's result away, run the saved job and return both, byte by byte."""
    output = Path(yaml.safe_load(saved.read_text())["output"])
    first = output.rename(output.with_name(f"by widget {output.name}"))
    assert execute(["run", str(saved)]) == DONE
    return files_of(first), files_of(output)


def test_super_resolve(model, open_widget, click_run, click_save, tmp_path, rng):
    pixels = rng.integers(0, 4000, (61, 50), np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    path = str(tmp_path / "cells.tif")
    model.add_layer(
        Image(pixels, name="mine", scale=(0.5, 0.5), units=("um", "um"), metadata={"microsr": {"file": path}})
    )
    widget = open_widget(model)
    widget.advanced.editors["tile_px"].put(32)
    saved = click_save(widget)
    assert "Done" in click_run(widget)
    by_widget, by_file = replayed(saved)
    assert by_widget == by_file


def test_localise(model, click_run, click_save, qtbot, tmp_path, rng):
    from napari_microsr.widgets.localise import LocaliseWidget

    y, x = np.mgrid[:24, :24]
    spot = 900 * np.exp(-((y - 11.3) ** 2 + (x - 9.8) ** 2) / 2 / 1.3**2)
    stack = rng.poisson(spot + 20, (6, 24, 24)).astype(np.uint16)
    path = tmp_path / "frames.tif"
    tifffile.imwrite(path, stack)
    model.add_image(stack, name="frames", metadata={"microsr": {"file": str(path)}})
    widget = LocaliseWidget(model)
    qtbot.addWidget(widget)
    widget.models.put("gaussian-mle")
    widget.form.put({"pixel_nm": 100.0, "offset": 0.0, "psf_sigma_px": 1.3})
    widget.output.folder.setText(str(tmp_path))
    saved = click_save(widget)
    assert saved.exists(), widget.message.text()
    assert "localisations" in click_run(widget)
    by_widget, by_file = replayed(saved)
    assert by_widget == by_file


def test_register(model, click_run, click_save, qtbot, slide, tmp_path):
    from napari_microsr.widgets.register import RegisterWidget

    for name, pixels, um in (("over", slide["overview"], 2.0), ("turned", slide["fields"]["turned"], 0.5)):
        path = tmp_path / f"{name}.tif"
        size = (1e4 / um, 1e4 / um)
        tifffile.imwrite(path, pixels, photometric="rgb", resolution=size, resolutionunit=3)
        layer = model.add_image(pixels, rgb=True, scale=(um, um), units=("um", "um"), name=name)
        layer.metadata["microsr"] = {"file": str(path)}
    widget = RegisterWidget(model)
    qtbot.addWidget(widget)
    widget.output.folder.setText(str(tmp_path))
    widget.output.name.setText("mine")
    widget.advanced.editors["joint"].put(False)
    saved = click_save(widget)
    assert saved.exists(), widget.message.text()
    click_run(widget)
    by_widget, by_file = replayed(saved)
    assert by_widget == by_file


def test_a_layer_that_is_no_file_cannot_be_saved(model, open_widget, click_save):
    model.add_image(np.zeros((20, 20), np.uint8), name="mine")
    widget = open_widget(model)
    assert not click_save(widget).exists()
    assert "mine is not the unchanged content of a file" in widget.message.text()
