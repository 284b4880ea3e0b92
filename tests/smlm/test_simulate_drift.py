"""A drifting sample is the same sample, moved."""

import numpy as np
import pytest

from napari_microsr.smlm.drift import estimate_drift
from napari_microsr.smlm.simulate_job import SimulateJob, draw_truth


@pytest.mark.parametrize("mean_on_frames", [0.0, 1.5])
def test_drift_moves_the_molecules_and_is_found_again(tmp_path, mean_on_frames):
    settings = {
        "output": tmp_path / "stack.tif", "frames": 400, "height_px": 60, "width_px": 60, "density_um2": 0.8,
        "structure": "filaments", "mean_on_frames": mean_on_frames,
    }  # fmt: skip
    still, moved = (
        draw_truth(np.random.default_rng(2), SimulateJob(**settings, drift_nm=drift)) for drift in (0, 300)
    )
    np.testing.assert_array_equal(moved.frame, still.frame)
    x_nm, y_nm = (moved.x - still.x) * 100, (moved.y - still.y) * 100
    np.testing.assert_allclose(x_nm, 0.75 * still.frame, atol=1e-9)
    np.testing.assert_allclose(y_nm[still.frame == 200], 150)
    np.testing.assert_allclose(y_nm[still.frame == 0], 0, atol=1e-9)
    found = estimate_drift(moved)
    path = 0.75 * np.arange(400)
    assert np.sqrt(np.mean((found.x * 100 - path + path.mean()) ** 2)) < 15
