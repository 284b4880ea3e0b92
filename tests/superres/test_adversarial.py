"""The sources' discriminators never learned, and their gradients stopped: here they do not."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from napari_microsr.core.fitting import Schedule
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.training import fit
from napari_microsr.superres.adversarial import GAMES, AdversarialFit
from napari_microsr.superres.content import Content, Features
from napari_microsr.superres.losses import LOSSES, Terms
from napari_microsr.superres.networks.minivgg import MiniVGG


class Stripes(torch.utils.data.Dataset):
    """Fine stripes, and what is left of them at half the size: nothing but grey."""

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        high = torch.zeros(1, 16, 16)
        high[:, :, int(torch.randint(2, (), generator=generator)) :: 2] = 1
        high += 0.1 * torch.randn(1, 16, 16, generator=generator)
        return nn.functional.avg_pool2d(high, 2), high


class Enlarge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Dropout(0.1), nn.LeakyReLU(0.2))
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.last(self.layers(x)), 2)


def discriminator():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(128, 1),
    )


def adversarial(loss=None, game="least-squares", steps=30, weight=0.1, **options):
    torch.manual_seed(1)
    schedule = Schedule(
        steps, 4, 3e-3, ema_decay=0.5, check_every=steps // 2, precision="32-true", device="cpu"
    )
    loss = loss or Terms({"pixel": (1.0, LOSSES["l1"])})
    return AdversarialFit(
        Enlarge(),
        loss,
        schedule,
        lambda network: {"score": 0.0},
        discriminator=discriminator(),
        game=GAMES[game],
        weight=weight,
        rate=3e-3,
        **options,
    )


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("game", "options"),
    [("least-squares", {}), ("bce", {}), ("wgan-gp", {"critic_steps": 2, "penalty": 10.0})],
    ids=str,
)
def test_the_discriminator_learns_to_tell_true_from_made(game, options, tmp_path):
    module = adversarial(game=game, weight=1e-6, **options)
    before = state(module)
    epochs = []
    fit(module, Stripes(), tmp_path, SilentProgress(), watch=epochs.append)
    after = state(module)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    learned = {name for name, _ in module.discriminator.named_parameters(prefix="discriminator")}
    if game == "wgan-gp":
        learned -= {"discriminator.6.bias"}  # a difference of scores knows no offset
    assert learned <= set(changed)
    assert {name for name, _ in module.network.named_parameters(prefix="network")} <= set(changed)
    pairs = [Stripes()[i] for i in range(1000, 1032)]
    low, high = (torch.stack(part) for part in zip(*pairs, strict=True))
    with torch.no_grad():
        true = module.discriminator.eval()(high)
        made = module.discriminator(module.network(low))
    assert float(true.min()) > float(made.max()), "every true image scores above every made one"
    figures = epochs[-1].figures
    assert figures["score_true"] > figures["score_made"]
    assert [epoch.step for epoch in epochs] == [15, 30]
    assert {"loss", "loss_pixel", "loss_adversarial", "loss_discriminator"} <= figures.keys()


def generator_gradient(term, network, low, high):
    """Gradient of one weight of the generator by autograd, and by finite differences in double."""
    weight = network.last.weight
    loss = term(network(low), high)
    (slope,) = torch.autograd.grad(loss, weight)
    step, place = 1e-6, (0, 3, 1, 1)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * step
            values.append(float(term(network(low), high)))
            weight[place] -= sign * step
    return slope, float(slope[place]), (values[0] - values[1]) / (2 * step)


def the_content_term():
    torch.manual_seed(3)
    return Content(Features(MiniVGG(channels=1, classes=2, width=2).double(), 1, ("1b", "2b")))


def the_adversarial_term():
    torch.manual_seed(3)
    judge = discriminator().double().eval().requires_grad_(False)
    return lambda made, _true: GAMES["least-squares"].generator(judge(made))


@pytest.mark.parametrize("make", [the_content_term, the_adversarial_term], ids=lambda make: make.__name__)
def test_gradients_reach_the_generator_through_each_term_alone(make):
    torch.manual_seed(0)
    network = Enlarge().double().eval()
    low, high = (x[None].double() for x in Stripes()[0])
    slope, exact, measured = generator_gradient(make(), network, low, high)
    assert float(slope.abs().min()) > 0
    assert exact == pytest.approx(measured, rel=1e-4)


@pytest.mark.parametrize("term", ["content", "adversarial"])
def test_the_generator_learns_from_each_term_alone(term, tmp_path):
    nothing = Terms({"pixel": (0.0, LOSSES["l1"])})
    torch.manual_seed(3)
    content = Content(Features(MiniVGG(channels=1, classes=2, width=2), 1, ("1b",)))
    module = adversarial(
        Terms({"content": (1.0, content)}) if term == "content" else nothing,
        weight=0.0 if term == "content" else 1.0,
    )
    before, features = state(module.network), state(content)
    epochs = []
    fit(module, Stripes(), tmp_path, SilentProgress(), watch=epochs.append)
    after = state(module.network)
    assert not any(torch.equal(before[name], after[name]) for name in before)
    assert same(features, state(content)), "the feature network is left alone"
    if term == "content":
        assert epochs[-1].figures["loss_content"] < 0.9 * epochs[0].figures["loss_content"]


def test_the_discriminator_learns_nothing_in_the_generators_turn():
    module = adversarial()
    seen = []
    module.optimizers = lambda: ["network", "discriminator"]
    module.lr_schedulers = lambda: []
    module.log = lambda *args, **options: None
    module.step = lambda optimizer, loss: seen.append(
        (optimizer, torch.autograd.grad(loss, list(module.discriminator.parameters()), allow_unused=True))
        if optimizer == "discriminator"
        else (optimizer, [p.requires_grad for p in module.discriminator.parameters()])
    )
    module.training_step([torch.stack(x) for x in zip(*[Stripes()[i] for i in range(4)], strict=True)], 0)
    assert [who for who, _ in seen] == ["discriminator", "network"]
    assert all(slope is not None and float(slope.abs().sum()) > 0 for slope in seen[0][1])
    assert not any(seen[1][1])


class CancelAt(SilentProgress):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def advance(self, label, done, total):
        if done == self.step:
            raise Cancelled


def test_a_stopped_game_goes_on_to_the_same_weights(tmp_path):
    options = {"game": "wgan-gp", "critic_steps": 2, "penalty": 10.0, "steps": 8}
    whole = adversarial(**options)
    fit(whole, Stripes(), tmp_path / "whole", SilentProgress())
    with pytest.raises(Cancelled):
        fit(adversarial(**options), Stripes(), tmp_path / "cut", CancelAt(6))
    resumed = adversarial(**options)
    epochs = []
    fit(resumed, Stripes(), tmp_path / "cut", SilentProgress(), resume=True, watch=epochs.append)
    assert same(state(whole), state(resumed))
    assert [epoch.step for epoch in epochs] == [8]
    saved = torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)
    assert len(saved["optimizer_states"]) == len(saved["lr_schedulers"]) == 2
    assert all(s["state"] for s in saved["optimizer_states"])
    table = (tmp_path / "whole" / "metrics.csv").read_text()
    assert table == (tmp_path / "cut" / "metrics.csv").read_text()


PROGRAM = """
import importlib.util, sys
from dataclasses import replace
from pathlib import Path
import torch
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.training import fit

spec = importlib.util.spec_from_file_location("game", {file!r})
game = importlib.util.module_from_spec(spec)
spec.loader.exec_module(game)
torch.set_num_threads(1)
module = game.same_in_each_process()
module.schedule = replace(module.schedule, devices=2)
fit(module, game.Stripes(), Path({folder!r}), SilentProgress())
print("exported once")
"""


def same_in_each_process():
    """A game without what each process draws or averages for itself."""
    module = adversarial(steps=4)
    module.network.layers[1].p = 0.0
    module.discriminator[1] = nn.Identity()
    return module


def test_two_processes_train_what_one_does(tmp_path):
    alone = same_in_each_process()
    fit(alone, Stripes(), tmp_path / "one", SilentProgress())
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(file=__file__, folder=str(tmp_path / "two")))
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("exported once") == 1
    shared = torch.load(tmp_path / "two" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in state(alone).items():
        assert torch.allclose(value, shared[name], atol=1e-6), name
