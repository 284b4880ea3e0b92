"""Windows around pixels hold what scipy finds in them, also at edges and in the smallest frames."""

import numpy as np
import pytest
import torch
from scipy.ndimage import generic_filter, maximum_filter, minimum_filter

from napari_microsr.smlm.windows import over_window, window_mean


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (20, 33)])
@pytest.mark.parametrize("side", [3, 15])
def test_extremes_and_means(rng, shape, side):
    frame = rng.normal(10, 3, shape).astype(np.float32)
    x = torch.from_numpy(frame)[None, None]
    for join, edge, oracle in (
        (torch.maximum, -torch.inf, maximum_filter),
        (torch.minimum, torch.inf, minimum_filter),
    ):
        np.testing.assert_array_equal(over_window(join, x, side, edge)[0, 0], oracle(frame, side))
    mean = generic_filter(frame.astype(float), np.nanmean, side, mode="constant", cval=np.nan)
    np.testing.assert_allclose(window_mean(x, side)[0, 0], mean, rtol=1e-5)


def test_frames_and_channels_stay_apart(rng):
    x = torch.from_numpy(rng.normal(size=(2, 3, 6, 5)).astype(np.float32))
    together = window_mean(x, 3)
    torch.testing.assert_close(together[1, 2], window_mean(x[1:, 2:], 3)[0, 0])
