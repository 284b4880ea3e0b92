"""A short training: it learns, goes on after a stop as if there had been none, and leaves a usable model."""

import numpy as np
import pytest
import torch

from napari_microsr.core.image import ImageSource
from napari_microsr.core.job import read_job_file
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.weights import find, read_card
from napari_microsr.errors import JobError, ModelError
from napari_microsr.smlm import export
from napari_microsr.smlm.evaluation import best_threshold, frames_of, usual_scene
from napari_microsr.smlm.export import settle
from napari_microsr.smlm.job import LocalizeJob, localize
from napari_microsr.smlm.networks.emitters import Emitters2d
from napari_microsr.smlm.patches import TrainingRanges
from napari_microsr.smlm.registry import build_network, load_network
from napari_microsr.smlm.training import TrainLocalizerJob, train_localizer

CARD = {"summary": "A test.", "domain": "smlm", "licence": "BSD-3-Clause"}


def job(folder, name="tiny", **settings):
    settings = {
        "arguments": {"features": 4, "blocks": [1, 1, 1]},
        "patch_px": 16,
        "batch": 4,
        "steps": 4,
        "check_every": 2,
        "ema_decay": 0.5,
        "precision": "32-true",
        "device": "cpu",
        "card": CARD,
    } | settings
    return TrainLocalizerJob(name=name, out=folder, **settings)


@pytest.fixture(autouse=True)
def _few_frames(monkeypatch):
    monkeypatch.setattr(export, "FRAMES", {0.2: 1, 2.0: 1, 5.0: 1})
    monkeypatch.setattr(export, "SIDE_PX", 24)


class CancelAt(SilentProgress):
    def advance(self, label, done, total):
        if done >= 3:
            raise Cancelled


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    whole = train_localizer(job(tmp_path / "whole"), SilentProgress())
    with pytest.raises(Cancelled):
        train_localizer(job(tmp_path / "cut"), CancelAt())
    resumed = train_localizer(job(tmp_path / "cut"), SilentProgress(), resume=True)
    assert resumed.read_bytes() == whole.read_bytes()


def test_the_model_localises_and_says_what_it_is(tmp_path):
    path = train_localizer(job(tmp_path), SilentProgress())
    card = read_card(path.with_suffix(".json"))
    assert (card.task, card.domain, card.factor) == ("localization", "smlm", 1)
    assert card.trained_on[0].images == 16
    assert "efficiency at 5 per µm²" in card.figures
    network = load_network(*find(path))
    assert network.threshold == card.arguments["threshold"]
    frames = np.full((2, 20, 20), 120, np.uint16)
    settings = LocalizeJob(
        source="-", output=tmp_path / "out.csv", pixel_nm=100, model=str(path), offset=100, device="cpu"
    )
    localize(settings, source=ImageSource.from_array(frames, axes="tyx"))
    assert (tmp_path / "out.csv").is_file()


def test_it_goes_on_from_another_network(tmp_path):
    first = train_localizer(job(tmp_path, "first"), SilentProgress())
    settings = {"start": str(first), "learning_rate": 1e-9, "steps": 2, "seed": 4}
    again = train_localizer(job(tmp_path, "again", **settings), SilentProgress())
    before, after = (load_network(*find(path)).state_dict() for path in (first, again))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_it_learns(tmp_path):
    from napari_microsr.smlm.datasets import PatchDataset
    from napari_microsr.smlm.losses import emitter_loss

    path = train_localizer(job(tmp_path, steps=40, check_every=40, learning_rate=0.01), SilentProgress())
    unseen = PatchDataset(TrainingRanges(), 16, seed=99)
    inputs, targets = (torch.stack(part) for part in zip(*[unseen[i] for i in range(16)], strict=True))
    torch.manual_seed(0)
    before = Emitters2d(features=4, blocks=(1, 1, 1))
    with torch.no_grad():
        first, last = (emitter_loss(net(inputs), targets) for net in (before, load_network(*find(path))))
    assert last < first - 1


def test_threshold_and_errors_are_settled_on_the_frames(tmp_path):
    torch.manual_seed(0)
    network = Emitters2d(features=4, blocks=(1, 1, 1)).eval()
    outcomes = settle(network, TrainingRanges())
    assert len(outcomes) == 3
    assert 0.3 <= network.threshold <= 0.8


def test_the_best_threshold_is_the_best_efficiency():
    truth = frames_of(usual_scene(2.0), 3, 2, 64).truth
    n = len(truth)
    twice = truth.select(np.r_[np.arange(n), np.arange(n)])
    probability = np.r_[np.full(n, 0.9), np.full(n, 0.45)]
    found = twice.replace(probability=probability, x=twice.x + np.r_[np.zeros(n), np.full(n, 5.0)])
    assert best_threshold([(truth, found)], (0.3, 0.5, 0.95)) == 0.5


@pytest.mark.parametrize(
    "settings",
    [{"steps": 7}, {"sigma_px": (2.0, 1.0)}, {"photons": (0.0, 10.0)}, {"patch_px": 18}, {"batch": 0}],
    ids=str,
)
def test_settings_that_will_not_do(tmp_path, settings):
    with pytest.raises((JobError, ValueError)):
        train_localizer(job(tmp_path, **settings), SilentProgress())


def test_unknown_networks_and_arguments_are_named():
    with pytest.raises(ModelError, match="emitters-2d"):
        build_network("bicubic")
    with pytest.raises(ModelError, match="colours"):
        build_network("emitters-2d", colours=3)


def test_the_recipe_is_a_job(request):
    task, settings = read_job_file(request.config.rootpath / "recipes" / "emitters-2d.yaml")
    assert task == TrainLocalizerJob.task
    assert TrainLocalizerJob.parse(settings).name == "emitters-2d"
