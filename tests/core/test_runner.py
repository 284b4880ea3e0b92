"""The tile loop: order, resume, cancel and errors, with a process of plain numpy."""

import threading

import numpy as np
import pytest

from napari_microsr.core.image import ImageSource
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.runner import run_tiles
from napari_microsr.core.sink import MemorySink
from napari_microsr.core.tiles import TilePlan
from napari_microsr.errors import InputError


class Doubling:
    """Nearest-neighbour enlargement plus the channel's number, counting its calls."""

    workers = 2
    outputs = 1

    def __init__(self, plan):
        self.plan, self.windows = plan, 0

    def begin_thread(self):
        pass

    def __call__(self, windows, channel):
        self.windows += len(windows)
        halo = self.plan.halo_px
        inside = windows[:, :, halo : windows.shape[2] - halo, halo : windows.shape[3] - halo]
        return (inside.repeat(2, 2).repeat(2, 3) + channel,) * self.outputs


@pytest.fixture
def setting(rng):
    image = rng.integers(0, 200, (2, 3, 50, 41), np.uint8)
    source = ImageSource.from_array(image, axes="tcyx", rgb=False)
    plan = TilePlan.cover(source, 16, halo_px=2, multiple_of=1, factor=2)
    return image, source, plan, MemorySink(source, plan, image.dtype)


def expected(image):
    channels = np.arange(3, dtype=np.uint8)[:, None, None]
    return (image + channels).repeat(2, 2).repeat(2, 3).reshape(6, 1, 100, 82)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_every_batch_size_gives_the_same_result(setting, batch):
    image, source, plan, sink = setting
    run_tiles(source, plan, Doubling(plan), [sink], SilentProgress(), plan.batches(batch))
    np.testing.assert_array_equal(sink.array, expected(image))


def test_cancel_keeps_what_is_computed_and_a_second_run_does_the_rest(setting, cancel_after):
    image, source, plan, sink = setting
    process = Doubling(plan)
    with pytest.raises(Cancelled):
        run_tiles(source, plan, process, [sink], cancel_after(5), plan.batches(1))
    assert 5 <= process.windows <= 5 + process.workers + 1
    assert sum(sink.holds(plan.tile(i)) for i in range(len(plan))) == process.windows, "none is lost"
    run_tiles(source, plan, process, [sink], SilentProgress(), plan.batches(1))
    assert process.windows == len(plan)
    np.testing.assert_array_equal(sink.array, expected(image))


def test_cancel_waits_for_the_tiles_in_hand_and_no_other(setting):
    _, source, plan, sink = setting
    cancelled, proceed = threading.Event(), threading.Event()

    class Slow(Doubling):
        def __call__(self, windows, channel):
            cancelled.set()
            assert proceed.wait(20)
            return super().__call__(windows, channel)

    class Cancel(SilentProgress):
        def advance(self, label, done, total):
            if cancelled.is_set():
                threading.Timer(0.3, proceed.set).start()
                raise Cancelled

    process = Slow(plan)
    with pytest.raises(Cancelled):
        run_tiles(source, plan, process, [sink], Cancel(), plan.batches(1))
    assert 1 <= process.windows <= process.workers
    assert sum(sink.holds(plan.tile(i)) for i in range(len(plan))) == process.windows


def test_a_finished_run_computes_nothing(setting):
    _, source, plan, sink = setting
    run_tiles(source, plan, Doubling(plan), [sink], SilentProgress(), plan.batches(1))
    process = Doubling(plan)
    run_tiles(source, plan, process, [sink], SilentProgress(), plan.batches(1))
    assert process.windows == 0


def test_a_tile_is_recomputed_where_one_of_two_sinks_lacks_it(setting):
    image, source, plan, sink = setting
    second = MemorySink(source, plan, image.dtype)
    run_tiles(source, plan, Doubling(plan), [sink], SilentProgress(), plan.batches(1))
    both = Doubling(plan)
    both.outputs = 2
    run_tiles(source, plan, both, [sink, second], SilentProgress(), plan.batches(1))
    np.testing.assert_array_equal(second.array, sink.array)


def test_an_error_in_reading_computing_or_writing_reaches_the_caller(setting):
    image, source, plan, sink = setting

    class Broken(np.ndarray):
        def __getitem__(self, _):
            raise OSError("bad sector")

    damaged = ImageSource.from_array(image.view(Broken), axes="tcyx", rgb=False)
    with pytest.raises(InputError, match="bad sector"):
        run_tiles(damaged, plan, Doubling(plan), [sink], SilentProgress(), plan.batches(1))

    class Failing(Doubling):
        def __call__(self, windows, channel):
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_tiles(source, plan, Failing(plan), [sink], SilentProgress(), plan.batches(1))

    class FullSink(MemorySink):
        def write(self, tile, block):
            raise OSError("no space")

    full = FullSink(source, plan, image.dtype)
    with pytest.raises(OSError, match="no space"):
        run_tiles(source, plan, Doubling(plan), [full], SilentProgress(), plan.batches(1))


def test_reading_runs_little_ahead(setting):
    image, _, plan, sink = setting
    reads, lead = [], []

    class Counting(np.ndarray):
        def __getitem__(self, where):
            reads.append(threading.current_thread().name)
            return np.asarray(super().__getitem__(where))

    class Watching(Doubling):
        def __call__(self, windows, channel):
            lead.append(len(reads) - self.windows)
            return super().__call__(windows, channel)

    counted = ImageSource.from_array(image.view(Counting), axes="tcyx", rgb=False)
    run_tiles(counted, plan, Watching(plan), [sink], SilentProgress(), plan.batches(1))
    assert max(lead) <= Watching.workers + 1
    assert threading.main_thread().name not in reads
