"""What a run would take: trials of known speed, and the sums that are made of them."""

import pytest

from napari_microsr.batch import forecast, trial
from napari_microsr.batch.forecast import foretell
from napari_microsr.smlm.training import TrainLocalizerJob
from napari_microsr.superres.training import TrainJob

CARD = {"summary": "A test.", "domain": "histology", "licence": "CC0-1.0", "limits": "Of no use."}


def training(tmp_path, **more):
    settings = {
        "name": "own",
        "architecture": "fast-residual",
        "steps": 1000,
        "check_every": 100,
        "card": CARD,
    }
    return TrainJob(data=tmp_path, out=tmp_path, **settings, **more)


class Hands:
    """A clock that tests turn."""

    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    hands = Hands()
    monkeypatch.setattr(trial, "time", hands)
    return hands


def test_a_training_is_its_start_its_steps_and_its_epochs(tmp_path, clock, monkeypatch):
    tried = []

    def perform(job, progress):
        tried.append(job)
        clock.now += 20  # data and network
        for number, seconds in enumerate((7, 2, 2)):
            clock.now += seconds
            progress.advance("Training", number + 1, 3)
        (job.out / "last.ckpt").write_bytes(bytes(5000))
        clock.now += 30  # validation and checkpoint

    monkeypatch.setattr(trial, "perform", perform)
    [item] = foretell(training(tmp_path, devices=2, batch=8, workers=3)).items
    # 20 s, and 5 more for the first step, 1000 steps of 2 s, 10 epochs that end in 30 s.
    assert item.seconds == pytest.approx(25 + 1000 * 2 + 10 * 30)
    assert item.size_bytes == 5000
    [job] = tried
    assert (job.steps, job.check_every, job.devices, job.batch, job.workers) == (3, 3, 1, 4, 0)
    assert tmp_path not in job.out.parents
    assert not job.out.exists()


def test_a_registration_is_its_overviews_and_its_fields(tmp_path, clock, monkeypatch):
    from napari_microsr.registration.job import RegisterJob

    for number in range(40):
        (tmp_path / f"field{number}.tif").write_bytes(b"")
    (tmp_path / "over.tif").write_bytes(b"")
    monkeypatch.setattr(trial.os, "cpu_count", lambda: 4)
    tried = []

    def perform(job, progress):
        tried.extend(job.fields)
        progress.advance("overviews", 0, 1)
        clock.now += 11
        progress.advance("overviews", 1, 1)
        clock.now += 6
        job.output.write_bytes(bytes(400))

    monkeypatch.setattr(trial, "perform", perform)
    job = RegisterJob(
        overviews=[str(tmp_path / "over.tif")], fields=[str(tmp_path)], output=tmp_path / "p.json"
    )
    [item] = foretell(job).items
    assert tried == [str(tmp_path / f"field{number}.tif") for number in range(4)]  # as many as go at a time
    assert item.seconds == pytest.approx(11 + 40 * 6 / 4)
    assert item.size_bytes == 40 * 100


def test_one_trial_serves_all_jobs_of_a_task(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setitem(forecast.TRIALS, "train", lambda job: asked.append(job) or trial.Rate(10, 2, 7, 1))
    steps = [{"task": "train", **training(tmp_path).model_dump(mode="json"), "name": n} for n in ("a", "b")]
    steps[1]["steps"] = 300
    found = foretell(forecast.ChainJob(output=tmp_path / "run", steps=steps))
    assert [item.seconds for item in found.items] == [10 + 2000, 10 + 600]
    assert [item.size_bytes for item in found.items] == [1007, 307]
    assert len(asked) == 1
    assert "time: about 44 min;" in found.lines()[-1]


def test_what_nothing_is_known_of_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.setitem(forecast.TRIALS, "train", lambda job: trial.Rate(0, 0.05))
    steps = [
        {"task": "train", **training(tmp_path).model_dump(mode="json"), "name": "a"},
        {"task": "upscale", "source": "{a}", "output": "x.ome.zarr", "model": "bicubic"},
    ]
    found = foretell(forecast.ChainJob(output=tmp_path / "run", steps=steps))
    assert [item.state for item in found.items] == ["todo", "later"]
    assert found.seconds is None
    assert "2 of 2 to do; time: about 50 s without 1 of which nothing is known yet;" in found.lines()[-1]


@pytest.mark.parametrize("kind", [TrainJob, TrainLocalizerJob])
def test_every_training_has_what_its_trial_sets(kind):
    assert {"steps", "check_every", "devices", "workers", "tensorboard", "out", "batch"} <= set(
        kind.model_fields
    )
