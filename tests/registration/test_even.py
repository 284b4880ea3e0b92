"""A field that lies bent is placed so that all of it serves, not the part with most texture."""

import numpy as np
import pytest
from scipy import ndimage

from napari_microsr.core.image import ImageSource
from napari_microsr.registration import candidates
from napari_microsr.registration.geometry import apply, similarity
from napari_microsr.registration.place import Field, Overview, Search, place

SHAPE = (400, 520)
MATRIX = similarity(0.5, 0, centre=(199.5, 259.5), onto=(300, 330))


def pictures(bend_px):
    """An overview, and a field whose left half has more contrast and that is bent by a sine."""
    rng = np.random.default_rng(3)
    tissue = sum(w * ndimage.gaussian_filter(rng.normal(size=(620, 700)), w) for w in (2.5, 4, 6))
    left = np.linspace(0, 1, 700) < 0.47
    tissue = 120 + 60 * tissue / tissue.std() * ndimage.gaussian_filter(np.where(left, 1.0, 0.4), 15)
    grid = np.moveaxis(np.indices(SHAPE, float), 0, -1)
    truth = apply(MATRIX, grid)
    truth = truth + bend_px * np.stack([np.sin(truth[..., 1] / 25), np.cos(truth[..., 0] / 21)], -1)
    truth[..., 0] += bend_px * (truth[..., 1] > 300)
    field = ndimage.map_coordinates(tissue, np.moveaxis(truth, -1, 0), order=3)
    field = field + rng.normal(0, 0.3, SHAPE)
    as_image = [ImageSource.from_array(a.clip(0, 255).astype(np.uint8), name="p") for a in (field, tissue)]
    return *as_image, truth


def error_px(found, truth):
    grid = np.moveaxis(np.indices(SHAPE, float), 0, -1)
    return float(np.linalg.norm(found.to_overview(grid) - truth, axis=-1).mean())


def best_px(truth):
    """Of any similarity, by least squares."""
    grid = np.moveaxis(np.indices(SHAPE, float), 0, -1).reshape(-1, 2)
    p, q = (points @ [1j, 1] for points in (grid, truth.reshape(-1, 2)))
    p0, q0 = p - p.mean(), q - q.mean()
    return float(np.abs(np.vdot(p0, q0) / np.vdot(p0, p0) * p0 - q0).mean())


@pytest.mark.parametrize("bend_px", [0.8, 0.0])
def test_all_of_a_bent_field_counts(bend_px, monkeypatch):
    field, overview, truth = pictures(bend_px)
    prepared = Overview.prepare(overview, 1.0), Search(max_rotation_deg=10)
    even = place(Field.prepare(field, 0.5), *prepared)
    monkeypatch.setattr(candidates, "evened", lambda pair, pose, transform: pose)
    before = place(Field.prepare(field, 0.5), *prepared)
    assert before.status == even.status == "placed"
    if bend_px:
        best = best_px(truth)
        assert error_px(even, truth) < best + 0.03
        assert error_px(even, truth) - best < 0.5 * (error_px(before, truth) - best)
    else:
        assert np.array_equal(even.matrix_yx, before.matrix_yx)
