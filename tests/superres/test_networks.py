import numpy as np
import pytest
import torch
from PIL import Image

from napari_microsr.errors import ModelError
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.networks.fast import FastResidual
from napari_microsr.superres.networks.residual_unet import ResidualUNet, decode_residual, encode_residual
from napari_microsr.superres.receptive import probe
from napari_microsr.superres.registry import ARCHITECTURES, build_network


def randomised(module, seed=0):
    """Undo the initialisation that makes a fresh network equal its baseline."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return module.eval()


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(16, 16), (13, 9)])
def test_bicubic_equals_pillow_inside(factor, size):
    image = np.random.default_rng(0).random(size, dtype=np.float32)
    pillow = Image.fromarray(image).resize((size[1] * factor, size[0] * factor), Image.Resampling.BICUBIC)
    ours = Bicubic(factor=factor)(torch.from_numpy(image)[None, None])[0, 0].numpy()
    inside = slice(2 * factor, -2 * factor)
    np.testing.assert_allclose(ours[inside, inside], np.asarray(pillow)[inside, inside], atol=2e-6)


def test_bicubic_equals_torch_inside():
    x = torch.rand(2, 5, 12, 15)
    theirs = torch.nn.functional.interpolate(x, scale_factor=2, mode="bicubic", antialias=True)
    torch.testing.assert_close(Bicubic(factor=2)(x)[..., 4:-4, 4:-4], theirs[..., 4:-4, 4:-4])


def test_bicubic_keeps_a_constant_and_a_ramp():
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    fine = Bicubic(factor=2)(ramp)[0, 0, 0]
    torch.testing.assert_close(fine[4:-4], torch.arange(24.0)[4:-4] / 2 - 0.25)
    torch.testing.assert_close(
        Bicubic(factor=3)(torch.full((1, 1, 1, 1), 0.7)), torch.full((1, 1, 3, 3), 0.7)
    )


def test_bicubic_stays_float32_under_autocast():
    x = torch.rand(1, 3, 16, 16)
    module = Bicubic(factor=2)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = module(x)
    assert reduced.dtype == torch.float32
    assert torch.equal(reduced, module(x))


def test_untrained_fast_residual_is_bicubic():
    x = torch.rand(1, 3, 9, 11)
    torch.testing.assert_close(FastResidual(3, 8, 2, 2)(x), Bicubic(factor=2)(x))


@pytest.mark.parametrize(("features", "blocks"), [(32, 4), (48, 8)])
def test_fast_residual_counts_its_convolutions(features, blocks):
    network = FastResidual(3, features, blocks, 2)
    body = blocks * (2 * (9 * features**2 + features) + features)
    head_and_tail = 27 * features + features + 12 * 9 * features + 12
    assert sum(p.numel() for p in network.parameters()) == body + head_and_tail


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (17, 12)])
def test_fast_residual_magnifies_any_size(channels, factor, size):
    network = randomised(FastResidual(channels, 4, 1, factor))
    y = network(torch.rand(2, channels, *size))
    assert y.shape == (2, channels, factor * size[0], factor * size[1])
    assert y.dtype == torch.float32
    assert y.isfinite().all()


def test_residual_unet_is_the_published_size():
    assert sum(p.numel() for p in ResidualUNet().parameters()) == 1_351_059


def test_untrained_residual_unet_changes_nothing():
    x = torch.rand(1, 3, 16, 32)
    assert torch.equal(ResidualUNet()(x), x)


@pytest.mark.parametrize("head", ["linear", "sigmoid"])
def test_residual_unet_returns_input_minus_residual(head):
    network = randomised(ResidualUNet(head=head))
    x = torch.rand(1, 3, 32, 16)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), x - network.residual(x))


def test_sigmoid_head_stays_within_the_code_range():
    network = randomised(ResidualUNet(head="sigmoid"))
    with torch.inference_mode():
        residual = network.residual(torch.rand(1, 3, 32, 32)) * 255
    assert residual.min() >= -63.5 - 1e-4
    assert residual.max() <= 64 + 1e-4
    assert residual.std() > 0.1


@pytest.mark.parametrize("head", ["linear", "sigmoid"])
def test_result_does_not_depend_on_the_batch(head):
    # The published system normalised each batch by its minimum and maximum.
    network = randomised(ResidualUNet(head=head))
    dark, bright = torch.rand(1, 3, 16, 16) * 0.1, torch.rand(1, 3, 16, 16) * 0.2 + 0.8
    with torch.inference_mode():
        together = network(torch.cat([dark, bright]))
        torch.testing.assert_close(together[:1], network(dark), atol=1e-5, rtol=1e-5)


def test_residual_code_is_the_source_formula_in_8_bits():
    low, high = np.mgrid[0:256:5, 0:256:5].astype(float)
    expected = np.clip(127 + 2 * (low - high), 0, 255)
    code = encode_residual(torch.from_numpy(low / 255), torch.from_numpy(high / 255)).numpy() * 255
    np.testing.assert_allclose(code, expected, atol=1e-9)
    assert code.min() == 0
    assert code.max() == 255


def test_decoding_inverts_where_nothing_was_clipped():
    low, high = torch.from_numpy(np.mgrid[0:256:5, 0:256:5].astype(float) / 255)
    decoded = decode_residual(low, encode_residual(low, high))
    kept = ((low - high) * 255 >= -63.5) & ((low - high) * 255 <= 64)
    torch.testing.assert_close(decoded[kept], high[kept])
    clipped = (low - high) * 255 > 64
    torch.testing.assert_close(decoded[clipped], low[clipped] - 64 / 255)


@pytest.mark.parametrize(
    ("name", "arguments", "tile"),
    [
        ("bicubic", {"factor": 2}, 7),
        ("fast-residual", {"features": 8, "blocks": 2, "factor": 2}, 13),
        ("residual-unet", {}, 32),
        ("residual-unet", {"head": "sigmoid"}, 32),
    ],
)
def test_a_tile_with_its_halo_equals_the_whole_image(name, arguments, tile):
    network = randomised(build_network(name, **arguments))
    halo, multiple = probe(network, 3)
    halo = -(-halo // multiple) * multiple
    y, x = 2 * multiple + halo, multiple + halo
    image = torch.rand(1, 3, y + tile + halo + 2 * multiple, x + tile + halo + multiple)
    with torch.inference_mode():
        whole = network(image)
        part = network(image[..., y - halo : y + tile + halo, x - halo : x + tile + halo])
    factor = whole.shape[-1] // image.shape[-1]
    inside = part[..., factor * halo : factor * (halo + tile), factor * halo : factor * (halo + tile)]
    expected = whole[..., factor * y : factor * (y + tile), factor * x : factor * (x + tile)]
    torch.testing.assert_close(inside, expected, atol=2e-6 * float(whole.abs().max()), rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_bfloat16_on_channels_last_is_close(architecture):
    torch.manual_seed(0)
    network = architecture.build().eval().to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        if not parameter.any() and parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    channels = 5 if architecture.conditioned else 3
    x = torch.rand(1, channels, 32, 32).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            reduced = network(x)
    assert reduced.dtype == torch.float32
    assert (reduced - exact).abs().max() < 0.05 * exact.std()


def test_unknown_network_names_the_known_ones():
    with pytest.raises(ModelError, match=r"no network named 'srcnn'.*bicubic, fast-residual"):
        build_network("srcnn")


def test_wrong_arguments_are_named():
    with pytest.raises(ModelError, match="widths"):
        build_network("bicubic", widths=3)
