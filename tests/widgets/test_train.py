"""The widget Train, driven by mouse and keyboard on a viewer without a window."""

import json
import shlex

import numpy as np
import pytest

pytest.importorskip("napari")

import torch
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QWidget
from scipy.ndimage import gaussian_filter

from napari_microsr.cli import DONE, execute
from napari_microsr.core.checkpoint import LAST
from napari_microsr.core.epoch import read_metrics
from napari_microsr.core.weights import find
from napari_microsr.superres.degradation import parse_degradation
from napari_microsr.superres.presets import PRESETS, network_arguments
from napari_microsr.superres.registry import build_network, load_network
from napari_microsr.superres.training import TrainJob, train
from napari_microsr.widgets.settings import load_settings
from napari_microsr.widgets.train import TrainWidget
from napari_microsr.widgets.train_images import LAYERS
from napari_microsr.widgets.train_output import CHECKPOINT
from napari_microsr.widgets.train_pictures import KEY
from napari_microsr.widgets.upscale import UpscaleWidget

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def pictures():
    """Three RGB pictures with detail that bicubic magnification loses."""
    rng = np.random.default_rng(3)
    made = [128 + 600 * gaussian_filter(rng.normal(size=(64, 96, 3)), (0.8, 0.8, 0)) for _ in NAMES]
    return {name: np.clip(image, 0, 255).astype(np.uint8) for name, image in zip(NAMES, made, strict=True)}


@pytest.fixture
def folder(pictures, tmp_path):
    place = tmp_path / "slides"
    place.mkdir()
    for name, image in pictures.items():
        Image.fromarray(image).save(place / f"{name}.png")
    return place


@pytest.fixture(autouse=True)
def one_thread():
    """As many threads here as in the thread that trains: sums are in another order with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def open_train(qtbot, tmp_path):
    """Open the widget with a tiny network; trainings go to `tmp_path / "runs"`."""

    def open_(viewer, data=None, **changes):
        widget = TrainWidget(viewer)
        qtbot.addWidget(widget)
        widget.resize(360, 800)
        widget.show()
        if data is not None:
            widget.images.path.clear()
            qtbot.keyClicks(widget.images.path, str(data))
            qtbot.keyClick(widget.images.path, Qt.Key.Key_Return)
        widget.output.folder.setText(str(tmp_path / "runs"))
        widget.output.name.clear()
        qtbot.keyClicks(widget.output.name, "tiny")
        tiny = {"steps": 6, "check_every": 2, "batch": 2, "patch_px": 16, "hold_out": "c", "device": "cpu"}
        for form in (widget.form, widget.advanced, widget.loss_form):
            form.put({**tiny, "precision": "32-true", "learning_rate": 0.01, **changes})
        widget.arguments.clear()
        qtbot.keyClicks(widget.arguments, "features: 4, blocks: 1")
        return widget

    return open_


def check_layers(widget, qtbot, names=NAMES):
    """Choose layers as images, and check some with the mouse."""
    widget.images.where.setCurrentText(LAYERS)
    table = widget.images.layers
    for row in range(table.rowCount()):
        if table.item(row, 0).text() in names:
            box = table.visualItemRect(table.item(row, 0))
            qtbot.mouseClick(table.viewport(), LEFT, pos=QPoint(box.left() + 10, box.center().y()))


@pytest.fixture
def stop_after(monkeypatch):
    """Cancel as the button does, but at the end of the first epoch of the next training."""

    def stopping(job, task, resume, watch, given):
        def stop(epoch):
            watch(epoch)
            task.cancel()

        monkeypatch.setattr("napari_microsr.widgets.train.train", train)
        return train(job, task, resume, stop, given)

    def set_up():
        monkeypatch.setattr("napari_microsr.widgets.train.train", stopping)

    return set_up


def test_a_folder_is_trained_on_live_as_the_command_does_it(open_train, model, folder, tmp_path, click_run):
    widget = open_train(model, folder)
    assert "Sharp images, RGB" in widget.images.note.text()
    seen = []
    announced = widget.watch.add
    widget.watch.add = lambda epoch: (announced(epoch), seen.append([*map(str, model.layers)]))
    assert "Done: " in click_run(widget)
    assert widget.tabs.tabText(widget.tabs.currentIndex()) == "Watch"
    assert seen == [["tiny low", "tiny result", "tiny truth"]] * 3, "one triptych, and no more"
    rows = read_metrics(tmp_path / "runs" / "tiny")
    assert [row["step"] for row in rows] == [2, 4, 6]
    (curve,) = widget.watch.loss.getPlotItem().listDataItems()
    np.testing.assert_allclose(curve.getData(), [[row[n] for row in rows] for n in ("step", "loss")])
    network, bicubic = widget.watch.quality.getPlotItem().listDataItems()
    np.testing.assert_allclose(network.getData()[1], [row["psnr"] for row in rows])
    np.testing.assert_allclose(bicubic.getData()[1], [row["psnr_bicubic"] for row in rows])
    assert "Step 6 of 6: PSNR " in widget.watch.text.text()


@pytest.mark.parametrize("from_layers", [False, True])
def test_the_saved_job_gives_the_same_bytes_without_napari(
    open_train, model, folder, pictures, from_layers, tmp_path, click_run, qtbot, monkeypatch
):
    for name, image in reversed(pictures.items()) if from_layers else ():
        model.add_image(image, rgb=True, name=name)
    # A random degradation: the patches hang on the order of the images, the figures on their names.
    widget = open_train(model, None if from_layers else folder, degradation="bicubic > noise(0..9)", steps=2)
    if from_layers:
        check_layers(widget, qtbot)
    path = tmp_path / "job.yaml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click_run(widget)
    weights = tmp_path / "runs" / "tiny" / "tiny.safetensors"
    made = weights.read_bytes(), weights.with_suffix(".json").read_bytes()
    qtbot.mouseClick(widget.copy_button, LEFT)
    assert "steps: 2" in path.read_text()
    model.layers.clear()
    line = QGuiApplication.clipboard().text()
    assert execute(shlex.split(line)[1:]) == DONE
    assert (weights.read_bytes(), weights.with_suffix(".json").read_bytes()) == made


def test_a_cancelled_training_is_kept_resumed_and_ends_as_an_uninterrupted_one(
    open_train, model, folder, tmp_path, click_run, stop_after
):
    widget = open_train(model, folder)
    stop_after()
    assert "Cancelled. Run continues from the last epoch." in click_run(widget)
    assert (tmp_path / "runs" / "tiny" / CHECKPOINT).is_file()
    assert "Run continues it" in widget.output.note.text()
    click_run(widget)
    assert [row["step"] for row in widget.watch.rows] == [2, 4, 6], "the curves go on"
    weights = (tmp_path / "runs" / "tiny" / "tiny.safetensors").read_bytes()
    assert "finished training" in widget.output.note.text()
    widget.output.afresh.setChecked(True)
    click_run(widget)
    assert (tmp_path / "runs" / "tiny" / "tiny.safetensors").read_bytes() == weights
    assert CHECKPOINT == LAST


def test_a_stopped_training_can_be_used(
    open_train, model, folder, home, qtbot, tmp_path, click_run, stop_after
):
    widget = open_train(model, folder)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    with qtbot.waitSignal(widget.task.ended):
        pass
    assert "no checkpoint yet" in widget.message.text()
    stop_after()
    click_run(widget)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    with qtbot.waitSignal(widget.task.ended):
        pass
    assert "tiny is installed" in widget.message.text()
    card, weights = find("tiny")
    assert weights == home / "models" / "tiny.safetensors"
    assert "stopped at step 2 of 6" in card.limits
    averaged = torch.load(tmp_path / "runs" / "tiny" / LAST, weights_only=True)["state_dict"]
    for name, value in load_network(card, weights).state_dict().items():
        torch.testing.assert_close(value, averaged[f"network.{name}"], rtol=0, atol=0)
    # A run to the end goes before the checkpoint from then on.
    click_run(widget)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    assert "stopped" not in find("tiny")[0].limits
    chooser = UpscaleWidget(model)
    qtbot.addWidget(chooser)
    chooser.models.put("tiny")
    assert chooser.models.get() == "tiny"


def test_a_network_trained_meanwhile_is_found_by_an_open_list(open_train, model, folder, qtbot, click_run):
    chooser = UpscaleWidget(model)
    qtbot.addWidget(chooser)
    chooser.models.put("bicubic")
    widget = open_train(model, folder, steps=2)
    click_run(widget)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    chooser.models.refresh()
    assert chooser.models.get() == "bicubic", "the choice stays"
    chooser.models.put("tiny")
    assert "Trained on slides." in chooser.models.details.text()
    widget.presets.refresh()
    widget.presets.put("Go on from tiny")
    widget.presets.chosen.emit()
    widget.output.name.setText("tuned")
    assert widget.job().start == "tiny"
    assert widget.job().arguments == {"channels": 3, "features": 4, "blocks": 1, "factor": 2}


def test_pairs_of_layers_and_one_channel_of_16_bits(open_train, model, pictures, tmp_path, qtbot, click_run):
    for name, image in pictures.items():
        high = image[..., 0].astype(">u2") * 37
        model.add_image(high, name=f"{name} high", scale=(0.5, 0.5), units=("um", "um"))
        model.add_image(
            high.reshape(32, 2, 48, 2).mean((1, 3)).astype(np.uint16), name=f"{name} low", units=("um", "um")
        )
    widget = open_train(model, hold_out="c high", steps=2)
    check_layers(widget, qtbot, [f"{name} high" for name in NAMES])
    for row in range(widget.images.layers.rowCount()):
        name = widget.images.layers.item(row, 0).text()
        if name.endswith("high"):
            widget.images.layers.cellWidget(row, 1).setCurrentText(name.replace("high", "low"))
    assert "Pairs of factor 2, single channels, 1 µm" in widget.images.note.text()
    assert not widget.form.editors["degradation"].isEnabled()
    assert "Done" in click_run(widget)
    card = json.loads((tmp_path / "runs" / "tiny" / "tiny.json").read_text())
    assert (card["channels"], card["factor"], card["pixel_size_um"]) == (1, 2, 1)
    assert card["degradation"] == "x2 pairs that were taken"
    assert card["domain"] == "fluorescence"
    result = model.layers["tiny result"]
    assert result.data.shape == (64, 96)
    assert tuple(result.contrast_limits) == (0, 255)
    low, truth = model.layers["tiny low"], model.layers["tiny truth"]
    right = max(
        layer.extent.world[1, 1] for layer in model.layers if KEY not in layer.metadata.get("microsr", {})
    )
    assert low.extent.world[0, 1] > right, "beside the user's layers"
    assert truth.extent.world[0, 1] > result.extent.world[1, 1] > low.extent.world[1, 1]


def test_another_picture_and_no_picture(open_train, model, folder, qtbot, click_run):
    Image.effect_noise((128, 64), 90).convert("RGB").save(folder / "d.png")
    widget = open_train(model, folder, hold_out="c, d", steps=2)
    click_run(widget)
    assert [widget.watch.picture.itemText(i) for i in range(2)] == ["c.png", "d.png"]
    assert model.layers["tiny truth"].data.shape == (64, 96, 3)
    qtbot.keyClick(widget.watch.picture, Qt.Key.Key_Down)
    assert model.layers["tiny truth"].data.shape == (64, 128, 3)
    assert len(model.layers) == 3
    widget.watch.live.click()
    assert not model.layers
    widget.watch.live.click()
    assert len(model.layers) == 3
    model.layers.remove("tiny low")
    widget.output.afresh.setChecked(True)
    click_run(widget)
    assert len(model.layers) == 3, "another run shows them anew"


def test_a_loss_that_diverges_says_what_to_lower(open_train, model, folder, click_run):
    widget = open_train(model, folder, learning_rate=1e6, loss="mse", steps=40, check_every=20)
    said = click_run(widget)
    assert "the training diverged" in said
    assert "Lower learning_rate" in said
    assert widget.task is None
    assert widget.button.text() == "&Run"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.images.put(""), "There are no images to train on."),
        (lambda w: w.images.put("/no/such/folder"), "There is no image in"),
        (lambda w: w.images.where.setCurrentText(LAYERS), "No layer is chosen"),
        (lambda w: w.output.name.setText(""), "has no name"),
        (lambda w: w.output.name.setText("my network"), "name: String should match"),
        (lambda w: w.arguments.setText("features 4"), "The arguments of the network"),
        (lambda w: w.form.put({"hold_out": "z"}), "No training image is left that is held out"),
        (lambda w: w.form.put({"steps": 7}), "steps (7) is not a multiple of check_every"),
        (lambda w: w.loss_form.put({"pixel_weight": 0}), "must be > 0"),
        (lambda w: w.advanced.put({"architecture": "none"}), "none"),
    ],
)
def test_what_is_wrong_is_said(open_train, model, folder, click_run, change, sentence):
    widget = open_train(model, folder)
    change(widget)
    assert sentence in click_run(widget)


def test_presets_set_what_suits_them_and_back(open_train, model, folder, qtbot):
    widget = open_train(model, folder)

    def choose(name):
        widget.presets.put(name)
        widget.presets.chosen.emit()
        return widget.job()

    job = choose("Crisp, fluorescence (mSRGAN)")
    assert (job.architecture, job.factor, job.adversarial_weight) == ("srresnet-x4", 4, 1e-5)
    assert (job.content_weight, job.hold_out) == (0.8, ("c",))
    job = choose("Sharpen (PlacentaSR)")
    assert job.arguments == {"channels": 3, "head": "linear"}
    assert (job.adversarial_weight, job.content_weight, job.factor) == (0, 0, 4)
    job = choose("Fast")
    assert job.arguments == {"channels": 3, "features": 32, "blocks": 6, "factor": 2}
    defaults = TrainJob.model_fields
    assert job.degradation == defaults["degradation"].default
    assert job.learning_rate == defaults["learning_rate"].default


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_are_jobs_of_networks_that_are_there(preset):
    card = {"summary": "", "domain": "any", "licence": ""}
    arguments = network_arguments(preset.settings["architecture"], preset.settings.get("arguments", {}), 3, 4)
    job = TrainJob.parse({**preset.settings, "name": "x", "arguments": arguments, "card": card})
    job.schedule(job.steps, job.learning_rate)
    parse_degradation(job.degradation)
    with torch.device("meta"):
        build_network(job.architecture, **job.arguments)


def test_settings_are_kept_and_reset(open_train, model, folder, qtbot, click_run):
    widget = open_train(model, folder, steps=2)
    widget.loss_form.put({"ssim_weight": 0.5, "tv_weight": 2e-8})
    click_run(widget)
    kept = load_settings("train")
    assert kept["ssim_weight"] == 0.5
    other = TrainWidget(model)
    qtbot.addWidget(other)
    assert other.images.path.text() == str(folder)
    assert other.form.get()["steps"] == 2
    assert other.loss_form.get()["tv_weight"] == 2e-8
    assert other.arguments.arguments() == {"features": 4, "blocks": 1}
    qtbot.mouseClick(other.reset_button, LEFT)
    assert other.images.path.text() == ""
    assert other.loss_form.get()["ssim_weight"] == 0
    assert other.form.get()["steps"] == 4000
    assert load_settings("train") == {}


def begin(widget, qtbot):
    """Click Run, and wait for the first epoch."""
    qtbot.mouseClick(widget.button, LEFT)
    qtbot.waitUntil(lambda: len(widget.watch.rows) > 0, timeout=60_000)
    return widget.task


def test_cancel_stops_at_the_next_step(open_train, model, folder, qtbot):
    widget = open_train(model, folder, steps=4000)
    task = begin(widget, qtbot)
    qtbot.mouseClick(widget.watch.use_button, LEFT)
    assert "Cancel the training first" in widget.message.text()
    with qtbot.waitSignal(task.ended, timeout=60_000):
        qtbot.mouseClick(widget.button, LEFT)
    assert "Run continues from the last epoch" in widget.message.text()
    assert widget.button.isEnabled()


def test_a_closed_panel_ends_the_training(open_train, model, folder, qtbot, tmp_path):
    widget = open_train(model, folder, steps=4000)
    task = begin(widget, qtbot)
    dock = QWidget()
    qtbot.addWidget(dock)
    with qtbot.waitSignal(task.ended, timeout=60_000):
        widget.setParent(dock)
        widget.setParent(None)
    assert task.cancelled
    assert (tmp_path / "runs" / "tiny" / CHECKPOINT).is_file()
