"""What all tests share: images with a truth, tiny networks, and no trace left on the machine."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _one_thread():
    # Two cores run the suite: torch's own threads would only fight over them.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
