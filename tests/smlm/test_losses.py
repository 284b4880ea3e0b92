"""The likelihoods against their definitions, written out with scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from napari_microsr.smlm.losses import BACKGROUND_WEIGHT, BlurredSquares, emitter_loss


def planes(height=9, width=11, seed=3):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=(1, 10, height, width)) * 0.4
    predicted[:, 0] -= 1.5
    predicted[:, 6:] = rng.uniform(0.2, 0.5, (1, 4, height, width))
    return predicted


def target(emitters, background, rows=8):
    result = np.zeros((1, 2, rows, 5), np.float32)
    result[0, 0, : len(emitters), 0] = 1
    result[0, 0, : len(emitters), 1:] = emitters
    result[0, 1, : len(background), 0] = background
    return result


def by_definition(predicted, emitters, background):
    p = 1 / (1 + np.exp(-predicted[0, 0]))
    total = norm.logpdf(len(emitters), p.sum(), np.sqrt((p * (1 - p)).sum() + 1e-2))
    height, width = p.shape
    for emitter in emitters:
        column, row = np.rint(emitter[:2]).astype(int)
        density = 0.0
        for i in range(max(0, row - 2), min(height, row + 3)):
            for j in range(max(0, column - 2), min(width, column + 3)):
                at = predicted[0, :, i, j]
                mean = (j + at[1], i + at[2], at[3], at[4])
                density += p[i, j] / p.sum() * norm.pdf(emitter, mean, at[6:]).prod()
        total += np.log(density)
    blocks = predicted[0, 5, : height // 4 * 4, : width // 4 * 4]
    blocks = blocks.reshape(height // 4, 4, width // 4, 4).mean((1, 3)).ravel()
    error = np.abs(blocks - background)
    smooth = np.where(error < 0.1, error**2 / 0.2, error - 0.05).mean()
    return BACKGROUND_WEIGHT * smooth - total / max(1, len(emitters))


@pytest.mark.parametrize(
    "emitters",
    [
        [[4.2, 3.9, 0.1, -0.2]],
        [[-0.4, 8.3, 0.3, 0.1], [10.4, -0.4, 0.0, 0.2], [5.0, 5.0, 0.5, 0.0]],
        np.zeros((0, 4)),
    ],
    ids=["inside", "corners", "none"],
)
def test_it_is_the_likelihood_of_counts_and_positions(emitters):
    predicted, background = planes(), np.array([0.1, -0.3, 0.05, 0.4])
    loss = emitter_loss(torch.tensor(predicted), torch.tensor(target(emitters, background)))
    assert loss.item() == pytest.approx(by_definition(predicted, np.array(emitters), background), rel=1e-4)


def test_it_is_least_where_the_planes_are_true():
    def loss(shift):
        predicted = np.zeros((1, 10, 8, 8))
        predicted[:, 0], predicted[:, 6:] = -12, 0.1
        predicted[0, 0, 3, 4] = 12
        predicted[0, 1:3, 3, 4] = 0.3 + shift, -0.2
        truth = target([[4.3, 2.8, 0.0, 0.0]], np.zeros(4))
        return emitter_loss(torch.tensor(predicted), torch.tensor(truth)).item()

    assert loss(0.0) < min(loss(-0.05), loss(0.05)) < min(loss(-0.2), loss(0.2))


def test_blurred_squares_follow_their_formula():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1, 1, 12, 9)).astype(np.float32)
    kernel = np.exp(-4 * np.log(2) * np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2) / 9)
    padded = np.pad((a - b)[0, 0], 2)
    expected = np.mean(
        [[(padded[i : i + 5, j : j + 5] * kernel).sum() ** 2 for j in range(9)] for i in range(12)]
    )
    assert BlurredSquares(3.0)(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected, rel=1e-5)
