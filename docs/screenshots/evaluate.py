"""Make the pictures of the page on comparing with the truth; `make.py` does it with its own.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/evaluate.py [FOLDER]

Halves a part of the shipped slide, magnifies it back with histology-x2, and compares that with the slide in
napari. Writes to FOLDER (docs/images) evaluate-figures.jpg, evaluate-profile.jpg and evaluate-zoom.jpg.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

TABS = {"figures": 1, "curves": 2, "profile": 3, "zoom": 4}
ROWS, COLS = slice(1300, 1812), slice(700, 1212)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch))


def show(folder, scratch):
    import napari

    from napari_microsr.widgets.samples import slide

    (data, arguments, _), *_ = slide()
    truth = np.ascontiguousarray(data[ROWS, COLS])
    um = arguments["scale"][0]
    place = {"rgb": True, "units": ("um", "um")}
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    size = tuple(side // 2 for side in truth.shape[1::-1])
    low = np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.BICUBIC))
    viewer.add_image(low, name="input", scale=(2 * um, 2 * um), translate=(um / 2, um / 2), **place)
    viewer.add_image(magnified(low, scratch), name="histology-x2", scale=(um, um), **place)
    viewer.add_image(truth, name="truth", scale=(um, um), **place)
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Evaluate")
    application = napari.qt.get_qapp()
    widget.setMinimumWidth(450)
    widget.choice.input_box.setCurrentText("input")
    widget.run()
    while widget.task is not None:
        wait(application, 0.05)
    assert "Done" in widget.message.text(), widget.message.text()
    widget.say("")
    viewer.reset_view()
    picture(application, viewer, folder / "evaluate-figures.jpg")

    getattr(viewer, "scene", viewer).camera.zoom *= 3
    widget.tabs.setCurrentIndex(TABS["profile"])
    centre = np.array([truth.shape[0], truth.shape[1]]) * um / 2
    line = centre + np.array([[4.0, -14.0], [6.0, 2.0]])
    viewer.add_shapes(
        [line],
        shape_type="line",
        edge_color="#ffd54a",
        edge_width=0.5,
        name="profile line",
        units=("um", "um"),
    )
    picture(application, viewer, folder / "evaluate-profile.jpg")

    viewer.layers["profile line"].visible = False
    widget.tabs.setCurrentIndex(TABS["zoom"])
    widget.zoom.show_spot(tuple(centre + np.array([4.0, -8.0])))
    picture(application, viewer, folder / "evaluate-zoom.jpg")
    viewer.close()


def magnified(low, scratch):
    """Run the network without its panel."""
    import zarr

    from napari_microsr import ImageSource, UpscaleJob, upscale

    job = UpscaleJob(source="input", output=scratch / "result", model="histology-x2", precision="float32")
    (path,) = upscale(job, source=ImageSource.from_array(low, name="input"))
    pixels = np.asarray(zarr.open_array(path / "0", mode="r"))
    return np.ascontiguousarray(pixels if pixels.shape[-1] == 3 else np.moveaxis(pixels, 0, -1))


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
