"""Make the pictures of the pages on registration from the real plugin; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/register.py [FOLDER]

Registers the sample slide in napari and writes to FOLDER (docs/images) register.jpg, the placed fields,
checkerboard.jpg, one field against the overview, and correct.jpg, a field that is being moved.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FIELD = "40x 8"


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch))


def show(folder, scratch):
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    application = napari.qt.get_qapp()
    viewer.open_sample("napari-microsr", "slide-with-fields")
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Register")
    widget.output.choose_folder(str(scratch))
    widget.run()
    wait_for(application, widget)
    assert "8 placed" in widget.message.text(), widget.message.text()
    picture(application, viewer, folder / "register.jpg")

    widget.table.choose(FIELD)
    widget.tabs.setCurrentWidget(widget.compare)
    widget.compare.buttons["checkerboard"].click()
    picture(application, viewer, folder / "checkerboard.jpg")

    widget.compare.buttons["none"].click()
    widget.tabs.setCurrentWidget(widget.correct)
    widget.correct.move.click()
    layer = viewer.layers[FIELD]
    layer.affine = np.array([[1, 0, 9], [0, 1, -14], [0, 0, 1]]) @ layer.affine.affine_matrix
    zoom_out(viewer)
    picture(application, viewer, folder / "correct.jpg")
    widget.correct.refine.click()
    wait_for(application, widget)
    assert f"{FIELD}: placed" in widget.message.text(), widget.message.text()
    viewer.close()


def zoom_out(viewer):
    getattr(viewer, "scene", viewer).camera.zoom *= 0.75


def wait_for(application, widget):
    while widget.task is not None:
        application.processEvents()
        time.sleep(0.005)


def picture(application, viewer, path):
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        application.processEvents()
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(pixels[..., :3]).save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main()
