"""How long napari's event loop stands still while a run goes on.

    python benchmarks/responsiveness.py [--model histology-x2] [--size 1536] [--idle 5]

A timer of 5 ms runs in the main thread; a stall is the time between two of its ticks. Measured are napari
at rest with the same layer, and runs of the widget with its live layer on, seen whole and zoomed in. Bar:
100 ms. Needs a display or Xvfb (`xvfb-run -a python benchmarks/responsiveness.py`); without a graphics card
each drawing of the canvas is computed by the processor, which the rows at rest show. The longest stall of a
run is when napari adds the layer; the row above shows that it is as long for a plain one.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

BAR_MS = 100


class Stalls:
    """Gaps between the ticks of a timer in the main thread, and what the thread itself computed in them."""

    def __init__(self):
        from qtpy.QtCore import Qt, QTimer

        self.gaps, self.busy = [], []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)

    def __enter__(self):
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.stop()

    def _tick(self):
        now = time.perf_counter(), time.thread_time()
        self.gaps.append((now[0] - self._last[0]) * 1e3)
        self.busy.append((now[1] - self._last[1]) * 1e3)
        self._last = now


def report(name, stalls):
    gaps, busy = np.array(stalls.gaps), np.array(stalls.busy)
    print(
        f"{name:36} {len(gaps):6} {np.median(gaps):8.1f} {np.percentile(gaps, 99):8.1f} {gaps.max():8.1f} "
        f"{np.sort(gaps)[-2]:8.1f} {(gaps > BAR_MS).sum():8} "
        f"{np.percentile(busy, 99):8.1f} {busy.max():8.1f}",
        flush=True,
    )


def spin(application, until, viewer=None):
    """Run the event loop, moving the view four times a second where a viewer is given."""
    from qtpy.QtCore import QEventLoop

    begin = moved = time.perf_counter()
    while not until(time.perf_counter() - begin):
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
        if viewer is not None and time.perf_counter() - moved > 0.25:
            moved = time.perf_counter()
            z, y, x = camera(viewer).center
            camera(viewer).center = (z, y + 10 * np.sin(moved), x)
        time.sleep(0.001)


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="histology-x2")
    parser.add_argument("--size", type=int, default=1536, help="side of the input image")
    parser.add_argument("--idle", type=float, default=5, help="seconds at rest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        os.environ["MICROSR_HOME"] = folder
        measure(options, Path(folder))


def measure(options, folder):
    import napari
    import torch

    from napari_microsr.widgets.samples import slide

    (data, arguments, _), *_ = slide()
    data = np.ascontiguousarray(data[400 : 400 + options.size, : options.size])
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.add_image(data, **arguments)
    _, widget = viewer.window.add_plugin_dock_widget("napari-microsr", "Super-resolve")
    widget.models.put(options.model)
    application = napari.qt.get_qapp()
    spin(application, lambda seconds: seconds > 2)
    threads = torch.get_num_threads()
    print(
        f"{data.shape[1]} x {data.shape[0]} RGB, {options.model}; torch: {threads} of {os.cpu_count()} cores"
    )
    print("Between two ticks, ms: wall time, and CPU time of the main thread alone")
    print(
        f"{'':36} {'ticks':>6} {'median':>8} {'99 %':>8} {'longest':>8} {'second':>8} {'> 100 ms':>8} "
        f"{'CPU 99 %':>8} {'longest':>8}"
    )
    for name, moving in (("at rest", None), ("at rest, moving the view", viewer)):
        with Stalls() as rest:
            spin(application, lambda seconds: seconds > options.idle, moving)
        report(name, rest)
    with Stalls() as rest:
        for _ in range(3):
            viewer.add_image(data, **{**arguments, "name": "plain"})
            spin(application, lambda seconds: seconds > 1)
            viewer.layers.pop()
    report("at rest, adding a plain layer", rest)
    runs = (("first run, whole image", 1, None), ("run, whole image", 1, None),
            ("run, zoomed in", 6, None), ("run, zoomed in, moving the view", 1, viewer))  # fmt: skip
    for name, zoom, moving in runs:
        widget.output.choose_folder(str(folder))
        widget.output.name.setText(name)
        camera(viewer).zoom *= zoom
        begin = time.perf_counter()
        with Stalls() as run:
            widget.run()
            spin(application, lambda _: widget.task is None, moving)
        report(f"{name} ({time.perf_counter() - begin:.0f} s)", run)
        assert "Done" in widget.message.text(), widget.message.text()
        viewer.layers.pop()
    viewer.close()


if __name__ == "__main__":
    main()
