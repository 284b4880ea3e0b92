"""The sample data lie where their truth says."""

import numpy as np
import pytest
from scipy import ndimage

from napari_microsr.core.image import open_image
from napari_microsr.registration.geometry import enlarging
from napari_microsr.registration.sample import sample, write_sample


def likeness(field, overview, shift):
    """Correlation of the shrunk field with the overview, `shift` overview pixels beside the truth."""
    factor = 8
    h, w = (n // factor * factor for n in field.image.shape[:2])
    small = field.image[:h, :w, 1].reshape(h // factor, factor, w // factor, factor).mean((1, 3))
    matrix = field.truth_yx @ enlarging(factor)
    below = ndimage.affine_transform(
        overview.image[..., 1].astype(float), matrix[:2, :2], matrix[:2, 2] + shift, small.shape, order=1
    )
    return np.corrcoef(small.ravel(), below.ravel())[0, 1]


def test_fields_lie_where_they_should():
    overview, fields = sample()
    assert len(fields) == 10
    assert sum(field.truth_yx is None for field in fields) == 2
    for field in fields:
        if field.truth_yx is not None:
            there = likeness(field, overview, 0)
            assert there > 0.75
            assert all(
                likeness(field, overview, shift) < there for shift in ([4, 0], [-4, 0], [0, 4], [0, -4])
            )


def test_files_keep_the_pixel_sizes(tmp_path):
    overview, folder = write_sample(tmp_path)
    assert open_image(overview).placement.pixel_size_um == pytest.approx((1.2, 1.2), rel=1e-3)
    files = sorted(folder.iterdir())
    assert len(files) == 10
    assert open_image(files[-1]).placement.pixel_size_um == pytest.approx((0.12, 0.12), rel=1e-3)
