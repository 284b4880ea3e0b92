"""The three jobs on the shipped samples: `microsr demo`."""

import importlib.util
import os
import sys
from pathlib import Path

from napari_microsr.cli.console import AsJson, app, console, report


@app.command
def demo(*, out: Path = Path("microsr-demo"), as_json: AsJson = False) -> None:
    """Register and super-resolve the shipped slide; shows it in napari, or writes pictures without a display.

    Parameters
    ----------
    out
        Folder for the results.
    """
    from napari_microsr.registration.demo import run_demo as register_sample
    from napari_microsr.superres.demo import run_demo as enlarge_sample

    with console() as progress:
        result = enlarge_sample(out, progress)
        registered = register_sample(out / "registration", progress)
    result["outputs"] += registered["outputs"]
    result["registration"] = registered["figures"]
    report(result, as_json)
    if _has_display():
        from napari_microsr.widgets.demo import show_demo

        show_demo(result)


def _has_display() -> bool:
    """Say whether napari is installed and a window can be opened."""
    if importlib.util.find_spec("napari") is None:
        return False
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
