"""Make the pictures of the pages on localisation from the real plugin; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/localise.py [FOLDER] [MODEL]

Localises the sample stack in napari with MODEL (emitters-2d) and writes to FOLDER (docs/images)
localise-try.jpg, the circled molecules of a frame, localise-run.jpg, the image that grows during the run,
localise-drift.jpg, the drift that was taken out, and localise-resolution.jpg, a detail with its resolution.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

TABS = {"find": 0, "filter": 1, "drift": 2, "render": 3}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch), *sys.argv[2:3])


def show(folder, scratch, model="emitters-2d"):
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    application = napari.qt.get_qapp()
    viewer.open_sample("napari-microsr", "filaments")
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Localise")
    widget.models.put(model)
    widget.output.choose_folder(str(scratch))
    viewer.dims.set_current_step(0, 400)
    camera = getattr(viewer, "scene", viewer).camera
    widget.attempt.button.click()
    until(application, lambda: "molecules" in widget.attempt.text.text())
    camera.zoom *= 1.6
    picture(application, viewer, folder / "localise-try.jpg")

    camera.zoom /= 1.6
    widget.run()
    widget.tabs.setCurrentIndex(TABS["filter"])
    until(application, lambda: len(widget.results.findings) > 8000)
    picture(application, viewer, folder / "localise-run.jpg")
    until(application, lambda: widget.task is None)
    assert "Done" in widget.message.text(), widget.message.text()
    widget.say("")

    widget.tabs.setCurrentIndex(TABS["drift"])
    widget.results.drift.button.click()
    until(application, lambda: widget.task is None)
    picture(application, viewer, folder / "localise-drift.jpg")

    widget.results.filter.columns["uncertainty_nm"].set_limits(0, 15)
    widget.tabs.setCurrentIndex(TABS["render"])
    widget.results.render.renderer.setCurrentText("gaussian")
    widget.results.render.pixel.setValue(5)
    widget.results.render.bar.setChecked(True)
    wait(application, 1)
    widget.results.render.measure_button.click()
    until(application, lambda: widget.task is None)
    assert "nm" in widget.results.render.resolution.text(), widget.message.text()
    print(widget.results.render.resolution.text(), widget.results.drift.text.text(), sep="\n")
    camera.zoom *= 2.5
    picture(application, viewer, folder / "localise-resolution.jpg")
    viewer.close()


def picture(application, viewer, path):
    """Take the window as it is when all is drawn."""
    wait(application, 1.5)
    shot = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(shot[..., :3]).save(path, quality=88)


def until(application, condition):
    while not condition():
        wait(application, 0.05)


def wait(application, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
