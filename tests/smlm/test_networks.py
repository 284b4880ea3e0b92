"""The networks: exact tiles, sensible units, statistics of one's own for each place."""

import numpy as np
import pytest
import torch

from napari_microsr.core.device import Device
from napari_microsr.smlm import network_finder
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.crlb import closed_form
from napari_microsr.smlm.network_finder import HALO_PX, NetworkFinder, mixed, surer
from napari_microsr.smlm.networks.dsir import DsirAutoencoder, calibrate, enlarge
from napari_microsr.smlm.networks.emitters import PLANES, REACH_PX, Emitters2d, local_background
from napari_microsr.smlm.refine import Spots


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Emitters2d(features=8, blocks=(2, 2, 3)).eval()
    # Random weights that let every plane vary.
    torch.nn.init.normal_(network.tail.weight, std=1.0)
    torch.nn.init.zeros_(network.tail.bias)
    return network


def finder(network, camera=None, threshold=0.3, **options):
    device = Device("cpu", torch.bfloat16, channels_last=True)
    return NetworkFinder(
        network, device, camera or Camera(), 1.1, threshold, reduced=False, keep_mixed=True, **options
    )


def frame_of(rng, shape):
    return rng.poisson(20, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(101, 97), (64, 150), (33, 40)])
def test_tiles_equal_the_whole_frame(network, rng, monkeypatch, shape):
    frame, read = frame_of(rng, shape).astype(np.float64), np.zeros(shape)
    whole = finder(network).planes(frame, read)
    monkeypatch.setattr(network_finder, "TILE_PX", 32)
    tiled = finder(network).planes(frame, read)
    assert tiled.shape == (len(PLANES), *shape)
    assert torch.allclose(tiled, whole, atol=2e-5)


def test_the_halo_covers_what_the_shipped_layout_sees():
    torch.manual_seed(1)
    network = Emitters2d(features=4).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1)
    side = 2 * HALO_PX + 21
    frame = torch.full((1, 3, side + side % 2, side + side % 2), 5.0)
    frame[:, 1:] = 0
    changed = frame.clone()
    middle = frame.shape[2] // 2
    changed[0, 0, middle, middle] += 50
    with torch.inference_mode():
        moved = (network(frame) != network(changed))[0].any(0).nonzero()
    assert len(moved)
    assert (moved - middle).abs().max() <= HALO_PX


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3), (26, 26)])
def test_frames_of_any_size_pass(network, rng, shape):
    rows = finder(network)(frame_of(rng, shape))
    assert {"x", "y", "photons", "x_err", "probability"} <= rows.keys()
    assert np.isfinite(rows["x"]).all()


def test_positions_errors_and_light_are_in_range(network, rng):
    rows = finder(network, threshold=0.1)(frame_of(rng, (50, 40)))
    assert len(rows["x"]) > 5
    assert rows["x"].min() > -0.5 - REACH_PX
    assert rows["x"].max() < 39.5 + REACH_PX
    assert (rows["photons"] > 0).all()
    assert (rows["x_err"] > 0).all()
    assert ((rows["probability"] > 0.1) & (rows["probability"] <= 1)).all()


def test_an_em_camera_shows_the_network_half_the_photons(network, rng):
    frame = frame_of(rng, (30, 30))
    plain = finder(network, threshold=0.1)(frame)
    em = finder(network, Camera(em_gain=100.0), threshold=0.1)(2 * frame)
    assert len(plain["x"]) > 3
    np.testing.assert_allclose(em["x"], plain["x"], atol=1e-5)
    np.testing.assert_allclose(em["photons"], 2 * plain["photons"], rtol=1e-4)


def test_errors_scale_with_their_factor(network, rng):
    frame = frame_of(rng, (30, 30))
    before = finder(network, threshold=0.1)(frame)
    network.error_scale = 1.25
    after = finder(network, threshold=0.1)(frame)
    np.testing.assert_allclose(after["x_err"], 1.25 * before["x_err"], rtol=1e-5)
    np.testing.assert_array_equal(after["x"], before["x"])


def spots(error, photons, shift=0.0):
    error, photons = np.asarray(error, float), np.asarray(photons, float)
    each = np.ones_like(error)
    return Spots(10 * each + shift, 10 * each, photons, 1.1 * each, 20 * each, error, error, 9 * each)


def test_what_is_too_unsure_for_its_light_is_mixed():
    faint = float(closed_form(80, 20, 1.1))
    assert 0.3 < faint < 0.5
    # Bright and unsure; bright and sure; faint and as unsure as such light must be; fainter than sure.
    found = mixed(spots([0.5, 0.05, faint, 2 * faint], [2000, 2000, 80, 80]), 0.0)
    np.testing.assert_array_equal(found, [True, False, False, True])
    assert not mixed(spots([2 * faint], [80]), 200.0)[0]


def test_a_fit_counts_where_it_is_surer_and_near():
    guess = spots([0.1, 0.1, 0.1], [500, 500, 500])
    fitted = spots([0.05, 0.2, 0.05], [600, 600, 600], shift=np.array([0.1, 0.1, 0.5]))
    chosen = surer(guess, fitted)
    np.testing.assert_allclose(chosen.x, [10.1, 10, 10])
    np.testing.assert_allclose(chosen.photons, [600, 500, 500])
    np.testing.assert_allclose(chosen.x_err, 0.1)


def test_the_background_is_a_lower_envelope(rng):
    frame = torch.full((1, 1, 40, 40), 20.0)
    frame[0, 0, 20, 20] += 500
    assert torch.allclose(local_background(frame), torch.tensor(20.0))
    slope = torch.arange(40.0).expand(1, 1, 40, 40).contiguous()
    found = local_background(slope)[0, 0, 20, 10:30]
    # The least of a window on a slope lies half a window lower.
    assert torch.allclose(found, torch.arange(10.0, 30.0) - 7 + 1, atol=1.01)


def test_dsir_has_the_parameters_of_the_source():
    assert sum(p.numel() for p in DsirAutoencoder().parameters()) == 3339


def test_dsir_keeps_the_size_and_sees_light():
    x = enlarge(torch.rand(2, 1, 5, 7))
    assert DsirAutoencoder()(x).shape == (2, 1, 40, 56)
    assert x.mean((1, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(x.std((1, 2, 3), correction=0), torch.ones(2), atol=1e-5)
    assert enlarge(torch.full((1, 1, 4, 4), 7.0)).abs().max() == 0


def test_dsir_gives_in_use_what_it_gives_in_training():
    torch.manual_seed(0)
    network = DsirAutoencoder()
    frames = enlarge(torch.rand(32, 1, 8, 8))
    calibrate(network, [frames])
    with torch.no_grad():
        used, trained = network.eval()(frames), network.train()(frames)
    assert trained.std() > 0.1
    assert torch.allclose(used, trained, atol=0.02 * float(trained.max()))


def test_dsir_frames_do_not_depend_on_their_batch():
    torch.manual_seed(0)
    network = DsirAutoencoder()
    frames = enlarge(torch.rand(4, 1, 8, 8))
    calibrate(network, [frames])
    with torch.no_grad():
        assert torch.allclose(network(frames)[:1], network(frames[:1]), atol=1e-5)
