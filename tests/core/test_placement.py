import pickle

import numpy as np
import pytest

from napari_microsr.core.placement import Placement, unit_symbol


def matrix(placement: Placement) -> np.ndarray:
    """The homogeneous matrix from pixel to world, built part by part."""
    n = len(placement.scale)

    def homogeneous(linear, shift=0.0):
        whole = np.eye(n + 1)
        whole[:n, :n], whole[:n, n] = linear, shift
        return whole

    shear = np.eye(n)
    if placement.shear is not None:
        shear[np.triu_indices(n, 1)] = placement.shear
    rotate = np.eye(n) if placement.rotate is None else placement.rotate
    affine = np.eye(n + 1) if placement.affine is None else placement.affine
    scale = homogeneous(np.diag(placement.scale))
    move = homogeneous(np.eye(n), placement.translate)
    return affine @ move @ homogeneous(rotate) @ homogeneous(shear) @ scale


def rotation(degrees: float, n: int) -> np.ndarray:
    turn = np.eye(n)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[-2:, -2:] = [[c, -s], [s, c]]
    return turn


SHEAR = (0.1, 0.2, 0.3)
AFFINE = np.array([[1.1, 0.2, 0, 5], [-0.1, 0.9, 0.3, -7], [0, 0.1, 1.2, 9], [0, 0, 0, 1.0]])
PLACEMENTS = [
    Placement(("y", "x"), ("um", "um"), (0.5, 0.25), (3.0, -4.0)),
    Placement(("y", "x"), ("um", "um"), (0.5, -0.25), (3.0, -4.0), rotation(30, 2)),
    Placement(("z", "y", "x"), ("um",) * 3, (2.0, 0.5, 0.25), (1.0, 2.0, 3.0), rotation(70, 3), SHEAR),
    Placement(("t", "y", "x"), ("s", "um", "um"), (2.0, 0.5, 0.5), (0.0, 2.0, 3.0), None, SHEAR, AFFINE),
    Placement(("y", "x", "c"), ("um", "um", "pixel"), (0.5, 0.5, 1.0), (0.0, 0.0, 4.0), rotation(20, 3)),
]  # fmt: skip


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_finer_pixels_cover_the_same_area(placement, factor):
    n = len(placement.scale)
    yx = [placement.axis_labels.index("y"), placement.axis_labels.index("x")]
    fine = placement.finer(factor)
    for corner in [(-0.5, -0.5), (8.5, -0.5), (-0.5, 12.5), (8.5, 12.5), (2.5, 6.5)]:
        coarse_index, fine_index = np.full(n + 1, 3.0), np.full(n + 1, 3.0)
        coarse_index[n] = fine_index[n] = 1
        coarse_index[yx] = corner
        # An edge at e (pixel centres at integers) is e + 1/2 pixels from the border.
        fine_index[yx] = (np.array(corner) + 0.5) * factor - 0.5
        np.testing.assert_allclose(matrix(fine) @ fine_index, matrix(placement) @ coarse_index, atol=1e-12)
    assert fine.pixel_size_um == pytest.approx(np.array(placement.pixel_size_um) / factor)


def test_a_whole_shear_matrix_is_taken_as_it_is():
    whole = np.array([[1, 0.3], [0, 1]])
    kwargs = {"axis_labels": ("y", "x"), "units": ("um",) * 2, "scale": (1.0, 2.0), "translate": (0.0,) * 2}
    vector = Placement(**kwargs, shear=(0.3,))
    assert Placement(**kwargs, shear=whole).finer(4).translate == vector.finer(4).translate


def test_y_and_x_are_the_last_two_of_unnamed_axes():
    placement = Placement(("-3", "-2", "-1"), ("pixel", "nm", "mm"), (1.0, 500.0, -0.001), (0.0,) * 3)
    assert placement.yx == (1, 2)
    assert placement.pixel_size_um == pytest.approx((0.5, 1.0))


def test_pixels_without_a_unit_have_no_size():
    assert Placement.of_sizes("yx", {}).pixel_size_um is None
    assert Placement.of_sizes("ty", {"t": (1.0, "s"), "y": (1.0, "s")}).pixel_size_um is None


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_survives_pickling_and_json(placement):
    assert pickle.loads(pickle.dumps(placement)) == placement
    assert Placement.from_dict(placement.as_dict()) == placement
    assert placement.finer(2) != placement
    assert placement != "elsewhere"


@pytest.mark.parametrize(
    "wrong",
    [{"units": ("um",)}, {"scale": (1.0,)}, {"rotate": np.eye(3)}, {"affine": np.eye(2)}],
)
def test_parts_need_one_entry_per_axis(wrong):
    parts = {"axis_labels": ("y", "x"), "units": ("um", "um"), "scale": (1.0, 1.0), "translate": (0.0, 0.0)}
    with pytest.raises(ValueError, match=r"placement|rotate|affine"):
        Placement(**(parts | wrong))


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("micrometer", "um"),
        ("micrometre", "um"),
        ("µm", "um"),
        ("μm", "um"),
        ("\\u00B5m", "um"),
        (" Micron ", "um"),
        ("nanometer", "nm"),
        ("Å", "angstrom"),
        ("meter", "m"),
        ("inch", "inch"),
        ("millisecond", "ms"),
        ("second", "s"),
        ("µs", "us"),
        ("pixel", "pixel"),
        ("reference frame", "pixel"),
        ("", "pixel"),
    ],
)
def test_units_get_their_short_symbols(name, symbol):
    assert unit_symbol(name) == symbol
