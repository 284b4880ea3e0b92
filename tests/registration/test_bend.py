"""Bent fields are told from straight ones, with shifts of blocks that are made up."""

import numpy as np
import pytest

from napari_microsr.registration.bend import bend
from napari_microsr.registration.refine import shift_basis

CENTRES = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 5), np.linspace(-0.8, 0.8, 6), indexing="ij"), -1)
CENTRES = CENTRES.reshape(-1, 2)


def evidence(shifts, transform, rng, noise=0.02):
    """Normal matrices and pulls of blocks that saw these shifts."""
    measured = shifts + rng.normal(0, noise, shifts.shape)
    slopes = [shift_basis(v, u, transform) for v, u in CENTRES]
    normals = np.array([s.T @ s for s in slopes]) * 100.0
    pulls = np.array([s.T @ shift for s, shift in zip(slopes, measured, strict=True)]) * 100.0
    return normals, pulls, CENTRES, transform


def curved(transform, rng):
    """Shifts of a bent field, less what the transform follows of them."""
    v, u = CENTRES.T
    shifts = np.stack([0.5 * v * v - 0.2 * v * u, 0.4 * u * u], -1)
    basis = np.vstack([shift_basis(a, b, transform) for a, b in CENTRES])
    flat = shifts.ravel() - basis @ np.linalg.lstsq(basis, shifts.ravel(), rcond=None)[0]
    return flat.reshape(-1, 2)


def test_a_straight_field_is_rarely_bent(rng):
    bends = [bend(*evidence(np.zeros((30, 2)), "similarity", rng)) for _ in range(200)]
    assert np.mean(np.array(bends) > 0) < 0.1
    assert max(bends) < 0.03


@pytest.mark.parametrize("transform", ["similarity", "affine"])
def test_a_bend_is_measured(transform, rng):
    shifts = curved(transform, rng)
    found = bend(*evidence(shifts, transform, rng))
    assert found == pytest.approx(np.sqrt((shifts**2).sum(1).mean()), rel=0.1)


def test_what_the_transform_follows_is_no_bend(rng):
    v, u = CENTRES.T
    stretched = np.stack([0.3 * v, -0.3 * u], -1)
    assert bend(*evidence(stretched, "affine", rng)) < 0.02
    assert bend(*evidence(stretched, "similarity", rng)) > 0.1
    assert bend(*evidence(curved("affine", rng), "quadratic", rng)) == 0


def test_few_blocks_tell_nothing(rng):
    normals, pulls, centres, transform = evidence(curved("similarity", rng), "similarity", rng)
    assert bend(normals[:9], pulls[:9], centres[:9], transform) == 0
