import csv
import json
import signal

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageFilter

from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.weights import find
from napari_microsr.errors import InputError, JobError, ModelError
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.training import TrainJob, train


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Discs with sharp edges: what a small network can learn in a few steps."""
    folder = tmp_path_factory.mktemp("slides")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    for name in ("a-1", "a-2", "b-1", "c-1"):
        image = np.full((96, 96, 3), 230, np.uint8)
        for _ in range(60):
            cy, cx, r = (*rng.uniform(0, 96, 2), rng.uniform(2, 6))
            image[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = rng.integers(20, 200, 3)
        Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.6)).save(folder / f"{name}.png")
    return folder


def job(slides, out, **changes):
    settings = {
        "name": "tiny",
        "data": slides,
        "out": out,
        "exclude": ["c"],
        "hold_out": ["b"],
        "architecture": "fast-residual",
        "arguments": {"channels": 3, "features": 8, "blocks": 1},
        "patch_px": 16,
        "batch": 4,
        "steps": 120,
        "check_every": 40,
        "learning_rate": 1e-2,
        "ema_decay": 0.9,
        "precision": "32-true",
        "device": "cpu",
        "card": {"summary": "For tests.", "domain": "histology", "licence": "CC0-1.0"},
    }
    return TrainJob.parse({**settings, **changes})


class StopAt(SilentProgress):
    def __init__(self, step):
        super().__init__()
        self.step = step
        self.seen = []

    def advance(self, label, done, total):
        self.seen.append((done, total))
        if done == self.step:
            raise Cancelled


@pytest.fixture(scope="module")
def finished(slides, tmp_path_factory):
    progress = StopAt(None)
    folder = tmp_path_factory.mktemp("finished")
    # As many threads as the tests have: sums are in another order with more.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = train(job(slides, folder), progress)
    torch.set_num_threads(threads)
    return weights, progress


def test_training_beats_its_baseline_on_images_it_never_saw(finished):
    card, _ = find(finished[0])
    overall = card.metrics[0]
    assert (overall.data, overall.n) == ("all", 1)
    assert overall.model.psnr_db > overall.baselines["bicubic"].psnr_db + 0.3
    assert overall.model.ssim > overall.baselines["bicubic"].ssim


def test_card_is_measured_not_typed(finished):
    card, weights = find(finished[0])
    assert (card.id, card.factor, card.task) == ("tiny", 2, "super-resolution")
    assert (card.halo_px, card.multiple_of) == (4, 1)
    network = load_network(card, weights)
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert card.reduced_precision == (card.reduced_precision_cost_db <= 0.02)
    assert abs(card.reduced_precision_cost_db) < 0.2
    assert "bicubic" in card.degradation


def test_every_step_is_reported_and_logged(finished):
    weights, progress = finished
    assert progress.seen == [(i, 120) for i in range(1, 121)]
    rows = list(csv.DictReader((weights.parent / "metrics.csv").read_text().splitlines()))
    scores = [float(row["psnr"]) for row in rows if row["psnr"]]
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert len(scores) == len(losses) == 3
    assert scores[-1] > scores[0]


def test_a_cancelled_run_resumes_to_the_same_weights(slides, finished, tmp_path):
    with pytest.raises(Cancelled):
        train(job(slides, tmp_path), StopAt(91))
    resumed = train(job(slides, tmp_path), SilentProgress(), resume=True)
    assert resumed.read_bytes() == finished[0].read_bytes()


def test_resuming_a_finished_run_exports_it_again(slides, finished):
    before = finished[0].read_bytes()
    finished[0].unlink()
    again = train(job(slides, finished[0].parent.parent), SilentProgress(), resume=True)
    assert again.read_bytes() == before


def test_ctrl_c_is_a_cancel(slides, tmp_path):
    class Interrupted(SilentProgress):
        def advance(self, label, done, total):
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background of a shell
    with pytest.raises(Cancelled):
        train(job(slides, tmp_path), Interrupted())
    assert signal.getsignal(signal.SIGINT) is before


def test_held_out_and_excluded_slides_are_not_trained_on(slides, tmp_path, monkeypatch):
    from napari_microsr.superres import datasets

    used = []

    class Spy(datasets.PatchDataset):
        def __init__(self, images, *rest):
            used.extend(images)
            super().__init__(images, *rest)

    monkeypatch.setattr(datasets, "PatchDataset", Spy)
    train(job(slides, tmp_path, steps=1, check_every=1), SilentProgress())
    expected = [np.asarray(Image.open(slides / f"{name}.png")) for name in ("a-1", "a-2")]
    assert len(used) == 2
    assert all((a.high.read_whole() == b).all() for a, b in zip(used, expected, strict=True))


def test_report_on_slides_and_on_the_shipped_sample(slides, tmp_path):
    changes = {"report": slides, "report_slides": ["a", "c"], "report_sample": True, "steps": 1}
    card, _ = find(train(job(slides, tmp_path, check_every=1, **changes), SilentProgress()))
    assert [(m.data, m.n) for m in card.metrics] == [
        ("all", 4),
        ("a", 2),
        ("c", 1),
        ("shipped sample", 4),
    ]
    # The mean over all images is the mean of its slides (a: 2, b: 1, c: 1 image).
    figures = [m.baselines["bicubic"].psnr_db for m in card.metrics]
    held_out = 4 * figures[0] - 2 * figures[1] - figures[2]
    alone, _ = find(train(job(slides, tmp_path, check_every=1, steps=1, name="b"), SilentProgress()))
    assert held_out == pytest.approx(alone.metrics[0].baselines["bicubic"].psnr_db, abs=0.01)


def test_one_channel_of_16_bits_is_trained_and_measured_in_its_own_range(slides, tmp_path):
    for path in slides.glob("*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{path.stem}.tif", 4000 - grey * 12, byteorder=">")
    changes = {"arguments": {"channels": 1, "features": 8, "blocks": 1}, "data": tmp_path, "steps": 80}
    card, _ = find(train(job(slides, tmp_path / "out", **changes), SilentProgress()))
    assert (card.channels, card.normalisation, card.dtype) == (1, "percentile", None)
    figures = card.metrics[0]
    assert figures.model.psnr_db > figures.baselines["bicubic"].psnr_db + 0.2

    truth = tifffile.imread(tmp_path / "b-1.tif").astype(float)
    low = Image.fromarray(truth.astype(np.float32)).resize((48, 48), Image.Resampling.BICUBIC)
    low = Image.fromarray(np.rint(np.asarray(low)))
    bicubic = np.asarray(low.resize((96, 96), Image.Resampling.BICUBIC))
    error = ((bicubic - truth)[4:-4, 4:-4] ** 2).mean()
    span = np.subtract(*np.percentile(truth, (99.9, 0.1)))
    assert figures.baselines["bicubic"].psnr_db == pytest.approx(10 * np.log10(span**2 / error), abs=0.05)


def test_a_conditioned_network_is_trained_on_what_was_drawn(slides, tmp_path):
    changes = {"architecture": "conditioned-residual", "condition": True, "steps": 2, "check_every": 2}
    degradation = "blur(0..1.5) > bicubic > noise(0..8)"
    card, _ = find(train(job(slides, tmp_path, degradation=degradation, **changes), SilentProgress()))
    assert card.conditioned
    assert (card.channels, card.factor) == (3, 2)
    assert card.degradation.startswith("Gaussian blur of 0-1.5 px, x2 antialiased bicubic")


def test_restoration_is_trained_on_the_same_grid(slides, tmp_path):
    changes = {
        "architecture": "residual-unet",
        "arguments": {},
        "degradation": "bicubic-down-up",
        "factor": 4,
        "patch_px": 16,
        "batch": 1,
        "steps": 2,
        "check_every": 2,
    }
    card, _ = find(train(job(slides, tmp_path, **changes), SilentProgress()))
    assert (card.task, card.factor, card.multiple_of) == ("restoration", 1, 16)
    assert list(card.metrics[0].baselines) == ["input"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"degradation": "fog"}, JobError, "no degradation named 'fog'"),
        ({"loss": "hinge"}, JobError, "no loss named 'hinge'"),
        ({"steps": 50}, JobError, "multiple of check_every"),
        ({"device": "abacus"}, JobError, "device"),
        ({"precision": "1-bit"}, JobError, "precision"),
        ({"architecture": "srcnn"}, ModelError, "no network named"),
        ({"patch_px": 64}, InputError, "at least 144 pixels"),
        ({"hold_out": ["z"]}, InputError, "No training image is left"),
        ({"exclude": ["a", "c"]}, InputError, "No training image is left"),
        ({"card": {"colour": "red"}}, JobError, r"card\.colour"),
    ],
)
def test_wrong_settings_are_named_before_training(slides, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        train(job(slides, tmp_path, **changes), StopAt(1))


def test_resume_without_a_checkpoint(slides, tmp_path):
    with pytest.raises(JobError, match="no checkpoint"):
        train(job(slides, tmp_path), SilentProgress(), resume=True)


def test_where_it_ran_does_not_change_what_is_remembered(slides, tmp_path):
    one, two = job(slides, tmp_path).provenance(), job(slides, "elsewhere", device="auto").provenance()
    assert one == two
    json.dumps(one)


def test_random_numbers_of_the_host_are_left_alone(slides, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(job(slides, tmp_path, steps=1, check_every=1), SilentProgress())
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A feature network of the user's own."""
    from napari_microsr.superres.feature_job import TrainFeaturesJob, train_features

    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / f"{name}.png")
    settings = {
        "name": "own-features",
        "data": folder,
        "out": folder,
        "hold_out": ["c"],
        "arguments": {"width": 1},
        "patch_px": 32,
        "batch": 2,
        "steps": 1,
        "check_every": 1,
        "device": "cpu",
        "card": {"summary": "For tests.", "domain": "histology", "licence": "CC0-1.0"},
    }
    return str(train_features(TrainFeaturesJob.parse(settings), SilentProgress()))


def test_a_game_on_features_from_a_trained_start(slides, finished, features, tmp_path):
    changes = {
        "start": str(finished[0]),
        "loss": "mse",
        "pixel_weight": 0.4,
        "content_weight": 0.8,
        "content_network": features,
        "content_scale": "sum",
        "adversarial_weight": 1e-5,
        "discriminator": "unet",
        "ssim_weight": 0.1,
        "tv_weight": 1e-8,
        "learning_rate": 1e-6,
        "steps": 4,
        "check_every": 2,
        "show": ["b"],
    }
    epochs = []
    path = train(job(slides, tmp_path, **changes), SilentProgress(), watch=epochs.append)
    card, _ = find(path)
    assert card.loss == (
        f"0.4 mse + 0.1 SSIM + 0.8 content ({features}) + 1e-05 adversarial (least-squares, unet) "
        "+ 1e-08 total variation"
    )
    terms = {f"loss_{name}" for name in ("pixel", "ssim", "tv", "content", "adversarial", "discriminator")}
    assert terms <= epochs[-1].figures.keys()
    # Four careful steps leave a trained network nearly where it was.
    before, _ = find(finished[0])
    assert card.metrics[0].model.psnr_db == pytest.approx(before.metrics[0].model.psnr_db, abs=0.05)
    old, new = (load_network(*find(p)).state_dict() for p in (finished[0], path))
    assert not all(torch.equal(old[name], new[name]) for name in old)


def test_figures_and_pictures_stand_beside_the_baseline(slides, tmp_path):
    epochs = []
    card, _ = find(
        train(job(slides, tmp_path, steps=1, check_every=1), SilentProgress(), watch=epochs.append)
    )
    figures, metric = epochs[0].figures, card.metrics[0]
    assert figures["psnr_bicubic"] == pytest.approx(metric.baselines["bicubic"].psnr_db, abs=0.001)
    assert figures["ssim_bicubic"] == pytest.approx(metric.baselines["bicubic"].ssim, abs=0.0001)
    assert figures["psnr"] == pytest.approx(metric.model.psnr_db, abs=0.001)
    (picture,) = epochs[0].pictures
    assert list(picture.panels) == ["low", "result", "truth"]
    assert np.array_equal(picture.panels["truth"], np.asarray(Image.open(slides / "b-1.png")))
    error = (picture.panels["low"].astype(float) - picture.panels["truth"])[4:-4, 4:-4]
    assert 10 * np.log10(255**2 / (error**2).mean()) == pytest.approx(figures["psnr_bicubic"], abs=0.05)
    with Image.open(tmp_path / "tiny" / "pictures" / "b-1-png_0000001.png") as drawn:
        assert drawn.size == (3 * 96 + 4, 96)


def test_a_start_of_another_kind_is_named(slides, tmp_path):
    with pytest.raises(JobError, match="is a bicubic, not a fast-residual"):
        train(job(slides, tmp_path, start="bicubic"), SilentProgress())


def test_a_checkpoint_of_another_network_or_degradation_is_refused(slides, finished):
    out = finished[0].parent.parent
    wider = {"channels": 3, "features": 12, "blocks": 1}
    with pytest.raises(JobError, match="of another network"):
        train(job(slides, out, arguments=wider), SilentProgress(), resume=True)
    with pytest.raises(JobError, match="of other degradation"):
        train(job(slides, out, degradation="area"), SilentProgress(), resume=True)
    with pytest.raises(JobError, match="of other data"):
        train(job(slides, out, exclude=[]), SilentProgress(), resume=True)


def test_every_recipe_is_a_job(request):
    from napari_microsr.core.job import read_job_file
    from napari_microsr.tasks import TASKS

    paths = sorted((request.config.rootpath / "recipes").rglob("*.yaml"))
    assert len(paths) > 8
    for path in paths:
        task, settings = read_job_file(path)
        TASKS[task][0].parse(settings)
