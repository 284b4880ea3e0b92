"""The widget Evaluate, driven by mouse and keyboard on a viewer without a window."""

import csv
import shlex
import time

import numpy as np
import pytest

pytest.importorskip("napari")

import dask.array
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog
from scipy.ndimage import gaussian_filter

from napari_microsr.cli import DONE, execute
from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.evaluate_job import EvaluateJob, evaluate
from napari_microsr.superres.metrics import FIGURES
from napari_microsr.widgets.evaluate import EvaluateWidget
from napari_microsr.widgets.evaluate_profile import line_of
from napari_microsr.widgets.evaluate_zoom import GRID
from napari_microsr.widgets.layer_sampling import Sampler

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def images(rng):
    """Truth, a noisy result and the input of half the pixels, RGB."""
    truth = np.clip(128 + 300 * gaussian_filter(rng.normal(size=(96, 80, 3)), (1.5, 1.5, 0)), 0, 255)
    result = np.clip(truth + rng.normal(0, 6, truth.shape), 0, 255)
    low = truth.reshape(48, 2, 40, 2, 3).mean((1, 3))
    return {"low": low.astype(np.uint8), "result": result.astype(np.uint8), "truth": truth.astype(np.uint8)}


@pytest.fixture
def open_evaluate(qtbot):
    def open_(viewer):
        widget = EvaluateWidget(viewer)
        qtbot.addWidget(widget)
        widget.resize(320, 700)
        widget.show()
        return widget

    return open_


@pytest.fixture
def compared(model, images, open_evaluate):
    """The three images as layers, chosen in the widget."""
    place = {"units": ("um", "um"), "translate": (5, 7)}
    model.add_image(
        images["low"], rgb=True, name="low", scale=(1, 1), units=("um", "um"), translate=(5.25, 7.25)
    )
    for name in ("result", "truth"):
        model.add_image(images[name], rgb=True, name=name, scale=(0.5, 0.5), **place)
    widget = open_evaluate(model)
    widget.choice.input_box.setCurrentText("low")
    return widget


def names(widget):
    return [layer.name for layer in widget.choice.results.layers]


def choose(picker, name):
    picker.setCurrentIndex(picker.findText(name))


def check(widget, _=None):
    widget.choice.results.item(0).setCheckState(Qt.CheckState.Checked)


def test_layers_of_the_references_size_are_checked(compared, model, rng, qtbot):
    assert compared.choice.reference_box.layer.name == "truth"
    assert names(compared) == ["result"]
    model.add_image(rng.random((9, 9)), name="else")
    assert names(compared) == ["result"], "of another size"
    model.add_image(rng.random((96, 80, 3)), name="more")
    assert names(compared) == ["result", "more"]
    row = compared.choice.results.item(0)
    box = compared.choice.results.visualItemRect(row)
    qtbot.mouseClick(compared.choice.results.viewport(), LEFT, pos=QPoint(box.left() + 10, box.center().y()))
    assert names(compared) == ["more"]
    model.layers.remove("more")
    assert names(compared) == []
    assert [layer.name for layer in compared.choice.layers] == ["low", "truth"]


def test_run_shows_the_headless_figures(compared, images, click_run):
    said = click_run(compared)
    assert "Done." in said
    parts = {name: ImageSource.from_array(array, name=name) for name, array in images.items()}
    expected = evaluate(
        EvaluateJob(result="", reference=""),
        results=[parts["result"]],
        reference=parts["truth"],
        low=parts["low"],
    ).figures
    table = compared.figures.table
    assert compared.tabs.tabText(compared.tabs.currentIndex()) == "Figures"
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == list(expected)
    for row, values in enumerate(expected.values()):
        shown = [table.item(row, column).value for column in range(1, table.columnCount())]
        np.testing.assert_allclose(shown, [values[key] for key in FIGURES])
    assert table.item(0, 0).font().bold()
    assert len(compared.curves.plot.getPlotItem().listDataItems()) == len(expected)
    assert "result" in compared.curves.legend.text()


def test_a_click_on_a_title_sorts(compared, click_run, qtbot):
    click_run(compared)
    table = compared.figures.table
    head = table.horizontalHeader()

    def order(column):
        pos = QPoint(head.sectionViewportPosition(column) + 8, head.height() // 2)
        qtbot.mouseClick(head.viewport(), LEFT, pos=pos)
        return [table.item(row, column) for row in range(table.rowCount())]

    up = [item.value for item in order(1)]
    assert up == sorted(up)
    down = [item.value for item in order(1)]
    assert down == up[::-1]
    assert order(0)[0].text() == "Lanczos"


def test_the_bars_follow_the_chosen_figure(compared, click_run):
    click_run(compared)
    drawn = set()
    for key in ("psnr_db", "gmsd", "ms_ssim"):
        compared.figures.figure.setCurrentIndex(compared.figures.figure.findData(key))
        bars = [
            item
            for item in compared.figures.bars.getPlotItem().items
            if hasattr(item, "opts") and "x0" in item.opts
        ]
        values = [row[key] for row in compared.figures.evaluation.figures.values()]
        ends = [bar.opts["x0"] + bar.opts["width"] for bar in bars]
        np.testing.assert_allclose(ends, [value for value in values if np.isfinite(value)])
        drawn.add(tuple(ends))
    assert () in drawn, "too small for MS-SSIM"


def test_figures_and_curves_are_saved(compared, click_run, qtbot, tmp_path, monkeypatch):
    click_run(compared)
    for tab, name in (
        (compared.figures, "figures"),
        (compared.curves, "curves"),
        (compared.figures, "bars.png"),
    ):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=name: (str(tmp_path / name), ""))
        qtbot.mouseClick(tab.save_button, LEFT)
    with (tmp_path / "figures.csv").open() as file:
        assert [row["image"] for row in csv.DictReader(file)][:2] == ["result", "input"]
    assert (tmp_path / "curves.csv").read_text().startswith("frequency")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "a.csv"), ""))
    qtbot.mouseClick(compared.figures.save_button, LEFT)
    assert "cannot be written" in compared.message.text()


def test_cancel_ends_in_a_block(compared, qtbot, monkeypatch):
    from napari_microsr.superres import comparison

    original, begun = comparison._read, []

    def slow(*arguments):
        begun.append(1)
        while not compared.task.cancelling:
            time.sleep(0.005)
        return original(*arguments)

    monkeypatch.setattr(comparison, "_read", slow)
    monkeypatch.setattr("napari_microsr.superres.metrics.spectra.LARGEST_PX", 48)
    qtbot.mouseClick(compared.button, LEFT)
    qtbot.waitUntil(lambda: bool(begun))
    with qtbot.waitSignal(compared.task.ended, timeout=20_000):
        qtbot.mouseClick(compared.button, LEFT)
    assert compared.message.text() == "Cancelled."
    assert len(begun) == 1
    assert compared.figures.evaluation is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda widget: widget.choice.results.item(0).setCheckState(Qt.CheckState.Unchecked),
            "No result is chosen",
        ),
        (
            lambda widget: check(widget, choose(widget.choice.reference_box, "low")),
            "96 x 80 pixels, the reference",
        ),
        (lambda widget: widget.advanced.editors["rim_px"].put(48), "rim of 48"),
    ],
)
def test_what_cannot_be_compared_is_said(compared, click_run, change, words):
    change(compared)
    assert words in click_run(compared)
    assert compared.task is None


def test_nothing_open_is_said(model, open_evaluate, click_run):
    assert "no image layer" in click_run(open_evaluate(model))


def test_the_command_does_the_same(model, images, open_evaluate, click_run, qtbot, tmp_path, capsys):
    for name in ("low", "result", "truth"):
        tifffile.imwrite(tmp_path / f"{name}.tif", images[name], photometric="rgb")
        layer = model.add_image(images[name], rgb=True, name=name)
        layer._source = type(layer.source)(path=str(tmp_path / f"{name}.tif"))
    widget = open_evaluate(model)
    choose(widget.choice.input_box, "low")
    widget.form.editors["align"].put(False)
    qtbot.mouseClick(widget.copy_button, LEFT)
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[:2] == ["microsr", "evaluate"]
    assert "--no-align" in words
    assert execute([*words[1:], "--csv", str(tmp_path / "a.csv")]) == DONE
    click_run(widget)
    with (tmp_path / "a.csv").open() as file:
        psnr = [float(row["psnr_db"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(psnr, [row["psnr_db"] for row in widget.figures.evaluation.figures.values()])


LAYERS = {
    "plain": ({"scale": (0.5, 0.5), "translate": (3, -2)}, lambda ramp: ramp),
    "turned": ({"scale": (0.5, 0.25), "rotate": 30}, lambda ramp: ramp),
    "affine": ({"affine": [[0.5, 0.2, 3], [-0.1, 0.4, 2], [0, 0, 1]]}, lambda ramp: ramp),
    "16 bit": ({}, lambda ramp: ramp.astype(np.uint16) * 100),
    "big-endian": ({}, lambda ramp: ramp.astype(">u2")),
    "float with NaN": (
        {},
        lambda ramp: np.where(np.arange(ramp.size).reshape(ramp.shape) == 0, np.nan, ramp),
    ),
    "dask": ({}, lambda ramp: dask.array.from_array(ramp, chunks=7)),
    "stack": ({"scale": (1, 0.5, 0.5)}, lambda ramp: np.stack([ramp + 7, ramp])),
    "RGB": ({"rgb": True}, lambda ramp: np.stack([ramp, ramp + 1, ramp + 2], -1).astype(np.uint8)),
    "pyramid": ({"multiscale": True}, lambda ramp: [ramp, ramp[::2, ::2]]),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_values_are_those_of_the_pixels_whatever_the_layer(model, kind):
    ramp = np.add.outer(4.0 * np.arange(30), np.arange(40.0))
    arguments, make = LAYERS[kind]
    data = make(ramp)
    layer = model.add_image(data, **arguments)
    if layer.ndim == 3:
        model.dims.set_current_step(0, 1)
    sampler = Sampler.of(layer, model)
    pixels = np.array([[3, 4], [10, 20], [29, 39], [17, 0]])
    front = (1,) * (layer.ndim - 2)
    places = np.array([layer.data_to_world((*front, *pixel))[-2:] for pixel in pixels])
    array = np.asarray(data[0] if layer.multiscale else data)
    expected = array[front][tuple(pixels.T)].astype(float).reshape(4, -1)
    for order in (0, 1):
        np.testing.assert_allclose(sampler.values(places, order=order), expected, atol=1e-6)
    if kind != "float with NaN":
        between = (places[0] + places[1]) / 2
        middle = sampler.values(between[None], order=1)[0]
        np.testing.assert_allclose(middle, expected[:2].mean(0), atol=1e-6)
    far = np.array([layer.data_to_world((*front, 30.6, 5))[-2:]])
    assert np.isnan(sampler.values(far, order=1)).all()


def test_a_long_line_reads_little(model):
    class Counting:
        shape, dtype, ndim = (20_000, 20_000), np.dtype(np.uint8), 2
        largest = 0

        def __getitem__(self, index):
            made = np.zeros(
                [p.indices(s)[1] - p.indices(s)[0] for p, s in zip(index, self.shape, strict=True)], np.uint8
            )
            Counting.largest = max(Counting.largest, made.size)
            return made

    sampler = Sampler.of(model.add_image(np.zeros((4, 4))), model)
    whole = ImageSource.from_array(Counting())
    wide = Sampler("", whole, 0, sampler.to_world, sampler.look)
    places = np.linspace((0, 0), (19_999, 19_999), 2000)
    assert (wide.values(places, order=1) == 0).all()
    assert Counting.largest <= 256 * 256


def test_a_profile_follows_its_points(compared, model, qtbot):
    points = model.add_points([[10.0, 12.0], [10.0, 32.0]], name="ends")
    tab = compared.profile
    assert tab.line.currentText() == "ends"
    qtbot.waitUntil(lambda: tab.profile is not None)
    assert list(tab.profile.values) == ["low", "result", "truth"]
    assert tab.profile.distance[-1] == pytest.approx(20)
    assert tab.profile.unit == "µm"
    truth = model.layers["truth"].data
    # 10 µm = row (10 - 5) / 0.5; columns 10 to 50 in steps of one pixel of the finest layer.
    np.testing.assert_allclose(tab.profile.values["truth"], truth[10, 10:51], atol=1e-6)
    before = tab.profile
    points.data = [[20.0, 12.0], [20.0, 32.0]]
    qtbot.waitUntil(lambda: tab.profile is not before)
    np.testing.assert_allclose(tab.profile.values["truth"], truth[30, 10:51], atol=1e-6)
    before = tab.profile
    model.layers["truth"].translate = (6, 7)
    qtbot.waitUntil(lambda: tab.profile is not before)
    np.testing.assert_allclose(tab.profile.values["truth"], truth[28, 10:51], atol=1e-6)


@pytest.mark.parametrize(("channel", "number"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_profile_of_a_channel(compared, model, qtbot, channel, number):
    model.add_shapes([[[10.0, 12.0], [25.0, 32.0]]], shape_type="line")
    tab = compared.profile
    qtbot.waitUntil(lambda: tab.profile is not None)
    tab.channel.setCurrentText(channel)
    curves = tab.plot.getPlotItem().listDataItems()
    np.testing.assert_allclose(curves[2].yData, tab.profile.values["truth"][:, number])
    assert tab.profile.channel("brightness")["truth"] == pytest.approx(tab.profile.values["truth"].mean(1))


def test_a_drawn_line_is_a_profile(compared, model, qtbot, tmp_path, monkeypatch):
    compared.tabs.setCurrentIndex(3)
    qtbot.mouseClick(compared.profile.draw_button, LEFT)
    line = model.layers["profile line"]
    tab = compared.profile
    qtbot.waitUntil(lambda: tab.profile is not None)
    before = tab.profile
    line.data = [np.array([[15.0, 10.0], [40.0, 30.0]])]
    qtbot.waitUntil(lambda: tab.profile is not before)
    assert tab.profile.distance[-1] == pytest.approx(np.hypot(25, 20))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "line"), ""))
    qtbot.mouseClick(tab.save_button, LEFT)
    with (tmp_path / "line.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["distance [µm]", "low red", "low green", "low blue"]
    assert len(rows) == 1 + len(tab.profile.distance)
    model.layers.remove(line)
    assert tab.line.count() == 0


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (lambda model: model.add_points([[1.0, 2.0]], name="one"), "one holds no line"),
        (lambda model: model.add_points([[1.0, 2.0]] * 2, name="same"), "same are one"),
        (lambda model: model.add_shapes(name="empty"), "empty holds no line"),
    ],
)
def test_what_is_no_line_is_said(compared, model, qtbot, add, words):
    layer = add(model)
    with pytest.raises(InputError, match=words):
        line_of(layer)
    qtbot.waitUntil(lambda: words in compared.profile.legend.text())
    layer.data = (
        [[10.0, 12.0], [20.0, 30.0]] if "empty" not in words else [np.array([[10.0, 12.0], [20.0, 30.0]])]
    )
    qtbot.waitUntil(lambda: compared.profile.profile is not None)


def test_a_line_in_a_turned_layer_and_in_a_stack(model):
    shapes = model.add_shapes([[[0.0, 0.0], [0.0, 10.0]]], shape_type="line", rotate=90, translate=(5, 5))
    np.testing.assert_allclose(line_of(shapes), [[5, 5], [-5, 5]], atol=1e-9)
    points = model.add_points([[9.0, 1.0, 2.0], [9.0, 3.0, 4.0], [9.0, 5.0, 6.0]])
    np.testing.assert_allclose(line_of(points), [[3, 4], [5, 6]], err_msg="the two clicked last")


def test_a_spot_is_shown_in_all_layers_with_its_pixels(compared, model, qtbot):
    compared.tabs.setCurrentIndex(4)
    tab = compared.zoom
    tab.side.put(8)
    truth, low = model.layers["truth"], model.layers["low"]
    centre = truth.data_to_world((40.0, 30.0))
    tab.show_spot(tuple(centre))
    qtbot.waitUntil(lambda: tab.spot is not None)
    assert [picture.name for picture in tab.pictures] == ["low", "result", "truth"]
    told = dict(tab.spot.told(GRID // 2, GRID // 2))
    red, green, blue = truth.data[40, 30]
    assert told["truth"] == f"[40, 30]: {red} {green} {blue}"
    red, green, blue = low.data[20, 15]
    assert told["low"] == f"[20, 15]: {red} {green} {blue}"
    # Eight pixels from side to side, each in its own colour.
    picture = tab.pictures[2].colours
    np.testing.assert_array_equal(picture[GRID // 2, GRID // 2, :3], truth.data[40, 30])
    pixel = GRID // 8
    np.testing.assert_array_equal(picture[GRID // 2, GRID // 2 + pixel, :3], truth.data[40, 31])
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) <= 81

    def read_at_the_corner():
        where = tab.pictures[2].square()
        spot = QPoint(int(where.x() + where.width() * 0.05), int(where.y() + where.height() * 0.05))
        qtbot.mouseMove(tab.pictures[2], spot)
        return any(pixel in tab.text.text() for pixel in ("[36, 26]", "[37, 26]", "[36, 27]"))

    qtbot.waitUntil(read_at_the_corner)
    assert all(picture._cross[0] < GRID // 4 for picture in tab.pictures)


def test_beside_the_images_there_is_nothing(compared, qtbot):
    compared.zoom.show_spot((-100.0, -100.0))
    qtbot.waitUntil(lambda: compared.zoom.spot is not None)
    assert compared.zoom.spot.told(0, 0) == [("low", "–"), ("result", "–"), ("truth", "–")]
    assert not compared.zoom.pictures[0].colours.any()


def test_clicks_are_heard_only_while_asked_for(compared, model, qtbot):
    compared.tabs.setCurrentIndex(4)
    assert compared.zoom._click not in model.mouse_drag_callbacks
    qtbot.mouseClick(compared.zoom.pick_button, LEFT)
    assert compared.zoom._click in model.mouse_drag_callbacks

    class Event:
        type, position = "mouse_press", (25.0, 22.0)

    heard = compared.zoom._click(model, Event)
    next(heard)
    Event.type = "mouse_release"
    next(heard, None)
    qtbot.waitUntil(lambda: compared.zoom.spot is not None)
    qtbot.mouseClick(compared.zoom.pick_button, LEFT)
    assert compared.zoom._click not in model.mouse_drag_callbacks


def test_grey_layers_are_shown_with_their_contrast_and_colours(model):
    layer = model.add_image(np.array([[0.0, 5.0, 10.0, np.nan]]), contrast_limits=(0, 10), colormap="green")
    look = Sampler.of(layer, model).look
    colours = look.colours(layer.data[..., None])[0]
    np.testing.assert_array_equal(colours[0], [0, 0, 0, 255])
    assert int(colours[1][1]) == pytest.approx(127, abs=1)
    np.testing.assert_array_equal(colours[2], [0, 255, 0, 255])
    assert not colours[3].any()


def test_settings_are_kept(compared, model, click_run, open_evaluate):
    compared.form.editors["align"].put(False)
    compared.advanced.editors["rim_px"].put(4)
    click_run(compared)
    again = open_evaluate(model)
    assert again.form.get()["align"] is False
    assert again.advanced.get()["rim_px"] == 4
