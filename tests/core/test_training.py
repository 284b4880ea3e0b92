"""What every training keeps, tells and refuses, on a line that is fitted to points."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from napari_microsr.core import training
from napari_microsr.core.epoch import Findings, Picture, read_metrics, side_by_side
from napari_microsr.core.fitting import Fit, Schedule
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.training import StepSampler, fit
from napari_microsr.errors import DeviceError, JobError


class Points(torch.utils.data.Dataset):
    """(x, 2x + 1) as 1 x 1 images; counts what was asked for."""

    def __init__(self, spoiled=None):
        self.seen = []
        self.spoiled = spoiled

    def __getitem__(self, index):
        self.seen.append(index)
        x = torch.rand(1, 1, 1, generator=torch.Generator().manual_seed(index))
        return x, torch.full_like(x, torch.inf) if index == self.spoiled else 2 * x + 1


def line():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.Dropout(0.2), nn.Conv2d(4, 1, 1))


def plan(**changes):
    settings = {"steps": 12, "batch": 4, "learning_rate": 0.01, "ema_decay": 0.5, "check_every": 4}
    return Schedule(**{**settings, "precision": "32-true", "device": "cpu", **changes})


def look(network):
    x = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
    with torch.no_grad():
        error = float((network(x) - 2 * x - 1).square().mean())
    panel = np.full((2, 3), min(255, int(100 * error)), np.uint8)
    return Findings({"score": -error}, [Picture("five", {"low": panel, "truth": 255 - panel})])


def squares(predicted, true):
    return {"square": (predicted - true).square().mean(), "size": 0.01 * predicted.abs().mean()}


def module(network=None, loss=squares, identity=None, validate=look, **changes):
    return Fit(network or line(), loss, plan(**changes), validate, identity)


def weights(fitted):
    return torch.cat([value.detach().flatten() for value in fitted.state_dict().values()])


class At(SilentProgress):
    """Does something at a step."""

    def __init__(self, step, do):
        super().__init__()
        self.step, self.do = step, do

    def advance(self, label, done, total):
        if done == self.step:
            self.do()


def cancel():
    raise Cancelled


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    epochs = []
    # As many threads as the tests have: sums are in another order with more.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fitted = fit(module(), Points(), folder, SilentProgress(), watch=epochs.append)
    torch.set_num_threads(threads)
    return SimpleNamespace(folder=folder, epochs=epochs, weights=weights(fitted))


def test_each_epoch_is_told_and_written(finished):
    assert [epoch.step for epoch in finished.epochs] == [4, 8, 12]
    assert {epoch.steps for epoch in finished.epochs} == {12}
    rows = read_metrics(finished.folder)
    for row, epoch in zip(rows, finished.epochs, strict=True):
        assert row == pytest.approx({"step": epoch.step, **epoch.figures})
        assert set(epoch.figures) == {"score", "loss", "loss_square", "loss_size"}
        terms = epoch.figures["loss_square"] + epoch.figures["loss_size"]
        assert epoch.figures["loss"] == pytest.approx(terms, rel=1e-5)
        picture = np.asarray(Image.open(finished.folder / "pictures" / f"five_{epoch.step:07d}.png"))
        assert np.array_equal(picture, side_by_side(epoch.pictures[0]))
        assert picture.shape == (2, 3 + 2 + 3)
    assert {"last.ckpt", "best.ckpt"} <= {path.name for path in finished.folder.iterdir()}


def test_the_average_forgets_the_start_of_a_batch_norm(tmp_path):
    faint = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1))
    fitted = fit(module(faint, ema_decay=0.999, steps=60, batch=32), Points(), tmp_path, SilentProgress())
    # Uniform from 0 to 1; a batch norm begins at a variance of 1.
    assert float(fitted.state_dict()["0.running_var"]) == pytest.approx(1 / 12, rel=0.3)


def test_the_best_checkpoint_is_that_of_the_best_score(tmp_path):
    scores = iter([1.0, 3.0, 2.0])
    fit(module(validate=lambda _: {"score": next(scores)}), Points(), tmp_path, SilentProgress())
    steps = [torch.load(tmp_path / f"{n}.ckpt", weights_only=True)["global_step"] for n in ("best", "last")]
    assert steps == [8, 12]


def test_a_killed_run_keeps_its_last_epoch_and_goes_on_to_the_same_weights(finished, tmp_path):
    # What lies on the disk in the middle of an epoch is all that a killed process leaves.
    run, left = tmp_path / "run", tmp_path / "left"
    fit(module(), Points(), run, At(6, lambda: shutil.copytree(run, left)))
    assert [row["step"] for row in read_metrics(left)] == [4]
    points = Points()
    fitted = fit(module(), points, left, SilentProgress(), resume=True)
    assert torch.equal(weights(fitted), finished.weights)
    assert points.seen == list(range(16, 48))
    assert (left / "metrics.csv").read_text() == (finished.folder / "metrics.csv").read_text()


def test_rows_after_the_checkpoint_are_made_anew(finished, tmp_path):
    # Killed between the table of an epoch and its checkpoint.
    run, left = tmp_path / "run", tmp_path / "left"
    fit(module(), Points(), run, At(6, lambda: shutil.copytree(run, left)))
    shutil.copy(finished.folder / "metrics.csv", left)
    fit(module(), Points(), left, SilentProgress(), resume=True)
    assert [row["step"] for row in read_metrics(left)] == [4, 8, 12]


def test_a_run_starts_its_table_afresh(tmp_path):
    for _ in range(2):
        fit(module(steps=4), Points(), tmp_path, SilentProgress())
    assert [row["step"] for row in read_metrics(tmp_path)] == [4]


def test_an_infinite_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    bad = 4 * 9 + 1  # in step 10
    with pytest.raises(JobError, match=r"\(square\) at step 10.*Lower learning_rate \(now 0\.01\)"):
        fit(module(), Points(spoiled=bad), tmp_path, SilentProgress())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 8
    assert all(bool(torch.isfinite(v).all()) for v in saved["state_dict"].values())


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    step = iter(range(1, 13))

    def steep(predicted, true):
        """Finite, but in step 8 with a slope that is not."""
        return squares(predicted, true)["square"] + (0 * predicted if next(step) == 8 else true).sqrt().sum()

    with pytest.raises(JobError, match="Weights are not finite"):
        fit(module(loss=steep), Points(), tmp_path, SilentProgress())
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_lower_rate_takes_effect_when_resumed(tmp_path):
    with pytest.raises(Cancelled):
        fit(module(), Points(), tmp_path, At(5, cancel))
    before = torch.load(tmp_path / "last.ckpt", weights_only=True)
    resumed = fit(module(learning_rate=1e-9), Points(), tmp_path, SilentProgress(), resume=True)
    current = torch.cat([value.flatten() for value in before["current_model_state"].values()])
    assert torch.allclose(weights(resumed), current, atol=1e-2)
    after = torch.load(tmp_path / "last.ckpt", weights_only=True)
    current_after = torch.cat([value.flatten() for value in after["current_model_state"].values()])
    assert torch.allclose(current, current_after, atol=1e-6)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    fit(module(identity={"data": "3 slides"}), Points(), tmp_path, SilentProgress())

    def resume(*arguments, **changes):
        fit(module(*arguments, **changes), Points(), tmp_path, SilentProgress(), resume=True)

    with pytest.raises(JobError, match="of another network: 3 of its weights"):
        resume(nn.Sequential(nn.Conv2d(1, 5, 1), nn.Dropout(), nn.Conv2d(5, 1, 1)))
    with pytest.raises(JobError, match="of other data: 3 slides, not 4 slides"):
        resume(identity={"data": "4 slides"})
    with pytest.raises(JobError, match="of other steps: 12, not 16"):
        resume(steps=16)
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(JobError, match="cannot be read"):
        resume()
    (tmp_path / "last.ckpt").unlink()
    with pytest.raises(JobError, match="no checkpoint"):
        resume()


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_weights_stay_float32_in_mixed_precision(precision, tmp_path):
    kinds = []
    loss = lambda predicted, true: (kinds.append(predicted.dtype), squares(predicted, true))[1]  # noqa: E731
    fitted = fit(module(loss=loss, steps=4, precision=precision), Points(), tmp_path, SilentProgress())
    assert set(kinds) == {torch.bfloat16 if precision == "bf16-mixed" else torch.float32}
    assert {value.dtype for value in fitted.state_dict().values()} == {torch.float32}


def test_a_loss_with_weights_is_neither_trained_nor_kept(tmp_path):
    class Through(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = nn.Conv2d(1, 1, 1)

        def forward(self, predicted, true):
            return (self.network(predicted) - self.network(true)).square().mean()

    loss = Through()
    before = weights(loss)
    fit(module(loss=loss, steps=4), Points(), tmp_path, SilentProgress())
    assert torch.equal(before, weights(loss))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(name.startswith("network.") for name in saved["state_dict"])


def test_processes_share_each_steps_pairs():
    def indices(rank, world, step):
        trainer = SimpleNamespace(world_size=world, global_rank=rank, global_step=step)
        sampler = StepSampler(trainer, steps=3, batch=6, updates=2)
        found = list(sampler)
        assert len(found) == len(sampler)
        return found

    alone = indices(0, 1, 8)
    assert alone == list(range(24, 42))
    shared = np.stack([indices(rank, 3, 8) for rank in range(3)])
    by_step = shared.reshape(3, 3, 2).transpose(1, 0, 2).reshape(-1)
    assert by_step.tolist() == alone


def test_several_devices_are_not_started_from_napari(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "napari", SimpleNamespace())
    with pytest.raises(DeviceError, match="napari would open again"):
        fit(module(devices=2), Points(), tmp_path, SilentProgress())


def test_tensorboard_that_is_missing_is_named(monkeypatch, tmp_path):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'tensorboard'")

    monkeypatch.setattr(training, "TensorBoardLogger", missing)
    with pytest.raises(JobError, match=r"napari-microsr\[tensorboard\]"):
        fit(module(tensorboard=True), Points(), tmp_path, SilentProgress())
