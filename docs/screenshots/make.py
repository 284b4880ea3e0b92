"""Make the pictures of the documentation from the real plugin.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/make.py [FOLDER]

Opens the shipped slide in napari, runs the widget on a part of it, and writes to FOLDER (docs/images)
super-resolve.png, the window during a run, and before-after.png, a detail of slide, bicubic and network.
Then it makes the pictures of register.py, localise.py, evaluate.py, train.py, train_localiser.py and
batch.py.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import evaluate
import localise
import numpy as np
import register
import train
import train_localiser
from PIL import Image, ImageDraw, ImageFont

import batch

MODEL = "histology-x2"
# Epidermis with nuclei, keratin and dermis.
ROWS, COLS = slice(1300, 2324), slice(700, 1724)
DETAIL = (slice(600, 712), slice(216, 328))
ENLARGEMENT = 6
CAPTION_PX = 30


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        stores = Path(scratch) / "skin"
        stores.mkdir()
        show(folder, stores)
        register.show(folder, Path(scratch))
        localise.show(folder, Path(scratch))
        evaluate.show(folder, Path(scratch))
        train.show(folder, Path(scratch))
        train_localiser.show(folder)
        batch.show(folder, Path(scratch))


def show(folder, stores):
    import napari

    from napari_microsr.widgets.samples import slide

    (data, arguments, _), *_ = slide()
    part = np.ascontiguousarray(data[ROWS, COLS])
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.add_image(part, **arguments)
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
    application = napari.qt.get_qapp()
    run(application, viewer, widget, stores, "bicubic")
    bicubic = finest(viewer.layers.pop())
    scene = getattr(viewer, "scene", viewer)
    scene.camera.zoom *= 1.9
    overlays = getattr(viewer, "canvas", None)
    bar = overlays.overlays.scale_bar if overlays is not None else viewer.scale_bar
    bar.visible = True
    run(application, viewer, widget, stores, MODEL, shot=folder / "super-resolve.png")
    columns = {"slide, 20x": part, "bicubic x2": bicubic, MODEL: finest(viewer.layers[-1])}
    before_after(columns).save(folder / "before-after.png", optimize=True)
    viewer.close()


def run(application, viewer, widget, stores, model, shot=None):
    """Run the widget as a user would; take a picture when two thirds are done."""
    widget.models.put(model)
    widget.output.choose_folder(str(stores))
    widget.output.name.setText(f"skin-{model}")
    widget.advanced.editors["tile_px"].put(128)
    widget.run()
    while widget.task is not None:
        application.processEvents()
        time.sleep(0.005)
        if shot and widget.bar.maximum() > 3 and widget.bar.value() >= widget.bar.maximum() * 2 // 3:
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                application.processEvents()
            viewer.screenshot(shot, canvas_only=False, flash=False)
            shot = None
    assert "Done" in widget.message.text(), widget.message.text()


def finest(layer):
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def before_after(columns):
    """Put the same detail of images of one and of two times the pixels side by side."""
    height = (DETAIL[0].stop - DETAIL[0].start) * ENLARGEMENT // 2
    width = (DETAIL[1].stop - DETAIL[1].start) * ENLARGEMENT // 2
    picture = Image.new("RGB", (len(columns) * (width + 8) - 8, height + CAPTION_PX), "white")
    draw = ImageDraw.Draw(picture)
    coarse = min(len(image) for image in columns.values())
    for number, (caption, image) in enumerate(columns.items()):
        factor = len(image) // coarse
        y, x = (slice(part.start * factor, part.stop * factor) for part in DETAIL)
        detail = Image.fromarray(np.ascontiguousarray(image[y, x]))
        left = number * (width + 8)
        picture.paste(detail.resize((width, height), Image.Resampling.NEAREST), (left, CAPTION_PX))
        draw.text((left + 4, 4), caption, fill="black", font=ImageFont.load_default(18))
    return picture


if __name__ == "__main__":
    main()
