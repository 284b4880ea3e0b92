"""Make the picture of the panel that trains localisers from the real plugin; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/train_localiser.py [FOLDER]

Trains a network on simulated frames in napari, for a few hundred steps, and writes to FOLDER (docs/images)
train-localiser.jpg, the curves after the last of them.
"""

import os
import sys
import tempfile
from pathlib import Path

from train import picture, wait


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder)


def show(folder):
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.open_sample("napari-microsr", "filaments")
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Train localiser")
    application = napari.qt.get_qapp()
    widget.setMinimumWidth(360)
    widget.form.put({"steps": 400})
    widget.advanced.put({"batch": 4, "check_every": 50})
    widget.output.choose_name("my-microscope")
    widget.run()
    while widget.task is not None:
        wait(application, 0.05)
    assert "Done" in widget.message.text(), widget.message.text()
    print(widget.watch.text.text())
    picture(application, viewer, folder / "train-localiser.jpg")
    viewer.close()


if __name__ == "__main__":
    main()
