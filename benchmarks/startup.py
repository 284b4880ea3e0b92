"""How long the plugin takes to import, and its widget to open once napari is up.

    python benchmarks/startup.py [--repeats 5]

Each import is timed in a fresh interpreter that has loaded nothing of it; napari itself, numpy, Qt and
pydantic are loaded first where a running napari has them already. The widget is opened in one napari, the
first time and again.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

NAPARI = (
    "import napari, napari._qt.qt_main_window, napari.layers, magicgui, superqt, pydantic, yaml, dask.array"
)
CASES = {
    "import napari_microsr": ("", "import napari_microsr"),
    "widget module, napari loaded": (NAPARI, "import napari_microsr.widgets.upscale"),
    "sample module, napari loaded": (NAPARI, "import napari_microsr.widgets.samples"),
}


def import_ms(before, statement):
    """Import in a fresh interpreter; returns milliseconds and the heavy packages that it loaded."""
    code = (
        f"import sys, time\n{before}\nbegin = time.perf_counter()\n{statement}\n"
        "print((time.perf_counter() - begin) * 1e3)\n"
        "print(*[m for m in ('torch', 'zarr', 'lightning') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ms, *heavy = run.stdout.split()
    return float(ms), heavy


def open_ms():
    """Open the widget twice in one napari."""
    import napari
    import numpy as np

    viewer = napari.Viewer(show=True)
    viewer.add_image(np.zeros((512, 512, 3), np.uint8), rgb=True)
    application = napari.qt.get_qapp()
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        dock, _ = viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
        application.processEvents()
        times.append((time.perf_counter() - begin) * 1e3)
        viewer.window.remove_dock_widget(dock)
        application.processEvents()
    viewer.close()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'what':34} {'median ms':>10} {'min':>6} {'max':>6}  bar    heavy packages loaded")
    for name, (before, statement) in CASES.items():
        runs = [import_ms(before, statement) for _ in range(repeats)]
        times = [ms for ms, _ in runs]
        print(
            f"{name:34} {statistics.median(times):10.0f} {min(times):6.0f} {max(times):6.0f}  300    "
            + (" ".join(runs[0][1]) or "none")
        )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = os.path.join(folder, "napari.yaml")
        os.environ["MICROSR_HOME"] = folder
        first, again = open_ms()
    print(f"{'widget opens, first time':34} {first:10.0f} {'':6} {'':6}  1000")
    print(f"{'widget opens, again':34} {again:10.0f} {'':6} {'':6}  1000")


if __name__ == "__main__":
    main()
