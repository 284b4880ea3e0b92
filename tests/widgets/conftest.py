"""A viewer model without a window, and the widget on it."""

import pytest

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Settings of the tests stay out of the user's."""
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model():
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def open_widget(qtbot, tmp_path):
    """Open the widget on a viewer, with bicubic and an output folder typed in."""
    from napari_microsr.widgets.upscale import UpscaleWidget

    def open_(viewer, network="bicubic", name="result"):
        widget = UpscaleWidget(viewer)
        qtbot.addWidget(widget)
        widget.show()
        widget.models.put(network)
        for edit, text in ((widget.output.folder, str(tmp_path)), (widget.output.name, name)):
            edit.clear()
            qtbot.keyClicks(edit, text)
        return widget

    return open_


@pytest.fixture
def click_run(qtbot):
    """Click Run and wait for the end."""
    from qtpy.QtCore import Qt

    def click(widget, timeout=20_000):
        qtbot.mouseClick(widget.button, Qt.MouseButton.LeftButton)
        if widget.task is not None:
            with qtbot.waitSignal(widget.task.ended, timeout=timeout):
                pass
        return widget.message.text()

    return click


@pytest.fixture(scope="session")
def slide():
    """An overview of 2 µm per pixel, fields cut from it with their true places, and a blank one."""
    import numpy as np
    from scipy.ndimage import gaussian_filter, map_coordinates

    from napari_microsr.registration.geometry import apply, similarity

    rng = np.random.default_rng(7)
    noise = sum(gaussian_filter(rng.normal(size=(240, 300)), sigma) * sigma for sigma in (1, 2))
    noise = (noise - noise.min()) / np.ptp(noise)
    overview = np.stack([255 - 120 * noise, 250 - 200 * noise, 255 - 90 * noise], -1).astype(np.uint8)
    rows, columns = 200, 260
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).astype(float)

    def field(matrix):
        at = np.moveaxis(apply(matrix, grid), -1, 0)
        planes = [
            map_coordinates(overview[..., c].astype(float), at, order=3, mode="reflect") for c in range(3)
        ]
        return np.stack(planes, -1).clip(0, 255).astype(np.uint8)

    places = {
        "low": (0.5, 20.0, (100, 120)),
        "turned": (0.25, -35.0, (150, 200)),
        "top": (0.25, 5.0, (80, 180)),
    }
    truth = {
        name: similarity(scale, angle, centre=((rows - 1) / 2, (columns - 1) / 2), onto=onto)
        for name, (scale, angle, onto) in places.items()
    }
    fields = {name: field(matrix) for name, matrix in truth.items()}
    fields["blank"] = np.full((rows, columns, 3), 240, np.uint8)
    um = {name: 2 * scale for name, (scale, _, _) in places.items()} | {"blank": 0.5}
    return {"overview": overview, "fields": fields, "truth": truth, "um": um}


@pytest.fixture
def open_register(qtbot, tmp_path, slide):
    """Show the slide in a viewer, and open the widget Register on it."""
    from napari_microsr.widgets.register import RegisterWidget

    def open_(viewer, fields=("low", "turned", "top", "blank"), sized=True, **overview):
        um = {"units": ("um", "um")}
        place = {"name": "slide", "scale": (2, 2), **um, **overview}
        viewer.add_image(slide["overview"], rgb=True, **place)
        for name in fields:
            size = {"scale": (slide["um"][name],) * 2, **um} if sized else {}
            viewer.add_image(slide["fields"][name], rgb=True, name=name, **size)
        widget = RegisterWidget(viewer)
        qtbot.addWidget(widget)
        widget.show()
        widget.output.choose_folder(str(tmp_path))
        return widget

    return open_
