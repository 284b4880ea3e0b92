"""What all tests share: where there is Qt and a display, images with a truth, quiet threads."""

import os
import sys

import numpy as np
import pytest

# CI sets this: there a GUI test that cannot run is a failure, not a skip.
GUI_REQUIRED = bool(os.environ.get("MICROSR_REQUIRE_GUI"))


def _gui_fault():
    """Say why widgets cannot be tested here, None where they can."""
    try:
        import napari  # noqa: F401
        from qtpy import QtWidgets  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def _has_display():
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


if not _has_display():
    from shutil import which

    if which("Xvfb") is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

GUI_FAULT = _gui_fault()
if GUI_FAULT is None:
    pytest_plugins = ("pytestqt.plugin",)
elif not GUI_REQUIRED:
    collect_ignore_glob = ["widgets/*"]


def pytest_report_header():
    return f"GUI tests: {'run' if GUI_FAULT is None else f'left out ({GUI_FAULT})'}"


def pytest_runtest_setup(item):
    if item.get_closest_marker("viewer") and not _has_display():
        (pytest.fail if GUI_REQUIRED else pytest.skip)("a viewer needs a display or Xvfb")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def cancel_after():
    """Make a progress whose user cancels after some tiles."""
    from napari_microsr.core.progress import Cancelled, SilentProgress

    class CancelAfter(SilentProgress):
        def __init__(self, tiles):
            super().__init__()
            self.tiles = tiles

        def advance(self, label, done, total):
            if label == "tiles" and done >= self.tiles:
                raise Cancelled

    return CancelAfter


@pytest.fixture(autouse=True)
def _one_thread():
    # Two cores run the suite: torch's own threads would only fight over them.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
