"""Packages of the BioImage Model Zoo: its own library accepts what we write, and we do what it reads."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from napari_microsr.core.weights import find
from napari_microsr.errors import ModelError
from napari_microsr.superres.exchange import ExportModelJob, export_model
from napari_microsr.superres.foreign import find_model
from napari_microsr.superres.model_zoo_steps import described_steps, steps_of
from napari_microsr.superres.registry import load_network

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    # Of the zoo's library and what it brings.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))


@pytest.fixture
def spec():
    return pytest.importorskip("bioimageio.spec", reason="packages need the extra zoo")


def step(name, **kwargs):
    defaults = {"min_percentile": None, "max_percentile": None, "min": None, "max": None}
    return SimpleNamespace(id=name, kwargs=SimpleNamespace(**{**defaults, **kwargs}))


def steps(before=(), after=()):
    given, made = SimpleNamespace(preprocessing=before), SimpleNamespace(postprocessing=after)
    return steps_of("package.zip", given, made)


X = torch.tensor([[[[0.0, 51.0, 255.0]]]])


def test_a_fixed_scale_is_done_and_undone():
    found = steps([step("ensure_dtype"), step("scale_linear", gain=0.1, offset=2.0)])
    assert found.normalisation == "identity"
    torch.testing.assert_close(found.before(X), X * 0.1 + 2)
    torch.testing.assert_close(found.after(found.before(X)), X)
    found = steps([step("fixed_zero_mean_unit_variance", mean=[10.0], std=[4.0])])
    torch.testing.assert_close(found.before(X), (X - 10) / 4)
    torch.testing.assert_close(found.after(found.before(X)), X)


def test_a_scale_per_channel_is_that_of_its_channel():
    found = steps([step("scale_linear", gain=[1.0, 2.0], offset=[0.0, 5.0])])
    x = torch.ones(1, 2, 3, 3)
    assert (found.before(x)[0, 0] == 1).all()
    assert (found.before(x)[0, 1] == 7).all()


def test_what_a_package_asks_for_afterwards_replaces_our_way_back():
    found = steps([step("scale_linear", gain=0.1, offset=0.0)], [step("scale_linear", gain=3.0, offset=1.0)])
    torch.testing.assert_close(found.after(X), 3 * X + 1)
    found = steps(after=[step("sigmoid"), step("clip", min=0.6, max=0.8)])
    torch.testing.assert_close(found.after(X), X.sigmoid().clamp(0.6, 0.8))


def test_percentiles_are_left_to_the_image_wide_normalisation():
    found = steps(
        [step("scale_range", min_percentile=0.1, max_percentile=99.9)], [step("scale_mean_variance")]
    )
    assert (found.normalisation, found.note) == ("percentile", "")
    assert torch.equal(found.after(found.before(X)), X)
    found = steps([step("scale_range", min_percentile=1.0, max_percentile=99.8), step("clip", min=0, max=1)])
    assert "1 and 99.8" in found.note
    assert torch.equal(found.before(X), X.clamp(0, 1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([step("zero_mean_unit_variance")], []),
        ([step("clip", min_percentile=1.0)], []),
        ([step("scale_range", min_percentile=1.0, max_percentile=99.0)], [step("scale_linear")]),
        ([], [step("stardist_postprocessing")]),
    ],
)
def test_other_steps_are_refused_by_name(before, after):
    name = (after or before)[0].id
    with pytest.raises(ModelError, match=name):
        steps(before, after)


def test_percentiles_of_a_card_are_described_as_they_are_measured():
    card = find("bicubic")[0].model_copy(update={"normalisation": "percentile"})
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 40, 50)))
    before, after, low, high = described_steps(card, image)
    assert (low, high) == pytest.approx(np.percentile(image.numpy(), (0.1, 99.9)))
    assert before[0]["kwargs"]["axes"] == ["channel", "y", "x"]
    assert after == []


@pytest.fixture
def package(tmp_path, spec):
    return export_model(ExportModelJob(model="histology-x2", output=tmp_path / "histology.zip"))


def test_a_package_of_ours_comes_back_as_the_same_network(package):
    card, path = find_model(package)
    original, weights = find("histology-x2")
    assert (card.architecture, card.factor, card.channels) == ("bioimage-model-zoo", 2, 3)
    assert (card.halo_px, card.multiple_of) == (original.halo_px, original.multiple_of)
    assert card.licence == original.licence
    x = torch.rand(1, 3, 40, 33)
    with torch.inference_mode():
        ours = load_network(original, weights)(x) * 255
        theirs = load_network(card, path)(x * 255)
    torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=0)


def test_the_zoos_own_test_of_the_package_passes(package):
    core = pytest.importorskip("bioimageio.core", reason="packages need the extra zoo")
    assert core.test_model(package).status == "passed"


def changed(package, change):
    """Write a copy of a package with another description."""
    copy = package.with_name("changed.zip")
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name in ("rdf.yaml", "bioimageio.yaml"):
                description = yaml.safe_load(content)
                change(description)
                content = json.dumps(description).encode()
            target.writestr(name, content)
    return copy


def without_torchscript(description):
    description["weights"] = {"onnx": {**description["weights"]["torchscript"], "opset_version": 17}}
    del description["weights"]["onnx"]["pytorch_version"]


def of_one_size(description):
    for axis, size in zip(description["inputs"][0]["axes"][2:], (44, 44), strict=True):
        axis["size"] = size


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without_torchscript, r"no TorchScript weights, only onnx"),
        (of_one_size, r"one size only"),
        (lambda description: description.pop("weights"), r"no package of a model"),
    ],
)
def test_other_packages_are_refused_with_a_reason(package, change, fault):
    with pytest.raises(ModelError, match=fault):
        find_model(changed(package, change))
