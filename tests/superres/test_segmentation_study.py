"""The segmentation study counts what it says: matching, grouping and the paired comparison."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _paired import compare
from _segmentation import matched, segment, simulated_fields


def test_objects_are_matched_above_half_an_overlap():
    labels = np.zeros((20, 40), int)
    labels[2:12, 2:12], labels[2:12, 20:30] = 1, 5
    assert matched(labels, labels) == (1.0, 1.0)
    assert matched(np.where(labels, 7 - labels, 0), labels) == (1.0, 1.0), "numbers do not matter"
    moved = np.roll(labels, 2, axis=1)  # 8 of 12 columns in common
    assert matched(moved, labels) == pytest.approx((1.0, 2 / 3))
    far = np.roll(labels, 5, axis=1)  # 5 of 15
    assert matched(far, labels) == pytest.approx((0.0, 1 / 3))
    split = labels.copy()
    split[2:8, 2:12] = 2  # 60 % of the first, and a piece too many
    assert matched(split, labels) == pytest.approx((2 * 2 / (3 + 2), (0.6 + 1) / 2))
    joined = (labels > 0).astype(int)
    assert matched(joined, labels)[0] == 0.0
    empty = np.zeros_like(labels)
    assert matched(empty, labels) == (0.0, 0.0)
    assert matched(labels, empty) == (0.0, 0.0)
    assert matched(empty, empty) == (1.0, 1.0)


def test_simulated_nuclei_are_found_and_their_labels_are_theirs():
    (field,) = simulated_fields(1)
    assert field.image.dtype == np.uint8
    count = len(np.unique(field.labels)) - 1
    assert count > 50
    assert field.image[field.labels > 0].mean() > 3 * field.image[field.labels == 0].mean()
    f1, iou = matched(segment(field.image), field.labels)
    assert f1 > 0.85
    assert iou > 0.7
    large = zoom(field.image, 2, order=1)
    assert matched(segment(large, 0.5)[::2, ::2], field.labels)[0] > 0.8, "lengths follow the size of a pixel"


def test_a_comparison_has_the_sign_and_size_of_the_differences(rng):
    base = rng.random(30)
    better = compare(base + 0.1, base, list(map(str, range(30))))
    assert better.median == pytest.approx(0.1)
    assert better.effect == 1.0
    assert better.p < 1e-6
    assert better.low == pytest.approx(better.high) == pytest.approx(0.1)
    noisy = compare(base + rng.normal(0, 0.1, 30), base, list(map(str, range(30))))
    assert noisy.low < 0 < noisy.high
    assert noisy.p > 0.05
    one = compare(base + 0.1, base, ["a"] * 30)
    assert one.n == 1
    assert np.isnan(one.p)
    same = compare(base, base, list(map(str, range(30))))
    assert same.effect == 0
    assert np.isnan(same.p)
