"""Networks of other programs through the tiler, and ours for other programs."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from napari_microsr.cli import execute
from napari_microsr.core.image import ImageSource
from napari_microsr.core.weights import find, list_cards
from napari_microsr.errors import ModelError, OutputError
from napari_microsr.superres.exchange import ExportModelJob, export_model
from napari_microsr.superres.foreign import find_model
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.networks.fast import FastResidual
from napari_microsr.superres.networks.swift_srgan import SwiftSRGAN
from napari_microsr.superres.registry import build_network, load_network

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path / "home"))


def network(factor=2, channels=3):
    torch.manual_seed(0)
    module = FastResidual(channels, 8, 2, factor).eval().requires_grad_(False)
    nn.init.kaiming_normal_(module.tail.weight)
    return module


def saved(module, path, channels=3, size=32):
    torch.jit.trace(module, torch.rand(1, channels, size, size)).save(str(path))
    return path


def run(image, model, output, **settings):
    job = UpscaleJob(source="image", output=output, model=str(model), device="cpu", **settings)
    rgb = image.ndim == 3
    source = ImageSource.from_array(image, axes="yxc" if rgb else "yx", rgb=rgb)
    (path,) = upscale(job, source=source)
    return zarr.open_array(path / "0")[:]


class AddMean(nn.Module):
    def forward(self, x):
        return x + 0.1 * x.mean(dim=(2, 3), keepdim=True)


def test_a_torchscript_file_is_tiled_exactly(tmp_path):
    module = network()
    path = saved(module, tmp_path / "theirs.pt")
    card, weights = find_model(path)
    assert (card.id, card.architecture, card.factor, card.channels) == ("theirs", "torchscript", 2, 3)
    assert (card.halo_px, card.multiple_of) == (6, 1)
    assert card.parameters == sum(p.numel() for p in module.parameters())
    image = np.random.default_rng(0).integers(0, 256, (70, 53, 3), np.uint8)
    result = run(image, path, tmp_path / "result", tile_px=16)
    pixels = torch.from_numpy(np.pad(image, ((9, 9), (9, 9), (0, 0)), "edge").transpose(2, 0, 1)[None] / 255)
    exact = module(pixels.float())[0, :, 18:-18, 18:-18].numpy() * 255
    assert np.abs(result - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
    assert load_network(card, weights)(pixels.float()).dtype == torch.float32


def test_a_single_channel_is_recognised(tmp_path):
    card, _ = find_model(saved(network(channels=1), tmp_path / "grey.pt", channels=1))
    assert card.channels == 1


def test_the_command_takes_a_foreign_file_and_the_list_of_models_stays(tmp_path, capsys):
    from PIL import Image

    before = list_cards()
    Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / "image.png")
    path = saved(network(), tmp_path / "theirs.pt")
    assert execute(["upscale", str(tmp_path / "image.png"), str(tmp_path / "out"), "--model", str(path)]) == 0
    capsys.readouterr()
    assert zarr.open_array(tmp_path / "out.ome.zarr" / "0").shape == (3, 40, 60)
    assert list_cards() == before


def test_halo_is_measured_once(tmp_path, monkeypatch):
    path = saved(network(), tmp_path / "theirs.pt")
    first, _ = find_model(path)
    monkeypatch.setattr("napari_microsr.superres.foreign.probe", None)
    assert find_model(path)[0] == first


def test_a_network_that_looks_everywhere_is_refused_unless_an_overlap_is_given(tmp_path):
    path = saved(AddMean(), tmp_path / "mean.pt")
    with pytest.raises(ModelError, match=r"mean.pt cannot be tiled.*overlap"):
        find_model(path)
    card, _ = find_model(path, overlap_px=5)
    assert (card.halo_px, card.multiple_of) == (5, 1)
    assert "seams" in card.limits
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    assert run(image, path, tmp_path / "result", overlap_px=5, tile_px=16).shape == (3, 40, 40)


def test_a_changed_file_is_not_run(tmp_path):
    path = saved(network(), tmp_path / "theirs.pt")
    card, _ = find_model(path)
    saved(network(factor=4), path)
    with pytest.raises(ModelError, match="has changed"):
        load_network(card, path)


class Flat(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def test_files_that_make_no_images_are_named(tmp_path):
    with pytest.raises(ModelError, match="makes no image"):
        find_model(saved(Flat(), tmp_path / "classifier.pt"))
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "broken.pth").write_bytes(b"no pickle")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    for name in ("empty.zip", "broken.pth", "broken.safetensors"):
        with pytest.raises(ModelError, match=name):
            find_model(tmp_path / name)


def weights_only(tmp_path):
    path = tmp_path / "swift.pth"
    torch.save({"model": SwiftSRGAN(features=8, blocks=2).state_dict(), "epoch": 3}, path)
    return path


def test_without_spandrel_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=r"no card swift\.json.*napari-microsr\[zoo\]"):
        find_model(weights_only(tmp_path))


class BrokenTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """A torchvision that was built for another torch."""

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name in ("spandrel", "torchvision") else None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        if module.__name__ == "spandrel":
            importlib.import_module("torchvision")
        raise RuntimeError("operator torchvision::nms does not exist")


@pytest.fixture
def broken_torchvision(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("spandrel", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [BrokenTorchvision(), *sys.meta_path])


@pytest.mark.usefixtures("broken_torchvision")
def test_where_torchvision_is_broken_the_error_names_it_and_the_rest_works(tmp_path):
    with pytest.raises(ModelError, match=r"operator torchvision::nms.*belongs to your torch"):
        find_model(weights_only(tmp_path))
    assert find_model(saved(network(), tmp_path / "theirs.pt"))[0].factor == 2
    assert find_model("histology-x2")[0].id == "histology-x2"


def working_spandrel():
    try:
        return importlib.import_module("spandrel")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"spandrel does not work here: {error}")


def test_spandrel_reads_our_swift_srgan_as_its_own(tmp_path):
    working_spandrel()
    card, path = find_model(weights_only(tmp_path))
    assert (card.architecture, card.factor, card.halo_px) == ("spandrel", 4, 12)
    ours = SwiftSRGAN(features=8, blocks=2).eval()
    ours.load_state_dict(torch.load(path, weights_only=True)["model"])
    x = torch.rand(1, 3, 20, 17)
    assert torch.equal(load_network(card, path)(x), ours(x))


def test_weights_that_nobody_knows_are_refused(tmp_path):
    working_spandrel()
    torch.save({"a": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=r"odd\.pth has no card"):
        find_model(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("bicubic", {"channels": 3}),
        ("conditioned-residual", {"features": 8, "blocks": 1}),
        ("residual-unet", {}),
        ("srresnet-x4", {"features": 8, "blocks": 1}),
        ("swift-srgan", {"features": 8, "blocks": 1, "skip": "bicubic"}),
        ("unet-generator", {}),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "onnx"])
def test_networks_compute_the_same_in_other_formats(tmp_path, name, arguments, suffix):
    run_exported = READERS[suffix]()
    module = build_network(name, **arguments).eval().requires_grad_(False)
    for parameter in module.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.kaiming_normal_(parameter)
    grid = 16 if "unet" in name else 1
    conditioned = name == "conditioned-residual"
    base, _ = find("bicubic")
    card = base.model_copy(update={"channels": 5 if conditioned else 3, "multiple_of": grid})
    path = tmp_path / f"network.{suffix}"
    write(module, card, path)
    x = torch.rand(2, card.channels, 3 * grid, 5 * grid)
    expected = module(x)
    torch.testing.assert_close(run_exported(path, x), expected, atol=1e-5, rtol=1e-5)


def write(module, card, path):
    from napari_microsr.superres.traced import trace, write_onnx

    if path.suffix == ".onnx":
        write_onnx(module, card, path)
    else:
        trace(module, card).save(str(path))


def torchscript_reader():
    return lambda path, x: torch.jit.load(str(path))(x)


def onnx_reader():
    pytest.importorskip("onnx", reason="ONNX is written with the package onnx (extra onnx)")
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator as Session
    else:
        Session = onnxruntime.InferenceSession
    return lambda path, x: torch.from_numpy(Session(str(path)).run(None, {"image": x.numpy()})[0])


READERS = {"pt": torchscript_reader, "onnx": onnx_reader}


def test_the_command_exports_a_shipped_network_that_then_gives_the_same_image(tmp_path, capsys):
    path = tmp_path / "exported.pt"
    assert execute(["export", "histology-x2", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3), np.uint8)
    ours = run(image, "histology-x2", tmp_path / "ours", precision="float32")
    theirs = run(image, path, tmp_path / "theirs")
    # The tiles differ in size, so that rounding may fall to the other side.
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.999


def test_exports_are_refused_with_a_reason(tmp_path, monkeypatch):
    def export(model, name, **settings):
        return export_model(ExportModelJob(model=model, output=tmp_path / name, **settings))

    with pytest.raises(OutputError, match=r"\.pt, \.onnx, \.zip"):
        export("bicubic", "network.h5")
    with pytest.raises(ModelError, match="does not make an image"):
        export("emitters-2d", "network.pt")
    export("bicubic", "network.pt")
    with pytest.raises(OutputError, match="is there already"):
        export("bicubic", "network.pt")
    export("bicubic", "network.pt", restart=True)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"napari-microsr\[onnx\]"):
        export("bicubic", "network.onnx")
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(ModelError, match=r"bioimageio.*napari-microsr\[zoo\]"):
        export("bicubic", "network.zip")
