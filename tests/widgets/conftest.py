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
