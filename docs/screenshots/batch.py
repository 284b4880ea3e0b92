"""Make the picture of the page on many images; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/batch.py [FOLDER]

Cuts the shipped slide into fields of a made-up experiment, one of them torn, enlarges them in a batch, and
writes to FOLDER (docs/images) batch.jpg, the window in mid-run with a result opened.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIDE = 256
FIELDS = [f"{well}_s{field}" for well in ("B2", "B3", "C2") for field in (1, 2, 3)]
TORN, OPENED = "B3_s1", "skin/B/2/2"


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch))


def show(folder, scratch):
    import napari

    write_fields(scratch / "batch" / "skin")
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Batch")
    application = napari.qt.get_qapp()
    widget.setMinimumWidth(460)
    widget.inputs.edit.put([str(scratch / "batch" / "skin")])
    widget.form.put({"pattern": "{well}_s{field}.tif"})
    widget.tasks.forms["upscale"].models.put("histology-x2")
    widget.tasks.forms["upscale"].advanced.put({"tile_px": 64})
    widget.run()
    wait_for(application, lambda: count(widget, "done") >= 5 and count(widget, "running"))
    choose(widget, OPENED)
    widget.open_result()
    widget.say("")
    choose(widget, f"skin/{TORN[0]}/{TORN[1]}/{TORN[-1]}")
    viewer.reset_view()
    picture(application, viewer, folder / "batch.jpg")
    wait_for(application, lambda: widget.task is None)
    viewer.close()


def write_fields(folder):
    from napari_microsr.widgets.samples import slide

    (data, arguments, _), *_ = slide()
    per_cm = 1e4 / arguments["scale"][0]
    folder.mkdir(parents=True)
    for number, name in enumerate(FIELDS):
        y, x = 1300 + SIDE * (number // 3), 700 + SIDE * (number % 3)
        pixels = np.ascontiguousarray(data[y : y + SIDE, x : x + SIDE])
        path, size = folder / f"{name}.tif", (per_cm, per_cm)
        tifffile.imwrite(path, pixels, photometric="rgb", resolution=size, resolutionunit="CENTIMETER")
    torn = folder / f"{TORN}.tif"
    torn.write_bytes(torn.read_bytes()[:8])


def count(widget, state):
    return sum(it.state == state for it in widget.progress.states)


def choose(widget, key):
    keys = [state.key for state in widget.progress.states]
    widget.progress.table.selectRow(keys.index(key))


def wait_for(application, reached):
    while not reached():
        application.processEvents()
        time.sleep(0.005)


def picture(application, viewer, path):
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        application.processEvents()
    shot = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(shot[..., :3]).save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main()
