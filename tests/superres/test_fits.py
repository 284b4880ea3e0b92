import numpy as np
import pytest
import torch

from napari_microsr.errors import JobError
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.datasets import open_training_data
from napari_microsr.superres.fits import check_fits
from napari_microsr.superres.registry import build_network


def data(channels=3, **options):
    rng = np.random.default_rng(0)
    shape = (96, 96, 3) if channels == 3 else (96, 96)
    given = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name in ("a", "b")}
    settings = {"hold_out": ["b"], "patch_px": 16, **options}
    return open_training_data(DataOptions.parse(settings), channels, 0, given)


def network(name="fast-residual", **arguments):
    return build_network(name, **{"channels": 3, "features": 8, "blocks": 1, **arguments})


def test_a_network_that_fits_stays_as_it_is():
    for module, options in (
        (network(), {}),
        (network("conditioned-residual"), {"condition": True}),
        (build_network("swift-srgan", channels=3, factor=2), {}),
    ):
        before = {name: value.clone() for name, value in module.state_dict().items()}
        module.train()
        check_fits(module, data(**options))
        assert module.training
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (network(factor=4), {}, "makes 64 pixels of 16, and sharp patches have 32"),
        (network(), {"degradation": "bicubic-down-up"}, "makes 32 pixels of 16, .* have 16"),
        (network(channels=1), {}, "16 pixels and 3 channels"),
        (network("conditioned-residual"), {}, "is conditioned, and condition is False. Set condition: true"),
        (network(), {"condition": True}, "is not conditioned, and condition is True"),
        (
            build_network("residual-unet"),
            {"degradation": "bicubic-down-up", "patch_px": 17},
            "does not take patches of 17 pixels",
        ),
    ],
)
def test_what_does_not_fit_is_told(module, options, message):
    with pytest.raises(JobError, match=message):
        check_fits(module, data(**options))
