"""Patches for training against the simulator and against what their targets say."""

import numpy as np
import pytest
import torch

from napari_microsr.smlm.datasets import PatchDataset
from napari_microsr.smlm.patches import Patch, TrainingRanges
from napari_microsr.smlm.psf import expected_photons

QUIET = TrainingRanges(read_noise=(0.0, 0.0), em=0.0, structured=0.0, typical=1.0)


def test_the_same_index_gives_the_same_patch_and_another_another():
    dataset = PatchDataset(TrainingRanges(), 32, seed=5)
    (a, b), (c, d), (e, _) = dataset[3], PatchDataset(TrainingRanges(), 32, seed=5)[3], dataset[4]
    assert torch.equal(a, c)
    assert torch.equal(b, d)
    assert not torch.equal(a, e)
    assert a.shape == (3, 32, 32)
    assert b.shape == (2, 160, 5)
    assert a.dtype == b.dtype == torch.float32


def test_spots_are_those_of_the_simulator():
    patch = Patch(np.random.default_rng(2), QUIET, 24)
    drawn = patch._spots(patch.photons, patch.sigma)
    expected = expected_photons(
        np.zeros(len(patch.x), int),
        patch.x,
        patch.y,
        patch.photons,
        patch.sigma,
        n_frames=1,
        shape_yx=(24, 24),
    )[0]
    np.testing.assert_allclose(drawn, expected, atol=0.02 + 1e-4 * expected.max())


def test_targets_are_the_emitters_in_the_patch():
    patch = Patch(np.random.default_rng(0), QUIET, 24)
    target = patch.target(64)
    rows = target[0][target[0, :, 0] == 1]
    inside = (np.abs(patch.x - 11.5) < 12) & (np.abs(patch.y - 11.5) < 12)
    assert 0 < len(rows) <= inside.sum() < len(patch.x)
    np.testing.assert_allclose(sorted(rows[:, 1]), sorted(patch.x[inside]), rtol=1e-5)
    np.testing.assert_allclose(np.exp(rows[:, 3]).max(), patch.photons[inside].max(), rtol=1e-5)
    np.testing.assert_allclose(np.exp(target[1, :36, 0]), patch.background[0, 0], rtol=1e-5)


def test_more_emitters_than_rows_are_cut():
    ranges = TrainingRanges(density_um2=(8.0, 8.0), typical=1.0)
    patch = Patch(np.random.default_rng(1), ranges, 40)
    assert patch.target(100)[0, :, 0].sum() <= 100


@pytest.mark.parametrize("em", [0.0, 1.0])
def test_the_variance_of_the_noise_is_the_mean(em):
    ranges = TrainingRanges(
        density_um2=(0.0, 0.0),
        background=(30.0, 30.0),
        read_noise=(0.0, 0.0),
        em=em,
        structured=0.0,
        typical=0.0,
    )
    frames = np.stack([Patch(np.random.default_rng(i), ranges, 40).frame()[0] for i in range(40)])
    assert frames.mean() == pytest.approx(30, rel=0.01)
    # 64 000 pixels.
    assert frames.var() == pytest.approx(30, rel=0.05)


def test_read_noise_is_told():
    ranges = TrainingRanges(
        density_um2=(0.0, 0.0), background=(1e-3, 1e-3), read_noise=(2.0, 2.0), typical=0.0
    )
    pulls = []
    for i in range(60):
        photons, variance, _ = Patch(np.random.default_rng(i), ranges, 40).frame()
        if variance.any():
            pulls.append(photons / np.sqrt(variance))
    assert len(pulls) > 10
    assert np.std(pulls) == pytest.approx(1, rel=0.05)
