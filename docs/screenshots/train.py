"""Make the pictures of the tutorial on training from the real plugin; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/train.py [FOLDER]

Registers the sample's fields, exports pairs, trains on them in napari, and writes to FOLDER (docs/images)
train-start.jpg, the panel before the run, and train.jpg, curves and pictures after its last epoch.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

STEPS = 1200


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch))


def show(folder, scratch):
    import napari

    overview, pairs = export(scratch)
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.add_image(
        overview.image, rgb=True, scale=(overview.um,) * 2, units=("um",) * 2, name="overview 4x"
    )
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Train")
    application = napari.qt.get_qapp()
    widget.setMinimumWidth(360)
    widget.images.put(str(pairs))
    widget.form.put({"hold_out": "40x 8", "steps": STEPS})
    widget.images_form.put({"exclude": "10x 2"})
    widget.advanced.put({"patch_px": 32})
    widget.arguments.setText("features: 32, blocks: 4")
    widget.output.choose_name("my-slide-x2")
    picture(application, viewer, folder / "train-start.jpg")
    widget.run()
    while widget.task is not None:
        wait(application, 0.05)
    assert "Done" in widget.message.text(), widget.message.text()
    print(widget.watch.text.text())
    widget.say("")
    widget.pictures.look()
    picture(application, viewer, folder / "train.jpg")
    viewer.close()


def export(scratch):
    """Register the sample and export its pairs; return the overview and the folder of pairs."""
    from napari_microsr.core.progress import SilentProgress
    from napari_microsr.registration.job import RegisterJob
    from napari_microsr.registration.pairs import PairsJob
    from napari_microsr.registration.sample import sample, write_sample
    from napari_microsr.tasks import perform

    overview, fields = write_sample(scratch / "slide")
    placements, pairs = scratch / "placements.json", scratch / "pairs"
    perform(
        RegisterJob.parse({"overviews": [str(overview)], "fields": [str(fields)], "output": placements}),
        SilentProgress(),
    )
    perform(PairsJob.parse({"placements": str(placements), "output": pairs, "factor": 2}), SilentProgress())
    return sample()[0], pairs


def picture(application, viewer, path):
    """Take the window as it is when all is drawn."""
    wait(application, 2)
    shot = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(shot[..., :3]).save(path, quality=88)


def wait(application, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
