"""Blocks of frames on disk, in any order: which are missing, and what they hold together."""

import numpy as np
import pytest

from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.parts import Parts

FIELD = {"pixel_nm": 100.0, "shape_yx": (8, 8), "n_frames": 40}


def rows(frames):
    return Localizations.from_columns(frame=frames, x=np.ones(len(frames)), y=np.ones(len(frames)), **FIELD)


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([], [(3, 30)]),
        ([(3, 30)], []),
        ([(3, 5)], [(5, 30)]),
        ([(28, 30), (3, 4)], [(4, 28)]),
        ([(10, 12), (20, 25), (12, 14)], [(3, 10), (14, 20), (25, 30)]),
    ],
)
def test_gaps_are_found_and_the_rest_is_read_in_order(tmp_path, done, missing):
    parts = Parts(tmp_path / "parts", {"a": 1}, restart=False)
    for start, stop in done:
        parts.write(start, stop, rows([start, stop - 1]))
    parts.close()
    again = Parts(tmp_path / "parts", {"a": 1}, restart=False)
    assert again.missing(range(3, 30)) == [range(*gap) for gap in missing]
    assert again.read(**FIELD).frame.tolist() == sorted(f for start, stop in done for f in (start, stop - 1))
